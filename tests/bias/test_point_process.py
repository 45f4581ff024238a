"""The point-process likelihood: limit of binned Poisson counts, gradients, impossible points."""

import numpy as np
import pytest
from scipy import integrate, stats

from cobaya_neuralbias.bias.mdn import MixtureDensityNetwork
from cobaya_neuralbias.bias.npe import NeuralPhysicalEngine
from cobaya_neuralbias.bias.point_process import PointProcess

N = 6
VOLUME = 2.5


def setup(measure="log_mass", spacing="softplus", n_halos=200):
    rng = np.random.default_rng(0)
    process = PointProcess(
        NeuralPhysicalEngine(),
        MixtureDensityNetwork(2, measure, spacing, -1.0),
        VOLUME,
        rng.integers(0, N**3, n_halos),
        rng.exponential(0.8, n_halos),
    )
    return process, rng.gamma(1.0, 1.0, (N, N, N)) - 1, rng.normal(0, 0.3, process.n_weights)


def test_limit_of_binned_counts():
    """Fine mass bins: the Poisson likelihood of the counts, less the constant of the bin widths."""
    process, delta, weights = setup(n_halos=25)
    psi = process.psi(delta, weights).ravel()
    network = process.split(weights)[1]
    width = 1e-4
    edges = np.arange(0, 60, 0.05)
    binned = 0.0
    for p in psi:  # bins without halos, summed; then the narrow ones that hold one
        density = np.exp(process.network.log_density(p, edges, network))
        binned -= VOLUME * integrate.simpson(density, x=edges)
    for voxel, t in zip(process.voxel, process.t, strict=True):
        rate = VOLUME * width * np.exp(process.network.log_density(psi[voxel], t, network))
        binned += stats.poisson.logpmf(1, rate) + rate - np.log(VOLUME * width)
    assert process.log_likelihood(delta, weights) == pytest.approx(float(binned), rel=1e-6)


@pytest.mark.parametrize("measure", ["log_mass", "mass"])
def test_gradient_in_every_weight(measure, directional):
    process, delta, weights = setup(measure)
    value, delta_bar, weights_bar = process.value_and_gradient(delta, weights)
    assert value == process.log_likelihood(delta, weights)
    for i, e in enumerate(np.eye(len(weights))):
        numeric = directional(lambda w: process.log_likelihood(delta, w), weights, e, 2e-3)
        assert weights_bar[i] == pytest.approx(numeric, rel=1e-6)
    u = 0.02 * (1 + delta) * np.random.default_rng(1).standard_normal(delta.shape)
    numeric = directional(lambda d: process.log_likelihood(d, weights), delta, u, 0.2)
    assert np.vdot(u, delta_bar) == pytest.approx(numeric, rel=1e-8)


def test_order_of_halos_does_not_matter():
    process, delta, weights = setup()
    order = np.random.default_rng(2).permutation(len(process.t))
    shuffled = PointProcess(
        process.engine, process.network, VOLUME, process.voxel[order], process.t[order]
    )
    expected = process.log_likelihood(delta, weights)
    assert shuffled.log_likelihood(delta, weights) == pytest.approx(expected, rel=1e-13)


def test_a_density_that_is_not_a_number_is_impossible():
    process, delta, weights = setup()
    delta[0, 0, 0] = np.nan
    value, delta_bar, weights_bar = process.value_and_gradient(delta, weights)
    assert value == -np.inf
    assert not delta_bar.any()
    assert not weights_bar.any()
