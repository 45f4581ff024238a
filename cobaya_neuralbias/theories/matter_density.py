"""What the theories of the matter density share: options, phases, and the linear power."""

import numba
import numpy as np
from cobaya.conventions import OutPar
from cobaya.log import LoggedError
from cobaya.theory import Theory
from scipy.interpolate import CubicSpline

from ..catalogue import read_field
from ..component import (
    POSITIVE_INTEGER,
    POSITIVE_NUMBER,
    FieldRevision,
    PackageComponent,
    check_option,
    is_integer,
    is_number,
    logged_errors,
)
from ..gravity import fourier
from ..gravity.background import Growth, scale_factors
from ..gravity.grid import Grid
from ..gravity.lagrangian import ASSIGNMENTS, mode_amplitude
from ..gravity.line_of_sight import EARLIEST
from ..gravity.sublattices import INTERPOLATIONS, OFFSETS, Sublattices
from ..gravity.workspace import WORKSPACES
from ..kernels.cache import one_compiles
from . import expansion, memory, observer
from .expansion import OMEGAS
from .stored_fields import CHI2_TOLERANCE, EACH, StoredFields

DTYPES = ("float64", "float32")
# Voxels of the field along the side of one of the density's: what `bias_grid` may make of `n_grid`
COARSER = (1, 2, 4)
# Least k_max to ask for [1/Mpc]. A Boltzmann code integrates sigma8, which may normalise P(k), no
# further than it is asked for P(k). By then CAMB's has converged to 1e-4, its P(k) to 2e-4.
CONVERGED_K_MAX = 10.0
LEAST_REDSHIFT = 0.1
AXES = {"none": None, "x": 0, "y": 1, "z": 2, "radial": None}


