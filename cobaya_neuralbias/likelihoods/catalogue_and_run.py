"""A catalogue against the run that uses it: threshold, redshift, cosmology, numbers, meshes."""

import numpy as np
from cobaya.log import LoggedError

from ..bias.likelihood import HALOS_PER_WEIGHT
from ..catalogue.stated import check_redshift, cosmology_warnings
from ..component import logged_errors

# A catalogue that is complete down to the threshold has its least mass close above: the numbers
# above a mass M fall at least as 1/M, so that of n halos none lies below r times the threshold with
# probability r^-n at most. Smaller ratios are those of masses in steps of a particle.
LEAST_MASS_RATIO = 1.2
LEAST_MASS_FALSE_ALARM = 1e-4
# On N-body boxes (docs/measured/amplitude.md) the inferred power is low where the field lacks modes
# below this side of a voxel [Mpc/h], and by much more with so many halos in a voxel.
COARSE_FIELD = 5.0
CROWDED = 0.4


def constant_h(log, constants, length_unit, mass_unit):
    """H0 in 100 km/s/Mpc of a run's constant parameters; refuse where it is sampled."""
    if "H0" in constants or "h" in constants:
        return constants["H0"] / 100 if "H0" in constants else constants["h"]
    raise LoggedError(
        log,
        "length_unit: %s and mass_unit: %s are converted with h, but the run has no constant "
        "parameter H0, and halos cannot move while it is sampled. Give the option 'h', the value "
        "that the catalogue was made with.",
        length_unit,
        mass_unit,
    )


def warn_of_threshold(log, parts, mass_threshold):
    """Say where the threshold means nothing, or lies below the end of the catalogue.

    Parameters
    ----------
    log : Logger
    parts : list of HaloCatalogue, one a file
    mass_threshold : float, in the unit of the masses
    """
    if without := [part.source for part in parts if not part.has_masses]:
        log.info(
            "'%s' has no masses: every halo counts, and 'mass_threshold' has no meaning.",
            "', '".join(without),
        )
        return
    least, n_halos, mark = (
        min(part.mass.min() for part in parts),
        sum(map(len, parts)),
        parts[0].mark,
    )
    ratio = least / mass_threshold
    certain = n_halos * np.log(ratio) > -np.log(LEAST_MASS_FALSE_ALARM)
    if ratio > LEAST_MASS_RATIO and certain:
        log.warning(
            "The catalogue '%s' seems to end at %s, its least %s, but 'mass_threshold' "
            "is %g: the model would take the halos between for missing. Raise it to where the "
            "catalogue is complete.",
            " + ".join(part.source for part in parts),
            *(mark.with_unit(f"{least:.4g}"), mark.name, mass_threshold),
        )


def warn_of_equal_masses(log, halos, likelihood):
    """Say where a density of masses is asked for, and all halos have one mass.

    Parameters
    ----------
    log : Logger
    halos : HaloCatalogue, above the threshold
    likelihood : str, the option
    """
    if likelihood == "point_process" and len(halos) > 1 and np.ptp(halos.mass) == 0:
        log.warning(
            "All %d halos in '%s' above 'mass_threshold' have the same %s, %s: no "
            "distribution of masses can be inferred, and the likelihood grows as it narrows. Use "
            "likelihood: counts.",
            *(len(halos), halos.source, halos.mark.name),
            halos.mark.with_unit(f"{halos.mass[0]:.6g}"),
        )


def warn_of_few_halos(log, n_halos, n_weights):
    """Say where the halos are too few for the sampled weights."""
    if n_halos < HALOS_PER_WEIGHT * n_weights:
        log.warning(
            "%d halos for %d sampled weights: fewer than %d a weight, so that the priors of the "
            "weights shape the result. Fix some, choose a smaller model (likelihood: counts, "
            "kernel_size: 1, n_components: 1), or lower 'mass_threshold'.",
            *(n_halos, n_weights, HALOS_PER_WEIGHT),
        )


def warn_of_meshes(log, per_voxel, field, density):
    """Say where the inferred amplitude is known to be low.

    Parameters
    ----------
    log : Logger
    per_voxel : float, halos a voxel of the density, where they are observed
    field, density : Grid, of the modes and of the density that halos are compared with
    """
    finer = 2 if density.voxel_side <= 2 * COARSE_FIELD else 4
    # A field that is finer than the density, and coarse all the same, wants a finer density.
    mesh = density.n * (2 if finer * density.n <= field.n else 1)
    if field.voxel_side > COARSE_FIELD and per_voxel > CROWDED:
        log.warning(
            "%.2g halos a voxel where all are observed, and a field on voxels of %.1f Mpc/h: on "
            "N-body halos the inferred power was 10 to 50 %% low in such runs. Raise "
            "'mass_threshold' (of a survey, the first of its bins), and take a finer field: "
            "n_grid: %d, bias_grid: %d (docs/explanation/limits.md).",
            *(per_voxel, field.voxel_side, finer * mesh, mesh),
        )
    elif field.voxel_side > COARSE_FIELD:
        log.info(
            "The field has voxels of %.1f Mpc/h: on N-body halos the inferred power was 1 to 14 %% "
            "low for what it lacks; 1 to 10 %% with n_grid: %d, bias_grid: %d "
            "(docs/explanation/limits.md).",
            *(field.voxel_side, finer * mesh, mesh),
        )


def compare_with_run(log, stated, redshift, constants, h):
    """Refuse files of another redshift, warn of another cosmology.

    Parameters
    ----------
    log : Logger
    stated : dict, file -> what it states of itself
    redshift : float, of the theory
    constants : dict, name -> value of the run's constant parameters
    h : float, that the catalogue was read with, or None
    """
    known = known_cosmology(constants, h)
    for file, statements in stated.items():
        with logged_errors(log):
            check_redshift(file, statements, redshift)
        for message in cosmology_warnings(file, statements, known):
            log.warning(message)


def known_cosmology(constants, h):
    """h, Omega_m and sigma8 as far as a run's constant parameters tell, by Cobaya's usual names."""

    def first(*names):
        return next((constants[name] for name in names if name in constants), None)

    known = {"sigma8": first("sigma8", "sigma_8"), "omega_m": first("omegam", "Omega_m")}
    known["h"] = constants["H0"] / 100 if "H0" in constants else first("h") or h
    baryons, cold = first("ombh2", "omega_b"), first("omch2", "omega_cdm")
    if known["omega_m"] is None and None not in (baryons, cold) and known["h"]:
        known["omega_m"] = (baryons + cold) / known["h"] ** 2
    return {name: value for name, value in known.items() if value is not None and value > 0}
