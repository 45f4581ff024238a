"""What the likelihoods of a halo catalogue share at Cobaya's surface: data, mesh, weights."""

import numpy as np
from cobaya.likelihood import Likelihood
from cobaya.log import LoggedError

from ..bias.binned_counts import BinnedCounts
from ..bias.completeness import CompletenessByMass
from ..bias.exclusion import MEAN_DENSITY, ExclusionProcess
from ..bias.point_process import PointProcess
from ..bias.weight import narrower
from ..catalogue import read_catalogues
from ..catalogue.mark import Mark, check_mark
from ..catalogue.resolution import mass_resolution
from ..catalogue.selection import Survey
from ..catalogue.units import check_units, need_h
from ..component import (
    POSITIVE_NUMBER,
    FieldRevision,
    PackageComponent,
    check_option,
    logged_errors,
)
from ..kernels.cache import one_compiles
from ..kernels.threads import SERIAL, Threads
from .allowed import OPTIONS, SCATTERS, check_survey, check_together
from .catalogue_and_run import (
    compare_with_run,
    constant_h,
    warn_of_equal_masses,
    warn_of_few_halos,
    warn_of_meshes,
    warn_of_threshold,
)
from .used_halos import UsedHalos

#: Derived parameters, after ``parameter_prefix``: mean density of halos [(h/Mpc)^3], linear bias
DERIVED = ("mean_density", "b1")


