"""Maximum likelihood on mocks of the model itself: the truth comes back within the errors."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import chi2, kstest

from cobaya_neuralbias.bias.fit import Objective, fit
from cobaya_neuralbias.bias.natural import NaturalEngine
from cobaya_neuralbias.bias.natural_network import NaturalNetwork
from cobaya_neuralbias.bias.point_process import PointProcess

pytestmark = pytest.mark.slow

N, VOLUME, N_MOCKS = 16, 500.0, 50
NETWORK = NaturalNetwork(np.log(4e-3), 1)


def density():
    """(N, N, N) log-normal density contrast, smooth over a voxel."""
    u = gaussian_filter(np.random.default_rng(0).standard_normal((N, N, N)), 0.7, mode="wrap")
    y = np.exp(1.2 * u / u.std())
    return y / y.mean() - 1


def truth(engine):
    """Weights with some 4,600 halos, every one of them determined by the data."""
    values = {n: w.start for half in (engine, NETWORK) for n, w in half.weights().items()}
    values.update(npe_w0=2.0, npe_h0=-1.0, npe_h1=0.2)
    return values


def draw(rng, model, delta, weights):
    """(voxel, t) of halos drawn from the model."""
    voxel = np.repeat(np.arange(N**3), model.draw_counts(rng, delta, weights).ravel())
    psi = model.psi(delta, weights).reshape(2, -1)[:, voxel]
    return voxel, model.network.draw_t(rng, psi, model.split(weights)[1])


def pulls(fitted, n_mocks):
    """Of each fit: chi^2 of the true weights about it, by its Hessian; starts that agree."""
    drawn = NaturalEngine(3, (0, 1))
    delta, true = density(), truth(drawn)
    drawn_from = PointProcess(drawn, NETWORK, VOLUME, np.array([0]), np.array([0.1]))
    at = np.array([true[name] for half in (fitted, NETWORK) for name in half.weights()])
    out = []
    for seed in range(n_mocks):
        voxel, t = draw(np.random.default_rng(seed), drawn_from, delta, np.array([*true.values()]))
        model = PointProcess(fitted, NETWORK, VOLUME, voxel, t)
        found = fit(Objective.of(model, delta), at, n_starts=2, seed=seed, scatter=0.3)
        away = at - found.weights
        assert found.converged[0]
        out.append((away @ found.hessian @ away, found.agree))
    return np.array(out).T


def test_truth_within_the_errors():
    engine = NaturalEngine(3, (0, 1))
    squares, agree = pulls(engine, N_MOCKS)
    n = engine.n_weights + NETWORK.n_weights
    # A start ends at another, lower optimum now and then, and the fit says so.
    assert np.mean(agree == 2) > 0.8
    # Of the sum, 4 standard deviations; of its distribution, one in a thousand
    assert abs(squares.sum() - n * N_MOCKS) < 4 * np.sqrt(2 * n * N_MOCKS)
    assert kstest(squares, chi2(n).cdf).pvalue > 1e-3


def test_a_wrong_model_is_seen():
    """Negative control: without the dipole's weights, of which one is -3, the rest is off."""
    engine = NaturalEngine(3, (0,))
    squares, _ = pulls(engine, 5)
    n = engine.n_weights + NETWORK.n_weights
    assert squares.sum() - 5 * n > 10 * np.sqrt(2 * n * 5)
