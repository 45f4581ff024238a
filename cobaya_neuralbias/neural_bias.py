"""Likelihood: matter density and halo catalogue -> point-process log-likelihood and gradient."""

import numpy as np
from cobaya.log import LoggedError

from .bias.mdn import MEASURES, SPACINGS, MixtureDensityNetwork
from .bias.npe import INPUTS, NeuralPhysicalEngine
from .component import NUMBER, POSITIVE_INTEGER, POSITIVE_NUMBER, is_integer, is_number
from .halo_likelihood import HaloLikelihood

ODD_INTEGER = ("an odd positive integer", lambda v: is_integer(v, 1) and v % 2 == 1)
NON_NEGATIVE = ("a number >= 0", lambda v: is_number(v, 0))
OPTIONAL_NUMBER = ("a finite number or null", lambda v: v is None or is_number(v))


# Density contrasts where the normalised psi is 0 and 1: the mean, and a dense voxel.
ANCHORS = {"charnock2019": None, "normalised": (0.0, 5.0)}


class NeuralBias(HaloLikelihood):
    """Neural bias model of a halo catalogue; see ``NeuralBias.yaml`` for the options.

    Without a Cobaya model, ``NeuralBias({"box_size": 250.0})`` gives :meth:`log_likelihood` and
    :meth:`value_and_gradient` for a density of any mesh.
    """

    kernel_size: int
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
        if not (ODD_INTEGER[1](options["kernel_size"]) and is_integer(options["n_components"], 1)):
            raise ValueError("kernel_size, n_components")
        engine = NeuralPhysicalEngine(
            options["kernel_size"],
            options["input"],
            float(options["floor"]),
            ANCHORS[options["parametrisation"]],
        )
        alpha_shift = options["alpha_shift"]
        if alpha_shift is None:
            alpha_shift = 0.0 if mean_density is None else np.log(mean_density)
        network = MixtureDensityNetwork(
            options["n_components"],
            options["measure"],
            options["spacing"],
            float(alpha_shift),
            float(options["sigma_shift"]),
            slope=1.0 if engine.anchors is None else 2.0,
        )
        return engine, network

    @classmethod
    def default_prior(cls, options):
        return {"dist": "norm", "loc": 0, "scale": options["sigma_prior"]}

    @property
    def options_from_catalogue(self):
        return {"alpha_shift": float(self.network.alpha_shift)}

    def _read(self):
        super()._read()
        self._warm_up(self.kernel_size + 1)

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