class HaloLikelihood(PackageComponent, FieldRevision, Likelihood):
    """A bias model compared with a halo catalogue.

    A subclass says which model: :meth:`bias_model` builds its two halves from the options
    (:mod:`cobaya_neuralbias.bias.likelihood` says what they must have).

    Without a Cobaya model, ``Subclass({"box_size": 250.0})`` gives :meth:`log_likelihood` and
    :meth:`value_and_gradient` for a density of any mesh.
    """

    catalogue: str | list
    columns: dict | None
    wrap: bool
    length_unit: str
    mass_unit: str
    origin: list | None
    h: float | None
    select: dict | None
    box_size: float | None
    mass_threshold: float
    likelihood: str
    mass_bins: list | None
    scatter: str
    width_floor: float | None
    mark: dict | None
    completeness: str | list | None
    drop_masked: bool
    boundary: str
    threads: int
    parameter_prefix: str

    _at_resume_prefer_new = [
        *Likelihood._at_resume_prefer_new,
        *("threads", "speed", "stop_at_error", "mark"),
    ]
    # option -> allowed values, see `component.check_option`; subclasses add theirs. Private, for
    # Cobaya takes public class attributes for options.
    _OPTIONS = OPTIONS

    @classmethod
    def bias_model(cls, options, mean_density=None, threads=SERIAL):
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
        parts = *cls.bias_model(options), SCATTERS[options["scatter"]]()
        return {prefix + name: w for part in parts for name, w in part.weights().items()}

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
                "prior": narrower(weight.prior, cls.default_prior(options)),
                "ref": weight.start,
                "proposal": 0.02,
                "latex": cls._label(options["parameter_prefix"], weight.latex),
            }
            for name, weight in weights.items()
        }
        defaults["params"] = {**params, **(defaults.get("params") or {})}
        return defaults

    @staticmethod
    def _label(prefix, latex):
        """LaTeX of a weight, with the prefix that tells it from those of other likelihoods."""
        words = prefix.strip("_").replace("_", r"\_")
        return rf"\mathrm{{{words}}}\;{latex}" if words else latex

    def initialize(self):
        for name, allowed in self._OPTIONS.items():
            check_option(self.log, name, getattr(self, name), allowed)
        if self.box_size is not None:
            check_option(self.log, "box_size", self.box_size, POSITIVE_NUMBER)
        self._check_bins()
        if self.drop_masked and self.completeness is None:
            raise LoggedError(
                self.log, "Option 'drop_masked' is of no use without the option 'completeness'."
            )
        self._mark = Mark.of(self.mark)
        self._threads = Threads(self.threads)
        if self.threads > 1:
            self.log.info("%d threads share the loops over voxels.", self.threads)
        self._data_model = {}
        self._log_reference = {}
        self._width_floor = self.width_floor
        self._used = None
        self.n_impossible = 0
        weights = self.weights(vars(self))
        self.weight_names = list(weights)
        self.default_weights = np.array([weight.start for weight in weights.values()])
        with logged_errors(self.log):
            check_units("catalogue", self.length_unit, self.mass_unit)
            check_mark(self._mark, self.mass_unit)
            n_ranges = None if self.mass_bins is None else len(self.mass_bins) - 1
            self._survey = Survey.read(self.completeness, self.drop_masked, self.boundary, n_ranges)
        check_survey(self.log, self, self._survey)
        self._h = self.h
        if self.box_size is not None and not self._waits_for_h:
            self._read()

    @property
    def _waits_for_h(self):
        """Whether the catalogue cannot be read before the cosmology's h is known."""
        return self._h is None and need_h(self.length_unit, self.mass_unit)

    def _check_bins(self):
        """Set the edges of the mass bins in t: 0 and infinity where the option gives none."""
        check_together(self.log, self)
        edges = self.mass_bins or [self.mass_threshold, np.inf]
        self._bins = np.log(np.array(edges, dtype=float) / self.mass_threshold)

    def _read(self):
        with logged_errors(self.log):
            parts = read_catalogues(
                self.catalogue,
                self.box_size,
                columns=self.columns,
                wrap=self.wrap,
                length_unit=self.length_unit,
                mass_unit=self.mass_unit,
                origin=self.origin,
                h=self._h,
                select=self.select,
                default_mass=self.mass_threshold if self.likelihood == "counts" else None,
                partial=self._survey.completeness is not None,
                mark=self._mark,
                log=self.log,
            )
            used = UsedHalos.of(parts, self.mass_threshold, self._bins)
        warn_of_threshold(self.log, parts, self.mass_threshold)
        warn_of_equal_masses(self.log, used.halos, self.likelihood)
        observed = self._survey.n_observed(used.halos, used.ranges)
        density = self._survey.density(used.halos, used.ranges)
        if self.width_floor is None:
            self._width_floor = mass_resolution(used.halos.mass)
        options = {**vars(self), "width_floor": self._width_floor}
        self.engine, self.network = self.bias_model(options, density, self._threads)
        self.log.info("%s", used.summary(density, observed))
        if not (used.ranges >= 0).any():
            raise LoggedError(self.log, "No halo lies in the mass bins %r.", self.mass_bins)
        n_outside = np.count_nonzero(used.ranges < 0)
        # Of a point process they are where the completeness is 0.
        if n_outside and self.likelihood == "binned":
            self.log.info(
                "%d of them lie outside the mass bins, %g to %s, and are left out.",
                *(n_outside, self.mass_bins[0], self._mark.with_unit(f"{self.mass_bins[-1]:g}")),
            )
            used = used.in_ranges() if self._survey.by_mass else used
        self._used = used
        self._warm_up()

    def initialize_with_provider(self, provider):
        super().initialize_with_provider(provider)
        theory = provider.requirement_providers["matter_density"]
        grid = theory.density_grid
        constants = provider.model.parameterization.constant_params()
        if self._waits_for_h:
            self._h = constant_h(self.log, constants, self.length_unit, self.mass_unit)
        if self.box_size is None:
            self.box_size = grid.box_size
        elif not np.isclose(self.box_size, grid.box_size, rtol=1e-6, atol=0):
            raise LoggedError(
                self.log,
                "Option 'box_size' is %g Mpc/h, but the density's box has %g Mpc/h.",
                self.box_size,
                grid.box_size,
            )
        if self._used is None:
            self._read()
        compare_with_run(self.log, self._used.stated, theory.redshift, constants, self._h)
        sampled = provider.model.parameterization.sampled_params()
        n_weights = len(set(sampled) & set(self.weight_names))
        n_halos = self.data_model(grid.n).n_compared
        warn_of_few_halos(self.log, n_halos, n_weights)
        density = self._survey.density(self._used.halos, self._used.ranges)
        warn_of_meshes(self.log, density * grid.voxel_volume, theory.grid, grid)
        if theory.dtype != "float64":
            self._warm_up(theory.dtype)

    def get_requirements(self):
        return {"matter_density": None, **dict.fromkeys(self.weight_names)}

    def field_revision(self):
        return self.provider.requirement_providers["matter_density"].field_revision()

    @property
    def hubble(self):
        """H0 in 100 km/s/Mpc that units without h were converted with; None: there were none."""
        return self._h

    # The likelihood, with or without a Cobaya model

    @property
    def halos(self):
        """:class:`~cobaya_neuralbias.catalogue.HaloCatalogue` above the threshold."""
        if self._used is None:
            if self.box_size is not None:
                raise LoggedError(
                    self.log, "Option 'h' is needed to use this likelihood without a theory."
                )
            raise LoggedError(
                self.log, "Option 'box_size' is needed to use this likelihood without a theory."
            )
        return self._used.halos

    @property
    def data(self):
        """Arrays that the posterior depends on: positions and masses above threshold, the mask."""
        mask = self._survey.completeness
        return [self.halos.position, self.halos.mass, *([] if mask is None else [mask])]

    @property
    def quantity(self):
        """:class:`~cobaya_neuralbias.catalogue.mark.Mark`: what the masses are, and their unit."""
        return self._mark

    @property
    def options_from_catalogue(self):
        """Options that may be left to the catalogue, with the values in use: those of a mock."""
        return {"width_floor": self._width_floor}

    @property
    def mass_weights(self):
        """Names of the weights that decide masses alone: numbers do not depend on them.

        Where the completeness differs between ranges of mass the numbers depend on all weights.
        """
        if self._survey.by_mass:
            return []
        parts = self.engine, self.network
        names = [name for part in parts for name in getattr(part, "mass_weights", ())]
        return [self.parameter_prefix + name for name in names]

    def data_model(self, n_grid):
        """:class:`~cobaya_neuralbias.bias.likelihood.CatalogueLikelihood` on n_grid^3 voxels."""
        if n_grid not in self._data_model:
            halos = self.halos
            with logged_errors(self.log):
                # Voxels from a face of the box to where what lies beyond matters
                radius = max(self.engine.radius, int(self.scatter == "exclusion"))
                selected = self._survey.select(
                    *(halos, self._used.ranges, n_grid, radius, self._used.name_of)
                )
            for message in selected.messages:
                self.log.info(message)
            self._data_model[n_grid] = self._compare(n_grid, selected.enters, selected.completeness)
        return self._data_model[n_grid]

    def _compare(self, n_grid, enters, completeness):
        """Data model of the halos that enter, of the kind that the options say."""
        if self._survey.by_mass:
            completeness = CompletenessByMass(self._bins, completeness)
        data = {
            "engine": self.engine,
            "network": self.network,
            "voxel_volume": (self.box_size / n_grid) ** 3,
            "voxel": self.halos.voxel(n_grid)[enters],
            "t": self._used.t[enters],
            "completeness": completeness,
            "scatter": SCATTERS[self.scatter](),
            "threads": self._threads,
        }
        if self.scatter == "exclusion":
            mass_of_voxel = MEAN_DENSITY * data["voxel_volume"]
            return ExclusionProcess(**data, threshold_mass=self.mass_threshold / mass_of_voxel)
        if self.likelihood == "point_process":
            return PointProcess(**data)
        return BinnedCounts(**data, edges=self._bins)

    @property
    def _n_grid_of_warm_up(self):
        """Of a mesh large enough for the model."""
        return 4

    @one_compiles()
    def _warm_up(self, dtype="float64"):
        """Compile now, on a small mesh, where an error shows, not inside the first likelihood."""
        n_grid = self._n_grid_of_warm_up
        completeness = None
        if self._survey.by_mass:
            completeness = np.ones((len(self._bins) - 1, n_grid**3))
        elif self._survey.completeness is not None or self._survey.open:
            completeness = np.ones(n_grid**3)
        model = self._compare(n_grid, self._used.ranges >= 0, completeness)
        model.value_and_gradient(np.zeros(3 * (n_grid,), dtype), self.default_weights)

    def value_and_gradient(self, density, weights):
        """Log-likelihood and its gradients with respect to the density and to the weights.

        Parameters
        ----------
        density : (n, n, n) float64 or float32, matter density contrast
        weights : (n_weights,) float64, in the order of ``weight_names``

        Returns
        -------
        float, (n, n, n) of the type of ``density``, (n_weights,) float64
            An impossible point gives -inf and zero gradients, and is counted in ``n_impossible``.
        """
        result = self.data_model(density.shape[0]).value_and_gradient(density, weights)
        self.n_impossible += not np.isfinite(result[0])
        return result

    def log_likelihood(self, density, **weights):
        """Log-likelihood of the density contrast (n, n, n) and the weights given by name."""
        return self.value_and_gradient(density, [weights[name] for name in self.weight_names])[0]

    def log_reference(self, n_grid):
        """What Cobaya's log-likelihood leaves out, lest it need more than a chain's eight digits.

        The log-likelihood of a homogeneous catalogue: a constant of the data and the mesh.
        """
        if n_grid not in self._log_reference:
            self._log_reference[n_grid] = self.data_model(n_grid).homogeneous(n_grid**3)
        return self._log_reference[n_grid]

    def get_can_provide_params(self):
        return [self.parameter_prefix + name for name in DERIVED]

    def logp(self, _derived=None, **params_values):
        density = self.provider.get_matter_density()
        weights = {p: params_values[p] for p in self.weight_names}
        if _derived is not None and self.output_params:
            model = self.data_model(len(density))
            values = model.linear_response(density, list(weights.values()))
            names = (self.parameter_prefix + name for name in DERIVED)
            found = dict(zip(names, values, strict=True))
            _derived.update({name: found[name] for name in self.output_params})
        return self.log_likelihood(density, **weights) - self.log_reference(len(density))

    def close(self):
        if self.n_impossible:
            self.log.info(
                "%d proposed points had no finite likelihood and were rejected.", self.n_impossible
            )
