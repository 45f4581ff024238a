"""Likelihood: matter density and halo catalogue -> point-process log-likelihood and gradient."""

import numpy as np
from cobaya.log import LoggedError

from .bias.mdn import MEASURES, SPACINGS, MixtureDensityNetwork
from .bias.multipoles import DEGREES
from .bias.normalised import NormalisedEngine
from .bias.npe import ACTIVATIONS, INPUTS, NeuralPhysicalEngine
from .component import (
    BOOLEAN,
    NUMBER,
    POSITIVE_INTEGER,
    POSITIVE_NUMBER,
    check_option,
    is_integer,
    is_number,
)
from .halo_likelihood import HaloLikelihood

ODD_INTEGER = ("an odd positive integer", lambda v: is_integer(v, 1) and v % 2 == 1)
NON_NEGATIVE = ("a number >= 0", lambda v: is_number(v, 0))
SOME_DEGREES = (
    "a list of one or more of " + ", ".join(map(str, DEGREES)) + ", each once",
    lambda v: (
        isinstance(v, (list, tuple))
        and all(is_integer(degree, 0) and degree in DEGREES for degree in v)
        and 0 < len(v) == len(set(v))
    ),
)
OPTIONAL_NUMBER = ("a finite number or null", lambda v: v is None or is_number(v))


# Density contrasts where the normalised psi is 0 and 1: the mean, and a dense voxel.
ANCHORS = {"charnock2019": None, "normalised": (0.0, 5.0)}


class NeuralBias(HaloLikelihood):
    """Neural bias model of a halo catalogue; see ``NeuralBias.yaml`` for the options.

    Without a Cobaya model, ``NeuralBias({"box_size": 250.0})`` gives :meth:`log_likelihood` and
    :meth:`value_and_gradient` for a density of any mesh.
    """

    kernel_size: int
    multipoles: list
    invariant: bool
    layers: int
    activation: str
    input: str
    floor: float
    parametrisation: str
    n_components: int
    measure: str
    spacing: str
    alpha_shift: float | None
    sigma_shift: float
    sigma_prior: float

    _OPTIONS = {
        **HaloLikelihood._OPTIONS,
        "kernel_size": ODD_INTEGER,
        "multipoles": SOME_DEGREES,
        "invariant": BOOLEAN,
        "layers": POSITIVE_INTEGER,
        "activation": tuple(ACTIVATIONS),
        "input": INPUTS,
        "floor": NON_NEGATIVE,
        "parametrisation": tuple(ANCHORS),
        "n_components": POSITIVE_INTEGER,
        "measure": MEASURES,
        "spacing": SPACINGS,
        "alpha_shift": OPTIONAL_NUMBER,
        "sigma_shift": NUMBER,
        "sigma_prior": POSITIVE_NUMBER,
    }

    @classmethod
    def bias_model(cls, options, mean_density=None):
        for name in ("kernel_size", "multipoles", "layers", "n_components"):
            if not cls._OPTIONS[name][1](options[name]):
                raise ValueError(name)
        engine = NeuralPhysicalEngine(
            kernel_size=options["kernel_size"],
            input=options["input"],
            floor=float(options["floor"]),
            multipoles=tuple(sorted(options["multipoles"])),
            layers=options["layers"],
            invariant=options["invariant"],
            activation=options["activation"],
        )
        anchors = ANCHORS[options["parametrisation"]]
        if anchors is not None:
            engine = NormalisedEngine(engine, anchors)
        alpha_shift = options["alpha_shift"]
        if alpha_shift is None:
            alpha_shift = 0.0 if mean_density is None else np.log(mean_density)
        network = MixtureDensityNetwork(
            options["n_components"],
            options["measure"],
            options["spacing"],
            float(alpha_shift),
            float(options["sigma_shift"]),
            slope=1.0 if anchors is None else 2.0,
        )
        return engine, network

    @classmethod
    def default_prior(cls, options):
        return {"dist": "norm", "loc": 0, "scale": options["sigma_prior"]}

    def initialize(self):
        for name in ("kernel_size", "multipoles", "layers"):
            check_option(self.log, name, getattr(self, name), self._OPTIONS[name])
        if self.kernel_size == 1 and set(self.multipoles) != {0}:
            self._refuse("kernel_size", "multipoles", "a kernel of one voxel has multipole 0 only")
        if self.activation == "linear" and self.layers > 1:
            self._refuse("activation", "layers", "a stack of linear layers is one linear layer")
        if self.parametrisation == "normalised" and 0 not in self.multipoles:
            self._refuse("parametrisation", "multipoles", "psi is normalised by multipole 0")
        super().initialize()

    def _refuse(self, first, second, why):
        raise LoggedError(
            self.log,
            "Options '%s: %s' and '%s: %s' do not go together: %s.",
            *(first, getattr(self, first), second, getattr(self, second), why),
        )

    def _read(self):
        super()._read()
        # Compile now, where an error shows, rather than inside the first likelihood.
        self.value_and_gradient(np.zeros((self.kernel_size + 1,) * 3), self.default_weights)
        self.n_impossible = 0

    def initialize_with_provider(self, provider):
        super().initialize_with_provider(provider)
        n_grid = provider.requirement_providers["matter_density"].grid.n
        if self.kernel_size > n_grid:
            raise LoggedError(
                self.log,
                "Option 'kernel_size' is %d; expected at most n_grid = %d.",
                self.kernel_size,
                n_grid,
            )
        if 2 * self.engine.radius + 1 > n_grid:
            raise LoggedError(
                self.log,
                "Option 'layers' is %d: with kernel_size %d they see %d voxels a side; "
                "expected at most n_grid = %d.",
                self.layers,
                self.kernel_size,
                2 * self.engine.radius + 1,
                n_grid,
            )
