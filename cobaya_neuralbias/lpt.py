"""Theory: whitened phases and linear power -> LPT matter density at the catalogue's redshift."""

import numpy as np
from cobaya.log import LoggedError
from cobaya.theory import Theory
from scipy.interpolate import CubicSpline

from .catalogue import read_field
from .component import (
    POSITIVE_INTEGER,
    POSITIVE_NUMBER,
    FieldRevision,
    check_option,
    is_integer,
    is_number,
    logged_errors,
)
from .gravity import fourier
from .gravity.grid import Grid
from .gravity.growth import second_order_ratio
from .gravity.lagrangian import ASSIGNMENTS, Lagrangian, mode_amplitude
from .gravity.workspace import Workspace

DTYPES = ("float64", "float32")
OMEGAS = ("Omega_b", "Omega_cdm", "Omega_nu_massive")


class LPT(FieldRevision, Theory):
    """Lagrangian perturbation theory from white noise; see ``LPT.yaml`` for the options.

    Provides ``matter_density``, the (n_grid,)*3 density contrast at voxel centres. Linear power
    and the matter density parameter come from whichever Cobaya theory is in the yaml file. The
    phases belong to this component: :meth:`set_phases` changes them, and every cached result that
    used the old ones is dropped.
    """

    n_grid: int
    box_size: float
    order: int
    assignment: str
    redshift: float
    phases: str | None
    phases_seed: int
    dtype: str
    threads: int

    def initialize(self):
        check_option(
            self.log,
            "n_grid",
            self.n_grid,
            ("an integer of at least 4", lambda v: is_integer(v, 4)),
        )
        check_option(self.log, "box_size", self.box_size, POSITIVE_NUMBER)
        check_option(self.log, "order", self.order, (1, 2))
        check_option(self.log, "assignment", self.assignment, tuple(ASSIGNMENTS))
        check_option(
            self.log, "redshift", self.redshift, ("a number >= 0", lambda v: is_number(v, 0))
        )
        check_option(
            self.log,
            "phases_seed",
            self.phases_seed,
            ("an integer >= 0", lambda v: is_integer(v, 0)),
        )
        check_option(self.log, "dtype", self.dtype, DTYPES)
        check_option(self.log, "threads", self.threads, POSITIVE_INTEGER)
        self.grid = Grid(self.n_grid, float(self.box_size))
        self._revision = 0
        self._modes = None
        if self.phases is None:
            rng = np.random.default_rng(self.phases_seed)
            self.set_modes(rng.standard_normal(self.grid.shape))
        else:
            with logged_errors(self.log):
                field = read_field(self.phases)
            self.set_phases(fourier.resample(field, self.n_grid))
        # Compile now, where an error shows, rather than inside the first likelihood.
        tiny = Grid(4, self.box_size)
        flat = np.full(3 * 2**2 + 1, 1.0)
        model = Lagrangian(
            tiny,
            mode_amplitude(tiny, flat),
            self.order,
            self.assignment,
            workspace=Workspace(tiny, self.dtype),
        )
        model.density_vjp(model.density(np.zeros(tiny.shape)), np.zeros(tiny.shape))
        self._workspace = Workspace(self.grid, self.dtype, self.threads)
        self.log.info(
            "%d^3 particles, order %d, %s; %s with %d thread%s.",
            self.n_grid,
            self.order,
            self.assignment,
            self.dtype,
            self.threads,
            "" if self.threads == 1 else "s",
        )

    def get_requirements(self):
        z = [float(self.redshift)]
        return {
            # k_max in 1/Mpc: that of the mesh for any h <= 1.
            "Pk_grid": {
                "z": z,
                "k_max": 1.01 * self.grid.k_max,
                "nonlinear": False,
                "vars_pairs": [("delta_tot", "delta_tot")],
            },
            "Hubble": {"z": [0.0]},
            **{omega: {"z": z} for omega in OMEGAS},
        }

    def get_can_provide(self):
        return ["matter_density"]

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

    def get_phases(self):
        """The current phases as white noise (n_grid,)*3."""
        return fourier.from_modes(self._modes)

    def set_modes(self, modes):
        """The same as :meth:`set_phases` for their orthogonal real Fourier modes (copied)."""
        modes = np.array(modes, dtype=float)
        if modes.shape != self.grid.shape or not np.isfinite(modes).all():
            raise LoggedError(
                self.log, "Phases must be finite numbers of shape %r.", self.grid.shape
            )
        self._modes = modes
        self._revision += 1

    def get_modes(self):
        """Orthogonal real Fourier modes (n_grid,)*3 of the current phases; not to be written to."""
        return self._modes

    def field_revision(self):
        return self._revision

    # Physics

    def forward_model(self):
        """:class:`~cobaya_neuralbias.gravity.lagrangian.Lagrangian` at the provider's cosmology."""
        grid = self.grid
        h = self.provider.get_Hubble(0.0)[0] / 100
        k, z, power = self.provider.get_Pk_grid(("delta_tot", "delta_tot"), nonlinear=False)
        power = power[int(np.argmin(np.abs(np.asarray(z) - self.redshift)))]
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
        omega_m = sum(self.provider.get_result(omega, z=self.redshift) for omega in OMEGAS)
        return Lagrangian(
            grid,
            mode_amplitude(grid, np.concatenate([[0.0], power_mesh])),
            self.order,
            self.assignment,
            second_order_ratio(float(np.squeeze(omega_m))),
            self._workspace,
        )

    def calculate(self, state, want_derived=True, **params_values_dict):
        model = self.forward_model()
        state["forward_model"] = model
        state["matter_density"] = model.density(self._modes).delta
        if want_derived:
            state["derived"] = {"chi2_phases": float(np.sum(self._modes**2))}
        return True

    def get_matter_density(self):
        """(n_grid,)*3 matter density contrast at voxel centres; not to be written to."""
        return self.current_state["matter_density"]

    @property
    def evaluated(self):
        """Whether some point has been evaluated, so that there is a current cosmology."""
        return hasattr(self, "_current_state")

    def get_forward_model(self):
        """The forward model of the last evaluated point."""
        return self.current_state["forward_model"]
