"""Cobaya theory: the analytic linear matter power spectrum and growth of flat LCDM.

It answers under Cobaya's own names for a Boltzmann code, so ``camb`` takes its place
by a change of the theory's name in the input.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import NamedTuple

import numpy as np
from cobaya.log import LoggedError
from cobaya.theories.cosmo import BoltzmannBase
from cobaya.tools import Pool1D, Pool2D, PoolND

from ..component import PackageComponent
from ..gravity import growth
from ..gravity.power import LinearPower, spline_wavenumbers
from ..gravity.sound_horizon import RANGE_IN_WORDS, T_FITTED, sound_horizon, within_range

#: Each quantity and the sets of input parameters that fix it: exactly one set must be given.
INPUTS = {
    "expansion rate": (("h",), ("H0",)),
    "densities": (("omega_m", "omega_b"), ("omch2", "ombh2")),
    "tilt": (("n_s",), ("ns",)),
    "amplitude": (("sigma8",), ("As",)),
}

#: Parameters accepted at one value only, for the sake of inputs written for a Boltzmann code.
FIXED = {"mnu": 0.0, "omk": 0.0, "w": -1.0}

#: Fields that coincide when there are no massive neutrinos.
MATTER = {"delta_tot", "delta_nonu"}

#: Derived parameters, of a :class:`LinearPower`.
DERIVED = {
    "h": lambda p: p.h,
    "H0": lambda p: 100 * p.h,
    "omega_m": lambda p: p.omega_m,
    "omegam": lambda p: p.omega_m,
    "omega_b": lambda p: p.omega_b,
    "omegab": lambda p: p.omega_b,
    "omegac": lambda p: p.omega_m - p.omega_b,
    "omega_de": lambda p: 1 - p.omega_m,
    "ombh2": lambda p: p.omega_b * p.h**2,
    "omegabh2": lambda p: p.omega_b * p.h**2,
    "omch2": lambda p: (p.omega_m - p.omega_b) * p.h**2,
    "omegach2": lambda p: (p.omega_m - p.omega_b) * p.h**2,
    "omegamh2": lambda p: p.omega_m * p.h**2,
    "n_s": lambda p: p.n_s,
    "ns": lambda p: p.n_s,
    "As": lambda p: p.a_s,
    "sigma8": lambda p: p.sigma8,
    "rdrag": lambda p: sound_horizon(p.omega_b * p.h**2, p.omega_m * p.h**2),
    "S8": lambda p: p.sigma8 * np.sqrt(p.omega_m / 0.3),
}


def _comoving_distance(z, p):
    return growth.comoving_distance(z, p.omega_m) / p.h  # [Mpc]


#: Functions of redshift, of (z, LinearPower), in Cobaya's units (Mpc, H in 1/Mpc).
OF_REDSHIFT = {
    "Hubble": lambda z, p: p.h / growth.HUBBLE_DISTANCE * growth.expansion_rate(z, p.omega_m),
    "Omega_b": lambda z, p: p.omega_b / p.omega_m * growth.omega_m_at(z, p.omega_m),
    "Omega_cdm": lambda z, p: (1 - p.omega_b / p.omega_m) * growth.omega_m_at(z, p.omega_m),
    "Omega_nu_massive": lambda z, p: np.zeros_like(z, dtype=float),
    "comoving_radial_distance": _comoving_distance,
    "angular_diameter_distance": lambda z, p: _comoving_distance(z, p) / (1 + z),
    "sigma8_z": lambda z, p: p.sigma8 * growth.growth(z, p.omega_m),
    "fsigma8": lambda z, p: (
        p.sigma8 * growth.growth(z, p.omega_m) * growth.growth_rate(z, p.omega_m)
    ),
}


def _distance_between(pairs, p):
    near, far = np.transpose(pairs)
    return (_comoving_distance(far, p) - _comoving_distance(near, p)) / (1 + far)


class Collector(NamedTuple):
    """A requested function of redshift: where BoltzmannBase looks up its redshifts."""

    z_pool: PoolND
    method: Callable


class EisensteinHu(PackageComponent, BoltzmannBase):
    r"""
    Linear matter power spectrum in flat LCDM with massless neutrinos: transfer function of
    Eisenstein & Hu \cite{Eisenstein:1997ik}, growth and distances in closed form.
    """

    wiggles: bool
    T_cmb: float
    stop_at_error: bool
    speed: float

    def initialize(self):
        self.extra_args = getattr(self, "extra_args", None) or {}
        super().initialize()
        if not self.T_cmb > 0:
            raise LoggedError(self.log, "T_cmb must be positive [K]: got %r", self.T_cmb)
        if self.extra_args:
            self._refuse_extensions(self.extra_args)
            self.log.warning(
                "extra_args are meant for a Boltzmann code, ignored here: %s",
                ", ".join(self.extra_args),
            )

    # Parameters ----------------------------------------------------------------------------

    def get_allow_agnostic(self):
        return False

    def get_can_support_params(self):
        names = [p for alternatives in INPUTS.values() for names in alternatives for p in names]
        return names + list(FIXED)

    def get_can_provide_params(self):
        return [p for p in DERIVED if p not in self.input_params]

    _told_of_rdrag = False

    def initialize_with_params(self):
        super().initialize_with_params()
        problems = []
        for quantity, alternatives in INPUTS.items():
            given = [p for names in alternatives for p in names if p in self.input_params]
            chosen = [names for names in alternatives if set(names) & set(given)]
            choice = ", or ".join(" and ".join(names) for names in alternatives)
            if not given:
                problems.append(f"{quantity} missing: give {choice}")
            elif len(chosen) > 1:
                problems.append(
                    f"{quantity} given twice or in conflict ({', '.join(given)}): give {choice}, "
                    "not both ('drop: True' hides a parameter from the theory)"
                )
            elif set(chosen[0]) != set(given):
                absent = " and ".join(p for p in chosen[0] if p not in given)
                problems.append(f"{quantity} incomplete: {absent} missing beside {given[0]}")
        if problems:
            raise LoggedError(
                self.log,
                "Cannot fix the cosmology from its input parameters: %s.",
                "; ".join(problems),
            )

    def initialize_with_provider(self, provider):
        super().initialize_with_provider(provider)
        constants = provider.model.parameterization.constant_params()
        self._refuse_extensions({p: constants[p] for p in self.input_params if p in constants})

    def _refuse_extensions(self, values):
        for p, only in FIXED.items():
            if values.get(p, only) != only:
                raise LoggedError(
                    self.log,
                    "%s = %g is outside this theory, flat LCDM with massless neutrinos: "
                    "only %s = %g. Use a Boltzmann code (e.g. camb) instead.",
                    p,
                    values[p],
                    p,
                    only,
                )

    # Products ------------------------------------------------------------------------------

    def must_provide(self, **requirements):
        # The base class takes the options out of the dictionaries it is given: they are the user's.
        super().must_provide(**deepcopy(requirements))
        for name, options in self._must_provide.items():
            if isinstance(name, tuple):
                self._check_matter(name, options)
            elif name in OF_REDSHIFT:
                self._check_redshifts(name, options["z"])
                self.collectors[name] = Collector(Pool1D(options["z"]), OF_REDSHIFT[name])
            elif name == "angular_diameter_distance_2":
                self._check_redshifts(name, options["z_pairs"])
                self.collectors[name] = Collector(Pool2D(options["z_pairs"]), _distance_between)
            elif name not in DERIVED:
                raise LoggedError(self.log, "This theory does not compute %s.", name)

    def _check_matter(self, name, options):
        product, *rest = name
        if product == "Pk_grid" and rest.pop(0):
            raise LoggedError(
                self.log,
                "The nonlinear matter power spectrum was requested, which is Cobaya's default, but "
                "this theory is linear: request it with 'nonlinear: False', or use a Boltzmann "
                "code (e.g. camb).",
            )
        if set(rest) - MATTER:
            raise LoggedError(
                self.log,
                "%s of %s was requested: this theory knows only %s.",
                product,
                ", ".join(rest),
                " and ".join(sorted(MATTER)),
            )
        self._check_redshifts(product, options["z"])

    def _check_redshifts(self, product, z):
        z = np.asarray(z, dtype=float)
        if not np.all((z >= 0) & np.isfinite(z)):
            raise LoggedError(
                self.log, "%s requested at a redshift below 0 or not finite: %s", product, z
            )

    def calculate(self, state, want_derived=True, **params_values_dict):
        self._refuse_extensions(params_values_dict)
        power = self._linear_power(params_values_dict)
        if power is None:
            return False
        for name, collector in self.collectors.items():
            state[name] = collector.method(collector.z_pool.values, power)
        self._matter_power(state, power)
        if "rdrag" in self.output_params or "rdrag" in self._must_provide:
            self._check_sound_horizon(power)
        if want_derived:
            state["derived"] = {p: DERIVED[p](power) for p in self.output_params}
        state["derived_extra"] = {
            p: DERIVED[p](power) for p, options in self._must_provide.items() if options is None
        }
        return True

    def _check_sound_horizon(self, power):
        """Refuse or, of the densities, say once where the fit of ``rdrag`` does not hold."""
        if abs(self.T_cmb - T_FITTED) > 0.01:
            raise LoggedError(
                self.log,
                "'rdrag' was fitted for T_cmb = %g K, and the option is %g: use a Boltzmann code "
                "(e.g. camb) instead.",
                *(T_FITTED, self.T_cmb),
            )
        densities = power.omega_b * power.h**2, power.omega_m * power.h**2
        if not self._told_of_rdrag and not within_range(*densities):
            self._told_of_rdrag = True
            self.mpi_warning(
                "'rdrag' is extrapolated: its fit holds for %s. At %.4g and %.4g it may be off by "
                "more than its 2e-4.",
                *(RANGE_IN_WORDS, *densities),
            )

    def _linear_power(self, params):
        """Spectrum of the parameters of either style, None where they have no meaning."""
        h = params["h"] if "h" in params else params["H0"] / 100
        if not h > 0:
            self.log.debug("Point rejected: h = %g", h)
            return None
        if "omega_m" in params:
            omega_m, omega_b = params["omega_m"], params["omega_b"]
        else:
            omega_b = params["ombh2"] / h**2
            omega_m = params["omch2"] / h**2 + omega_b
        amplitude = params["sigma8"] if "sigma8" in params else params["As"]
        if not (0 < omega_b < omega_m and amplitude > 0):
            self.log.debug(
                "Point rejected: omega_m = %g, omega_b = %g, sigma8 or As = %g",
                omega_m,
                omega_b,
                amplitude,
            )
            return None
        build = LinearPower.from_sigma8 if "sigma8" in params else LinearPower.from_primordial
        power = build(
            amplitude,
            omega_m=omega_m,
            omega_b=omega_b,
            h=h,
            n_s=params["n_s"] if "n_s" in params else params["ns"],
            t_cmb=self.T_cmb,
            wiggles=self.wiggles,
        )
        if not (np.isfinite(power.amplitude) and power.amplitude > 0):
            self.log.debug("Point rejected: spectrum of amplitude %g", power.amplitude)
            return None
        return power

    def _matter_power(self, state, power):
        """Pk_grid [1/Mpc, Mpc^3] and sigma_R [Mpc] of every requested pair of fields."""
        matter = {key: v for key, v in self._must_provide.items() if isinstance(key, tuple)}
        grids = {key: v for key, v in matter.items() if key[0] == "Pk_grid"}
        if grids:
            # Massless neutrinos: one spectrum for all pairs, so one grid that serves them all.
            k_max = max(0.1, *(options["k_max"] for options in grids.values()))
            k = spline_wavenumbers(float(k_max), self.wiggles)
            today = power(k / power.h) / power.h**3
        for key, options in matter.items():
            growth_z = growth.growth(options["z"], power.omega_m)
            if key in grids:
                state[key] = k, options["z"], np.outer(growth_z**2, today)
            else:
                sigma = [power.sigma_r(radius * power.h) for radius in options["R"]]
                state[key] = options["z"], options["R"], np.outer(growth_z, sigma)