class MatterDensity(PackageComponent, FieldRevision, Theory):
    """Whitened phases and linear power -> matter density at the catalogue's redshift.

    Provides ``matter_density``, the (bias_grid,)*3 density contrast at voxel centres. Linear power,
    the matter density parameter and, where growth is needed, the expansion rate come from
    whichever Cobaya theory is in the yaml file. The phases belong to this component:
    :meth:`set_phases` changes them, and every cached result that used the old ones is dropped.

    A subclass has :meth:`build`, and may extend :meth:`check_options`.
    """

    n_grid: int
    bias_grid: int | None
    box_size: float
    assignment: str
    particles_per_voxel: int
    particle_interpolation: str
    rsd: str
    observer: list | None
    fiducial_omega_m: float | None
    redshift: float
    phases: str | None
    phases_seed: int
    dtype: str
    transforms: str
    threads: int

    _at_resume_prefer_new = [*Theory._at_resume_prefer_new, "threads", "speed", "stop_at_error"]

    def build(self, workspace, amplitude, omega_m, growth):
        """The forward model, with the interface of :class:`Lagrangian`.

        Parameters
        ----------
        workspace : MeshTransforms, one of :data:`~cobaya_neuralbias.gravity.workspace.WORKSPACES`
        amplitude : (n, n, n//2+1) float64, see :func:`mode_amplitude`
        omega_m : float, matter over critical density at the catalogue's redshift
        growth : Growth, None where :attr:`growth_from` is
        """
        raise NotImplementedError

    @property
    def growth_from(self):
        """First scale factor at which growth must be known, None if it is not needed."""
        if self.fiducial_omega_m is not None:
            return EARLIEST
        return None if self.rsd == "none" else self.a_last

    @property
    def sees_distances(self):
        """Whether what is seen depends on the distance from the observer, beside velocities."""
        return self.fiducial_omega_m is not None

    def fields(self):
        """Most fields of ``dtype``, on the mesh of the field, alive at once in a gradient.

        By the compiled transforms, and without those of the likelihood.
        """
        raise NotImplementedError

    @property
    def finest_mesh(self):
        """Points a side of the finest mesh that is transformed, in those of the field."""
        return 1

    def check_options(self):
        """Refuse options that make no sense, before any work is done."""
        for name, allowed in {
            "n_grid": ("an integer of at least 4", lambda v: is_integer(v, 4)),
            "box_size": POSITIVE_NUMBER,
            "assignment": tuple(ASSIGNMENTS),
            "particles_per_voxel": tuple(OFFSETS),
            "particle_interpolation": INTERPOLATIONS,
            "rsd": tuple(AXES),
            "redshift": ("a number >= 0", lambda v: is_number(v, 0)),
            "phases_seed": ("an integer >= 0", lambda v: is_integer(v, 0)),
            "dtype": DTYPES,
            "transforms": tuple(WORKSPACES),
            "threads": POSITIVE_INTEGER,
        }.items():
            check_option(self.log, name, getattr(self, name), allowed)
        observer.check(self)
        coarse = [
            self.n_grid // f for f in COARSER if self.n_grid % f == 0 and self.n_grid // f > 3
        ]
        check_option(self.log, "bias_grid", self.bias_grid, (None, *coarse))

    def coarse(self, n):
        """Voxels a side of the density, of a field of ``n`` a side."""
        return n * (self.bias_grid or self.n_grid) // self.n_grid

    def sublattices(self, workspace):
        """The particles of a field on the grid of ``workspace``."""
        return Sublattices(
            *(workspace, self.particles_per_voxel, self.assignment),
            *(self.coarse(workspace.grid.n), self.particle_interpolation),
        )

    def initialize(self):
        self.check_options()
        memory.check(self)
        self.grid = Grid(self.n_grid, float(self.box_size))
        self.density_grid = Grid(self.coarse(self.n_grid), float(self.box_size))
        self._revision = 0
        self._of_amplitude = None
        self._modes = self._stored_fields = None
        if self.phases is None:
            rng = np.random.default_rng(self.phases_seed)
            self.set_modes(rng.standard_normal(self.grid.shape))
        elif str(self.phases).endswith(EACH):
            with logged_errors(self.log):
                prefix = str(self.phases).removesuffix(EACH)
                self._stored_fields = StoredFields(prefix, self.n_grid)
            self.set_modes(np.zeros(self.grid.shape))
        else:
            with logged_errors(self.log):
                field = read_field(self.phases)
            self.set_phases(fourier.resample(field, self.n_grid))
        self._field_known = self.phases is not None
        workspace = WORKSPACES[self._compile()]
        self._workspace = workspace(self.grid, self.dtype, self.threads)
        self.log.info(
            "%s, %s, %d^3 voxels of %.3g Mpc/h%s; %s with %d thread%s.",
            *(self.describe(), self.assignment, self.n_grid, self.grid.voxel_side),
            "" if self.bias_grid is None else f", density on {self.bias_grid}^3",
            *(self.dtype, self.threads, "" if self.threads == 1 else "s"),
        )

    def describe(self):
        """The model in a few words, for the log."""
        raise NotImplementedError

    @one_compiles()
    def _compile(self):
        """Compile now, where an error shows, rather than inside the first likelihood.

        Returns
        -------
        str, of the transforms that can be used: those of the option or, where they cannot be built,
        those of the library
        """
        try:
            self._evaluate_tiny(self.transforms)
            return self.transforms
        except (OSError, MemoryError):  # the machine's, not the compiler's
            raise
        except Exception as error:
            if self.transforms == "library":
                raise
            self._evaluate_tiny("library")  # raises as well where something else is wrong
            self.log.debug("The compiled Fourier transforms", exc_info=True)
            self.log.warning(
                "The compiled Fourier transforms cannot be built with numba %s (%s): %s. The "
                "library's take their place, as with 'transforms: library': the same numbers to "
                "rounding, but slower.",
                numba.__version__,
                type(error).__name__,
                (str(error).strip() or "no message").splitlines()[0],
            )
            return "library"

    def _evaluate_tiny(self, transforms):
        """A density and its adjoint on the smallest mesh, by transforms of that name."""
        n = 4 * self.n_grid // (self.bias_grid or self.n_grid)
        tiny = Grid(n, self.box_size)
        a = scale_factors(self.growth_from or self.a_last, self.a_last)
        model = self.build(
            WORKSPACES[transforms](tiny, self.dtype),
            mode_amplitude(tiny, np.full(3 * (n // 2) ** 2 + 1, 1.0)),
            1.0,
            Growth.integrate(a, a**-1.5, 1.0),
        )
        evolved = model.density(np.zeros(tiny.shape))
        model.density_vjp(evolved, np.zeros(evolved.delta.shape))

    @property
    def a_last(self):
        """Scale factor of the catalogue."""
        return 1 / (1 + float(self.redshift))

    @property
    def redshift_axis(self):
        return AXES[self.rsd]

    @property
    def _growth_redshifts(self):
        """Where the expansion rate must be known, or None."""
        if self.growth_from is None:
            return None
        return expansion.growth_redshifts(self.growth_from, self.a_last)

    def get_requirements(self):
        z = [float(self.redshift)]
        # CLASS tabulates P(k) only where it is asked for at a redshift above 0.
        z_power = z if self.redshift > 0 else [0.0, LEAST_REDSHIFT]
        table = self._growth_redshifts
        return {
            # k_max in 1/Mpc: that of the mesh for any h <= 1.
            "Pk_grid": {
                "z": z_power,
                "k_max": max(1.01 * self.grid.k_max, CONVERGED_K_MAX),
                "nonlinear": False,
                "vars_pairs": [("delta_tot", "delta_tot")],
            },
            "Hubble": {"z": [0.0] if table is None else [0.0, *table]},
            **{omega: {"z": z} for omega in OMEGAS},
        }

    def get_can_provide(self):
        return ["matter_density"]

    def initialize_with_provider(self, provider):
        super().initialize_with_provider(provider)
        # `classy` has derived parameters of these names, for which Cobaya takes the requirements.
        self.input_params_extra.difference_update(OMEGAS)

    # Phases

    def set_phases(self, white_noise):
        """Make ``white_noise`` (n_grid,)*3, N(0, 1) a voxel, the current phases (copied)."""
        white_noise = np.asarray(white_noise, dtype=float)
        if white_noise.shape != self.grid.shape:
            raise LoggedError(
                self.log,
                "Phases have shape %r; expected %r.",
                white_noise.shape,
                self.grid.shape,
            )
        self.set_modes(fourier.to_modes(white_noise))

    def set_modes(self, modes, of_amplitude=None):
        """The same as :meth:`set_phases` for their orthogonal real Fourier modes (copied).

        With ``of_amplitude`` the modes of a point are that function of the linear density's
        amplitude there (see :func:`mode_amplitude`), until modes are set again.
        """
        modes = np.array(modes, dtype=float)
        if modes.shape != self.grid.shape or not np.isfinite(modes).all():
            raise LoggedError(
                self.log, "Phases must be finite numbers of shape %r.", self.grid.shape
            )
        self._field_known = True
        fixed = of_amplitude is None and self._of_amplitude is None
        if fixed and self._modes is not None and np.array_equal(modes, self._modes):
            return  # Cobaya's cached density is that of these
        self._modes, self._of_amplitude = modes, of_amplitude
        self._revision += 1

    def get_modes(self):
        """Orthogonal real Fourier modes (n_grid,)*3 of the current phases; not to be written to."""
        return self._modes

    def field_revision(self):
        return self._revision

    @property
    def field_of_each_point(self):
        """Whether the white noise is that of a run's stored sample at each point."""
        return self._stored_fields is not None

    def check_cache_and_compute(self, *args, **kwargs):
        self._check_field()
        return super().check_cache_and_compute(*args, **kwargs)

    def _check_field(self):
        """Take the white noise of the point, or say that nobody gave one.

        Cobaya's ``post`` passes all columns of a sample on as parameters: ``chi2_phases`` tells
        whether the current white noise is that of the sample.
        """
        values = self.provider.params
        recorded = values.get("chi2_phases")
        if self._stored_fields is not None:
            with logged_errors(self.log):
                self.set_phases(self._stored_fields.at(values, recorded))
        elif OutPar.minuslogpost in values:
            current = float(np.sum(self._modes**2))
            if recorded is None or abs(current - recorded) > CHI2_TOLERANCE * recorded:
                raise LoggedError(
                    self.log,
                    "post: option 'phases' is %r, of chi2_phases = %.8g, and the sample has %s: "
                    "the density would not be that of the sample. Expected 'phases: "
                    "PREFIX::each' of a run PREFIX with store_every: 1.",
                    self.phases,
                    current,
                    "no chi2_phases" if recorded is None else f"chi2_phases = {recorded:.8g}",
                )
        elif not self._field_known:
            self._field_known = True  # say it once
            self.mpi_warning(
                "Option 'phases' is null: the white noise is a draw from its prior (phases_seed: "
                "%d), which has nothing to do with the catalogue. Expected 'phases: "
                "FILE::dataset', such as chains/x.1.field.h5::samples/phases[-1] of a run, or the "
                "sampler cobaya_neuralbias.QNHMC, which samples it.",
                self.phases_seed,
            )

    # Physics

    def linear_power(self):
        """(3 (n//2)^2 + 1,) linear power [(Mpc/h)^3] as :func:`mode_amplitude` takes it."""
        grid = self.grid
        h = self.provider.get_Hubble(0.0)[0] / 100
        k, z, power = self.provider.get_Pk_grid(("delta_tot", "delta_tot"), nonlinear=False)
        power = expansion.at_redshift(self.log, self.redshift, np.asarray(z), np.asarray(power))
        k_mesh = grid.k_fundamental * np.sqrt(np.arange(1, 3 * (grid.n // 2) ** 2 + 1)) * h
        if k_mesh[0] < k[0] or k_mesh[-1] > k[-1]:
            raise LoggedError(
                self.log,
                "The linear power spectrum covers k = %g to %g 1/Mpc; the mesh needs %g to %g.",
                k[0],
                k[-1],
                k_mesh[0],
                k_mesh[-1],
            )
        power_mesh = np.exp(CubicSpline(np.log(k), np.log(power))(np.log(k_mesh))) * h**3
        return np.concatenate([[0.0], power_mesh])

    def forward_model(self):
        """The forward model at the provider's cosmology."""
        growth, table = None, self._growth_redshifts
        if table is not None:
            growth = expansion.growth(self.provider, table, self.redshift)
        amplitude = mode_amplitude(self.grid, self.linear_power())
        omega_m = expansion.omega_m(self.provider, self.redshift)
        return self.build(self._workspace, amplitude, omega_m, growth)

    def calculate(self, state, want_derived=True, **params_values_dict):
        model = self.forward_model()
        state["forward_model"] = model
        follows = self._of_amplitude
        modes = self._modes if follows is None else follows(model.amplitude)
        state["matter_density"] = model.density(modes).delta
        if want_derived:
            state["derived"] = {"chi2_phases": float(np.sum(modes**2))}
        return True

    def get_matter_density(self):
        """(bias_grid,)*3 matter density contrast at voxel centres; not to be written to."""
        return self.current_state["matter_density"]

    @property
    def evaluated(self):
        """Whether some point has been evaluated, so that there is a current cosmology."""
        return hasattr(self, "_current_state")

    def get_forward_model(self):
        """The forward model of the last evaluated point."""
        return self.current_state["forward_model"]
