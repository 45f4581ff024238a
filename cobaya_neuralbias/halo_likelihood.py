"""What the likelihoods of a halo catalogue share at Cobaya's surface: data, mesh, weights."""

import numpy as np
from cobaya.likelihood import Likelihood
from cobaya.log import LoggedError

from .bias.point_process import PointProcess
from .catalogue import read_catalogue
from .component import (
    BOOLEAN,
    POSITIVE_NUMBER,
    FieldRevision,
    check_option,
    logged_errors,
)


class HaloLikelihood(FieldRevision, Likelihood):
    """A bias model compared with a halo catalogue.

    A subclass says which model: :meth:`bias_model` builds its two halves from the options
    (:mod:`cobaya_neuralbias.bias.likelihood` says what they must have).

    Without a Cobaya model, ``Subclass({"box_size": 250.0})`` gives :meth:`log_likelihood` and
    :meth:`value_and_gradient` for a density of any mesh.
    """

    catalogue: str
    columns: dict | None
    wrap: bool
    length_unit: str
    mass_unit: str
    box_size: float | None
    mass_threshold: float
    parameter_prefix: str

    # option -> allowed values, see `component.check_option`; subclasses add theirs. Private, for
    # Cobaya takes public class attributes for options.
    _OPTIONS = {
        "wrap": BOOLEAN,
        "mass_threshold": POSITIVE_NUMBER,
        "parameter_prefix": ("a string", lambda v: isinstance(v, str)),
    }

    @classmethod
    def bias_model(cls, options, mean_density=None):
        """(engine, network) of a mapping of valid ``options``.

        ``mean_density`` [(h/Mpc)^3] is that of the halos above threshold; None while the names
        of the weights are all that is wanted.
        """
        raise NotImplementedError

    @classmethod
    def default_prior(cls, options):
        """Cobaya prior of a weight that has none of its own."""
        raise NotImplementedError

    @classmethod
    def weights(cls, options):
        """Name (prefix included) -> Weight, in the order of the likelihood."""
        prefix = options["parameter_prefix"]
        halves = cls.bias_model(options)
        return {prefix + name: w for half in halves for name, w in half.weights().items()}

    @classmethod
    def get_modified_defaults(cls, defaults, input_options=None):
        """Adds the weights of the chosen architecture to ``params``."""
        options = {**defaults, **{k: v for k, v in (input_options or {}).items() if k != "params"}}
        try:
            weights = cls.weights(options)
        except (TypeError, ValueError, KeyError, IndexError):
            return defaults  # `initialize` says what is wrong
        params = {
            name: {
                "prior": weight.prior or cls.default_prior(options),
                "ref": weight.start,
                "proposal": 0.02,
                "latex": weight.latex,
            }
            for name, weight in weights.items()
        }
        defaults["params"] = {**params, **(defaults.get("params") or {})}
        return defaults

    def initialize(self):
        for name, allowed in self._OPTIONS.items():
            check_option(self.log, name, getattr(self, name), allowed)
        if self.box_size is not None:
            check_option(self.log, "box_size", self.box_size, POSITIVE_NUMBER)
        self._data_model = {}
        self._halos = None
        self.n_impossible = 0
        weights = self.weights(vars(self))
        self.weight_names = list(weights)
        self.default_weights = np.array([weight.start for weight in weights.values()])
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
        self.engine, self.network = self.bias_model(vars(self), density)
        self.log.info(
            "%d of %d halos in '%s' lie above %g Msun/h: %.3g per (Mpc/h)^3.",
            len(self._halos.mass),
            len(everything.mass),
            everything.source,
            self.mass_threshold,
            density,
        )

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

    @property
    def options_from_catalogue(self):
        """Options that may be left to the catalogue, with the values in use: those of a mock."""
        return {}

    def data_model(self, n_grid):
        """:class:`~cobaya_neuralbias.bias.likelihood.CatalogueLikelihood` on n_grid^3 voxels."""
        if n_grid not in self._data_model:
            halos = self.halos
            self._data_model[n_grid] = PointProcess(
                self.engine,
                self.network,
                (self.box_size / n_grid) ** 3,
                halos.voxel(n_grid),
                np.log(halos.mass / self.mass_threshold),
            )
        return self._data_model[n_grid]

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
        result = self.data_model(density.shape[0]).value_and_gradient(density, weights)
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
