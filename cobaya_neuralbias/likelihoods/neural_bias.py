"""Likelihood: matter density and halo catalogue -> point-process log-likelihood and gradient."""

import numpy as np
from cobaya.log import LoggedError

from ..bias.mdn import MEASURES, SPACINGS, MixtureDensityNetwork
from ..bias.multipoles import DEGREES
from ..bias.natural import NaturalEngine
from ..bias.natural_network import NaturalNetwork, NaturalRate
from ..bias.npe import ACTIVATIONS, INPUTS, NeuralPhysicalEngine
from ..component import (
    BOOLEAN,
    NUMBER,
    POSITIVE_INTEGER,
    POSITIVE_NUMBER,
    check_option,
    is_integer,
    is_number,
)
from ..kernels.threads import SERIAL
from .halo_likelihood import HaloLikelihood

ODD_INTEGER = ("an odd positive integer", lambda v: is_integer(v, 1) and v % 2 == 1)
NON_NEGATIVE = ("a number >= 0", lambda v: is_number(v, 0))
SOME_DEGREES = (
    "null or a list of one or more of " + ", ".join(map(str, DEGREES)) + ", each once",
    lambda v: (
        v is None
        or (
            isinstance(v, (list, tuple))
            and all(is_integer(degree, 0) and degree in DEGREES for degree in v)
            and 0 < len(v) == len(set(v))
        )
    ),
)
OPTIONAL_NUMBER = ("a finite number or null", lambda v: v is None or is_number(v))


PARAMETRISATIONS = ("natural", "charnock2019")


class NeuralBias(HaloLikelihood):
    """Neural bias model of a halo catalogue; see ``NeuralBias.yaml`` for the options.

    Without a Cobaya model, ``NeuralBias({"box_size": 250.0})`` gives :meth:`log_likelihood` and
    :meth:`value_and_gradient` for a density of any mesh.
    """

    kernel_size: int
    multipoles: list | None
    invariant: bool
    layers: int
    activation: str
    input: str
    floor: float
    parametrisation: str
    saturates: bool
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
        "parametrisation": PARAMETRISATIONS,
        "saturates": BOOLEAN,
        "n_components": POSITIVE_INTEGER,
        "measure": MEASURES,
        "spacing": SPACINGS,
        "alpha_shift": OPTIONAL_NUMBER,
        "sigma_shift": NUMBER,
        "sigma_prior": POSITIVE_NUMBER,
    }

    @classmethod
    def bias_model(cls, options, mean_density=None, threads=SERIAL):
        for name in ("kernel_size", "multipoles", "layers", "n_components"):
            if not cls._OPTIONS[name][1](options[name]):
                raise ValueError(name)
        natural = options["parametrisation"] == "natural"
        width_floor = float(options["width_floor"] or 0.0)
        multipoles = tuple(sorted(options["multipoles"] or ([0, 1] if natural else [0])))
        alpha_shift = options["alpha_shift"]
        if alpha_shift is None:
            alpha_shift = 0.0 if mean_density is None else np.log(mean_density)
        if natural:
            # Counts alone tell nothing of masses: there are no weights for them then.
            masses = options["likelihood"] != "counts"
            engine = NaturalEngine(
                *(options["kernel_size"], multipoles, float(options["floor"]), masses),
                saturates=options["saturates"],
                threads=threads,
            )
            if not masses:
                return engine, NaturalRate(float(alpha_shift), threads=threads)
            components = options["n_components"]
            return engine, NaturalNetwork(
                float(alpha_shift), components, threads=threads, width_floor=width_floor
            )
        engine = NeuralPhysicalEngine(
            kernel_size=options["kernel_size"],
            input=options["input"],
            floor=float(options["floor"]),
            multipoles=multipoles,
            layers=options["layers"],
            invariant=options["invariant"],
            activation=options["activation"],
            threads=threads,
        )
        network = MixtureDensityNetwork(
            options["n_components"],
            options["measure"],
            options["spacing"],
            float(alpha_shift),
            float(options["sigma_shift"]),
            threads,
            width_floor=width_floor,
        )
        return engine, network

    @classmethod
    def default_prior(cls, options):
        return {"dist": "norm", "loc": 0, "scale": options["sigma_prior"]}

    def initialize(self):
        for name, allowed in self._OPTIONS.items():
            check_option(self.log, name, getattr(self, name), allowed)
        if self.kernel_size == 1 and not set(self.multipoles or [0]) <= {0}:
            self._refuse("kernel_size", "multipoles", "a kernel of one voxel has multipole 0 only")
        if self.activation == "linear" and self.layers > 1:
            self._refuse("activation", "layers", "a stack of linear layers is one linear layer")
        if self.parametrisation == "natural":
            self._check_natural()
        elif self.saturates:
            self._refuse("saturates", "parametrisation", "that option is of the natural one")
        super().initialize()

    def _check_natural(self):
        """Refuse what belongs to the paper's network, rather than ignore it."""
        if 0 not in (self.multipoles or [0]):
            self._refuse("parametrisation", "multipoles", "the monopole is always there")
        if not self.floor > 0:
            self._refuse("parametrisation", "floor", "its logarithm needs a floor above 0")
        defaults = self.get_defaults()
        for name in self._PAPER_ONLY:
            if getattr(self, name) != defaults[name]:
                self._refuse("parametrisation", name, "that option is of the paper's network")

    # Options that the natural parametrisation has no use for
    _PAPER_ONLY = (
        *("invariant", "layers", "activation", "input"),
        *("measure", "spacing", "sigma_shift"),
    )

    def _refuse(self, first, second, why):
        raise LoggedError(
            self.log,
            "Options '%s: %s' and '%s: %s' do not go together: %s.",
            *(first, getattr(self, first), second, getattr(self, second), why),
        )

    @property
    def options_from_catalogue(self):
        return {
            **super().options_from_catalogue,
            "alpha_shift": float(self.network.alpha_shift),
        }

    @property
    def _n_grid_of_warm_up(self):
        return self.kernel_size + 1

    def initialize_with_provider(self, provider):
        super().initialize_with_provider(provider)
        n_grid = provider.requirement_providers["matter_density"].density_grid.n
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
