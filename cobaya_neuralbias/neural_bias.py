"""Likelihood: matter density and halo catalogue -> point-process log-likelihood and gradient."""

import numpy as np
from cobaya.likelihood import Likelihood
from cobaya.log import LoggedError

from .bias.mdn import MEASURES, SPACINGS, MixtureDensityNetwork
from .bias.npe import INPUTS, NeuralPhysicalEngine
from .bias.point_process import PointProcess
from .catalogue import read_catalogue
from .component import (
    BOOLEAN,
    NUMBER,
    POSITIVE_INTEGER,
    POSITIVE_NUMBER,
    FieldRevision,
    check_option,
    is_integer,
    is_number,
    logged_errors,
)

ODD_INTEGER = ("an odd positive integer", lambda v: is_integer(v, 1) and v % 2 == 1)
NON_NEGATIVE = ("a number >= 0", lambda v: is_number(v, 0))


# Density contrasts where the normalised psi is 0 and 1: the mean, and a dense voxel.
ANCHORS = {"charnock2019": None, "normalised": (0.0, 5.0)}


def make_engine(options):
    """Neural physical engine of the likelihood's ``options``, a mapping."""
    return NeuralPhysicalEngine(
        options["kernel_size"],
        options["input"],
        float(options["floor"]),
        ANCHORS[options["parametrisation"]],
    )


def default_weights(engine, network):
    """Name -> (starting value, LaTeX label) of every weight, in the order of the likelihood.

    The start is generic: psi follows the density of the voxel itself, amplitudes rise with psi, and
    the mass distribution is broad and does not depend on psi.
    """
    weights = {}
    for distance in engine.weight_shells:
        weights[f"npe_w{distance}"] = (1.0 if distance == 0 else 0.0, f"w_{{r^2={distance}}}")
    weights["npe_b"] = (0.0, r"b_\psi")
    starts = {
        "alpha": (1.0 if engine.anchors is None else 2.0, lambda c: -np.log(network.n_components)),
        "mu": (0.0, lambda c: -1.0 if c == 0 else 1.0),
        "sigma": (0.0, lambda c: 1.0),
    }
    for output, (slope, bias) in starts.items():
        for c in range(network.n_components):
            weights[f"{output}_w{c}"] = (slope, rf"w_{{\{output},{c}}}")
            weights[f"{output}_b{c}"] = (float(bias(c)), rf"b_{{\{output},{c}}}")
    return weights


