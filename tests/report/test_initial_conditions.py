"""Verdicts on the inferred initial conditions, on simulated posteriors: false alarms and power."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom, kstest, norm

from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.report import initial_conditions
from cobaya_neuralbias.report.initial_conditions import (
    AXES,
    Quadrupole,
    deviation,
    power_against_truth,
)

GRID = Grid(16, 250.0)
# Of the larger shells a part: more modes cost time, and are normal all the more.
N_MODES = np.minimum(np.bincount(GRID.shells.ravel())[1:8], 100)
# Posterior variance of a mode in units of the prior's, shell by shell: as halos constrain it
UNKNOWN = np.array([0.1, 0.2, 0.3, 0.5, 0.6, 0.8, 0.9])


def correlated(rng, n, rho, m):
    """(n, m) standard normal numbers, the rows with correlation ``rho`` from one to the next."""
    out = rng.standard_normal((n, m))
    out[1:] *= np.sqrt(1 - rho**2)
    return lfilter([1.0], [1.0, -rho], out, axis=0)


def posterior(rng, n, rho, chains=1):
    """([(n, shells) power along a chain], (shells,) of the truth), of a Gaussian posterior.

    The truth is a draw from it; large scales mix slowest, as in a run.
    """
    powers, truth = [], []
    for m, unknown in zip(N_MODES, UNKNOWN, strict=True):
        mean = np.sqrt(1 - unknown) * rng.standard_normal(m)
        truth.append(np.mean((mean + np.sqrt(unknown) * rng.standard_normal(m)) ** 2))
        parts = [
            mean + np.sqrt(unknown) * correlated(rng, n, rho * (1 - unknown / 2), m)
            for _ in range(chains)
        ]
        powers.append([np.mean(part**2, axis=1) for part in parts])
    return list(np.transpose(powers, (1, 2, 0))), np.array(truth)


def family(rng, repeats, n, rho, amplitude=1.0, chains=1):
    """p of the family for each of many posteriors whose amplitude is wrong by a factor."""
    out = []
    for _ in range(repeats):
        powers, truth = posterior(rng, n, rho, chains)
        powers = [amplitude * part for part in powers]
        out.append(power_against_truth(GRID, powers, truth, N_MODES)[1]["p_family"])
    return np.array(out)


# -- the power against the truth's


SHORT_CHAINS = [(300, 0.95, 1), (60, 0.9, 1), (60, 0.9, 2)]
REPEATS = 500
# Of right posteriors 5 per cent may fail; the limit lets 8 per cent pass.
MOST_FAILURES = binom.isf(1e-3, REPEATS, 0.05)


@pytest.mark.parametrize("n, rho, chains", SHORT_CHAINS)
def test_right_runs_are_told_so(rng, n, rho, chains):
    """Of right posteriors 5 per cent fail, however few effective samples there are."""
    p = family(rng, REPEATS, n, rho, chains=chains)
    assert np.count_nonzero(p < 0.05) <= MOST_FAILURES
    assert np.isfinite(p).mean() > 0.95


def test_errors_that_ignore_the_length_of_a_chain_are_found(rng, monkeypatch):
    """Negative control: a normal variable in the place of Student's t."""

    class Normal:
        @staticmethod
        def sf(x, degrees):
            return norm.sf(x)

    monkeypatch.setattr(initial_conditions, "student", Normal)
    p = family(rng, REPEATS, 30, 0.9)
    assert np.count_nonzero(p < 0.05) > MOST_FAILURES


@pytest.mark.parametrize("amplitude, found", [(0.9, 0.3), (0.8, 0.9), (1.25, 0.88)])
def test_a_wrong_amplitude_is_found(rng, amplitude, found):
    """As often as in a longer series, but for chance."""
    number = np.count_nonzero(family(rng, 100, 300, 0.9, amplitude) < 0.05)
    assert number > binom.ppf(1e-3, 100, found)


def test_one_wrong_shell_is_found(rng):
    powers, truth = posterior(rng, 300, 0.5)
    truth[1] *= 2
    shells, total = power_against_truth(GRID, powers, truth, N_MODES)
    assert total["p_family"] < 0.05
    assert np.argmin(shells.p) == 1 and shells.z[1] < -3


def test_a_chain_that_drifts_is_not_judged():
    """Too few effective samples for an error: no p, so no verdict."""
    drift = np.linspace(0.5, 1.5, 200)[:, None] * np.ones(7)
    shells, total = power_against_truth(GRID, [drift], np.full(7, 5.0), N_MODES)
    assert np.isnan(shells.p).all() and np.isnan(total["p_family"])
    few = power_against_truth(GRID, [drift[:5]], np.full(7, 5.0), N_MODES)[1]
    assert np.isnan(few["p_family"]), "fewer than 8 samples"


def test_p_of_independent_normal_draws_is_uniform(rng):
    draws = rng.standard_normal((1, 60, 500))
    result = deviation(draws, rng.standard_normal(500))
    known = np.isfinite(result.p)
    assert known.mean() > 0.98, "a drift by chance"
    assert kstest(result.p[known], "uniform").pvalue > 1e-3
    # Where draws are independent, z is that of their mean and standard deviation.
    z = draws[0].mean(0) / draws[0].std(0)
    assert np.nanmedian(np.abs(deviation(draws, np.zeros(500)).z - z)) < 0.02