class NeuralBias(FieldRevision, Likelihood):
    """Neural bias model of a halo catalogue; see ``NeuralBias.yaml`` for the options.

    Without a Cobaya model, ``NeuralBias({"box_size": 250.0})`` gives :meth:`log_likelihood` and
    :meth:`value_and_gradient` for a density of any mesh.
    """

    catalogue: str
    columns: dict | None
    wrap: bool
    length_unit: str
    mass_unit: str
    box_size: float | None
    mass_threshold: float
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
    parameter_prefix: str

    @classmethod
    def get_modified_defaults(cls, defaults, input_options=None):
        """Adds the weights of the chosen architecture to ``params``."""
        options = {**defaults, **{k: v for k, v in (input_options or {}).items() if k != "params"}}
        if not (
            ODD_INTEGER[1](options["kernel_size"])
            and is_integer(options["n_components"], 1)
            and options["parametrisation"] in ANCHORS
            and is_number(options["floor"], 0)
        ):
            return defaults  # `initialize` says what is wrong
        engine = make_engine(options)
        network = MixtureDensityNetwork(options["n_components"])
        params = {}
        for name, (start, latex) in default_weights(engine, network).items():
            params[f"{options['parameter_prefix']}{name}"] = {
                "prior": {"dist": "norm", "loc": 0, "scale": options["sigma_prior"]},
                "ref": start,
                "proposal": 0.02,
                "latex": latex,
            }
        defaults["params"] = {**params, **(defaults.get("params") or {})}
        return defaults

    def initialize(self):
        for name, allowed in {
            "wrap": BOOLEAN,
            "mass_threshold": POSITIVE_NUMBER,
            "kernel_size": ODD_INTEGER,
            "input": INPUTS,
            "floor": NON_NEGATIVE,
            "parametrisation": tuple(ANCHORS),
            "n_components": POSITIVE_INTEGER,
            "measure": MEASURES,
            "spacing": SPACINGS,
            "sigma_shift": NUMBER,
            "sigma_prior": POSITIVE_NUMBER,
            "parameter_prefix": ("a string", lambda v: isinstance(v, str)),
        }.items():
            check_option(self.log, name, getattr(self, name), allowed)
        if self.alpha_shift is not None:
            check_option(self.log, "alpha_shift", self.alpha_shift, NUMBER)
        if self.box_size is not None:
            check_option(self.log, "box_size", self.box_size, POSITIVE_NUMBER)
        self._point_process = {}
        self._halos = None
        self.n_impossible = 0
        self.engine = make_engine(vars(self))
        names = default_weights(self.engine, MixtureDensityNetwork(self.n_components))
        self.weight_names = [self.parameter_prefix + name for name in names]
        self.default_weights = np.array([start for start, _ in names.values()])
        if self.box_size is not None:
            self._read()

    def _read(self):
        with logged_errors(self.log):
            everything = read_catalogue(
                self.catalogue,
                self.box_size,
                columns=self.columns,
                wrap=self.wrap,
                length_unit=self.length_unit,
                mass_unit=self.mass_unit,
            )
            self._halos = everything.above(self.mass_threshold)
        reach = float(everything.position.max())
        if reach < 0.75 * self.box_size:
            self.log.warning(
                "All halos in '%s' lie below %g Mpc/h in every coordinate, but box_size is %g: "
                "is that the right box?",
                everything.source,
                reach,
                self.box_size,
            )
        density = len(self._halos.mass) / self.box_size**3
        alpha_shift = np.log(density) if self.alpha_shift is None else float(self.alpha_shift)
        self.network = MixtureDensityNetwork(
            self.n_components, self.measure, self.spacing, alpha_shift, float(self.sigma_shift)
        )
        self.log.info(
            "%d of %d halos in '%s' lie above %g Msun/h: %.3g per (Mpc/h)^3; alpha_shift = %.4f.",
            len(self._halos.mass),
            len(everything.mass),
            everything.source,
            self.mass_threshold,
            density,
            alpha_shift,
        )
        # Compile now, where an error shows, rather than inside the first likelihood.
        self.value_and_gradient(np.zeros((self.kernel_size + 1,) * 3), self.default_weights)
        self.n_impossible = 0

    def initialize_with_provider(self, provider):
        super().initialize_with_provider(provider)
        grid = provider.requirement_providers["matter_density"].grid
        if self.box_size is None:
            self.box_size = grid.box_size
            self._read()
        elif not np.isclose(self.box_size, grid.box_size, rtol=1e-6, atol=0):
            raise LoggedError(
                self.log,
                "Option 'box_size' is %g Mpc/h, but the density's box has %g Mpc/h.",
                self.box_size,
                grid.box_size,
            )
        if self.kernel_size > grid.n:
            raise LoggedError(
                self.log,
                "Option 'kernel_size' is %d; expected at most n_grid = %d.",
                self.kernel_size,
                grid.n,
            )

    def get_requirements(self):
        return {"matter_density": None, **dict.fromkeys(self.weight_names)}

    def field_revision(self):
        return self.provider.requirement_providers["matter_density"].field_revision()

    # The likelihood, with or without a Cobaya model

    @property
    def halos(self):
        """:class:`~cobaya_neuralbias.catalogue.HaloCatalogue` above the threshold."""
        if self._halos is None:
            raise LoggedError(
                self.log, "Option 'box_size' is needed to use this likelihood without a theory."
            )
        return self._halos

    def point_process(self, n_grid):
        """:class:`~cobaya_neuralbias.bias.point_process.PointProcess` on ``n_grid``^3 voxels."""
        if n_grid not in self._point_process:
            halos = self.halos
            self._point_process[n_grid] = PointProcess(
                self.engine,
                self.network,
                (self.box_size / n_grid) ** 3,
                halos.voxel(n_grid),
                np.log(halos.mass / self.mass_threshold),
            )
        return self._point_process[n_grid]

    def value_and_gradient(self, density, weights):
        """Log-likelihood and its gradients with respect to the density and to the weights.

        Parameters
        ----------
        density : (n, n, n) float64, matter density contrast
        weights : (n_weights,) float64, in the order of ``weight_names``

        Returns
        -------
        float, (n, n, n) float64, (n_weights,) float64
            An impossible point gives -inf and zero gradients, and is counted in ``n_impossible``.
        """
        result = self.point_process(density.shape[0]).value_and_gradient(density, weights)
        self.n_impossible += not np.isfinite(result[0])
        return result

    def log_likelihood(self, density, **weights):
        """Log-likelihood of the density contrast (n, n, n) and the weights given by name."""
        return self.value_and_gradient(density, [weights[name] for name in self.weight_names])[0]

    def logp(self, _derived=None, **params_values):
        return self.log_likelihood(
            self.provider.get_matter_density(), **{p: params_values[p] for p in self.weight_names}
        )

    def close(self):
        if self.n_impossible:
            self.log.info(
                "%d proposed points had no finite likelihood and were rejected.", self.n_impossible
            )