def test_total_is_that_below_half_of_the_nyquist_frequency():
    powers = [np.random.default_rng(0).uniform(0.9, 1.1, (50, 7))]
    truth = np.ones(7)
    total = power_against_truth(GRID, powers, truth, N_MODES)[1]
    inside = GRID.k_fundamental * np.arange(1, 8) < total["k_max"]
    assert np.isclose(total["k_max"], np.pi / (250 / 16) / 2) and inside.sum() == 3
    mean = powers[0].mean(0)
    assert np.isclose(total["ratio"], np.average(mean[:3], weights=N_MODES[:3]))


# -- quadrupole


def planted(rng, axis, value):
    """White noise whose power along an axis is 1 + value L2(mu)."""
    k = [2 * np.pi * np.fft.fftfreq(GRID.n), 2 * np.pi * np.fft.rfftfreq(GRID.n)]
    along = np.meshgrid(k[0], k[0], k[1], indexing="ij")
    squared = sum(one**2 for one in along)
    squared[0, 0, 0] = 1
    power = 1 + value * (1.5 * along[axis] ** 2 / squared - 0.5)
    spectrum = np.fft.rfftn(rng.standard_normal(GRID.shape)) * np.sqrt(power)
    return np.fft.irfftn(spectrum, GRID.shape, axes=(0, 1, 2))


def test_scatter_of_isotropic_fields_is_as_computed(rng):
    measure = Quadrupole(GRID)
    values = np.array([measure(rng.standard_normal(GRID.shape)) for _ in range(400)])
    assert np.allclose(values.sum(1), 0, atol=1e-12), "of three axes together there is none"
    assert np.isclose(measure.variance, 10 / measure.n_modes, rtol=0.1)
    assert np.all(np.abs(values.mean(0)) < 4 * np.sqrt(measure.variance / 400))
    assert np.allclose(values.var(0), measure.variance, rtol=0.3)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("value", [0.6, -0.5])
def test_a_planted_quadrupole_is_measured(rng, axis, value):
    measure = Quadrupole(GRID)
    values = np.mean([measure(planted(rng, axis, value)) for _ in range(60)], axis=0)
    error = np.sqrt(measure.variance / 60)
    assert abs(values[axis] - value) < 5 * error
    assert np.all(np.abs(np.delete(values, axis) + value / 2) < 5 * error)


def of_posterior(rng, n, unknown, value=0.0):
    """Summary of n posterior samples, of data that leave the fraction ``unknown`` of each mode."""
    measure, field = Quadrupole(GRID), planted(rng, 2, value)
    noise = np.sqrt(unknown / (1 - unknown)) * rng.standard_normal(GRID.shape) if unknown < 1 else 0
    mean = (1 - unknown) * (field + noise)
    samples = mean + np.sqrt(unknown) * rng.standard_normal((n, *GRID.shape))
    return measure.summary([measure(sample) for sample in samples], measure(field))


@pytest.mark.parametrize("unknown", [0.1, 0.5, 0.8])
def test_few_isotropic_posteriors_are_found_to_have_one(rng, unknown):
    z = np.array(
        [
            [[one[axis]["z"], one[axis]["z_truth"]] for axis in AXES]
            for one in (of_posterior(rng, 25, unknown) for _ in range(100))
        ]
    )
    # Now and then too few effective samples to compare with the truth
    assert np.isnan(z[:, :, 0]).sum() == 0 and np.isnan(z[:, :, 1]).mean() < 0.05
    z = np.nan_to_num(z)
    assert np.all(z.std((0, 1)) < 1.25)
    assert np.mean(np.abs(z).max((1, 2)) > 3) < 0.06
    assert z[:, :, 1].std() > 0.8, "neither are errors too large"


def test_a_quadrupole_is_found_in_a_posterior(rng):
    found = [of_posterior(rng, 20, 0.3, value=1.2)["z"] for _ in range(10)]
    assert np.mean([one["z"] for one in found]) > 3
    assert np.mean([of_posterior(rng, 20, 0.3, -0.9)["z"]["z"] for _ in range(10)]) < -3


def test_without_a_truth_or_with_one_sample():
    measure = Quadrupole(GRID)
    field = np.random.default_rng(0).standard_normal(GRID.shape)
    one = measure.summary([measure(field)])
    assert one["x"]["z_truth"] is one["x"]["truth"] is None
    assert np.isclose(one["x"]["error"], np.sqrt(measure.variance))
    assert np.isclose(one["x"]["value"], measure(field)[0])


def test_white_noise_of_the_mesh_and_not_its_nyquist_planes():
    """The measured modes lie inside the sphere, whatever the others are."""
    measure = Quadrupole(GRID)
    field = np.random.default_rng(1).standard_normal(GRID.shape)
    modes = fourier.to_modes(field)
    outside = GRID.packed_squared_index >= (measure.k_max / GRID.k_fundamental) ** 2
    modes[outside] = 7.0
    assert np.allclose(measure(fourier.from_modes(modes)), measure(field))
    assert measure.n_modes == np.count_nonzero(~outside) - 1
