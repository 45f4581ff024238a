"""The search for the best weights: known optima, several optima, saddles, bounds, dull weights."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import nbinom

from cobaya_neuralbias.bias.binned_counts import BinnedCounts
from cobaya_neuralbias.bias.fit import Objective, Spectrum, Term, fit, search
from cobaya_neuralbias.bias.mass_function import MassFunction
from cobaya_neuralbias.bias.mdn import MixtureDensityNetwork
from cobaya_neuralbias.bias.natural import NaturalEngine
from cobaya_neuralbias.bias.natural_network import NaturalNetwork, NaturalRate
from cobaya_neuralbias.bias.neyrinck import DensityContrast, LocalBias, LocalRate
from cobaya_neuralbias.bias.npe import NeuralPhysicalEngine
from cobaya_neuralbias.bias.point_process import PointProcess
from cobaya_neuralbias.bias.scatter import NegativeBinomial

N, VOLUME = 6, 30.0


class Toy:
    """A data model that is a plain function of its weights."""

    def __init__(self, n, value_and_gradient):
        self.n_weights, self.function = n, value_and_gradient

    def value_and_gradient(self, delta, weights):
        value, gradient = self.function(weights)
        return value, None, gradient


def quadratic(matrix, centre):
    return Toy(
        len(centre),
        lambda w: (
            -0.5 * (w - centre) @ matrix @ (w - centre),
            -matrix @ (w - centre),
        ),
    )


def two_wells(tilt):
    """-(x^2 - 1)^2 + tilt x - y^2 / 2: maxima near x = -1 and x = 1, a saddle near 0."""

    def function(w):
        x, y = w
        value = -((x * x - 1) ** 2) + tilt * x - 0.5 * y * y
        return value, np.array([-4 * x * (x * x - 1) + tilt, -y])

    return Toy(2, function)


def test_quadratic():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((5, 5)) * 10.0 ** np.arange(-2, 3)
    matrix, centre = root.T @ root, rng.normal(0, 30, 5)
    found = fit(Objective.of(quadratic(matrix, centre), None), np.zeros(5))
    assert found.found and found.agree == 4
    assert np.all(np.abs(found.weights - centre) < 1e-2 * found.errors)
    np.testing.assert_allclose(found.hessian, matrix, rtol=1e-5, atol=1e-8 * matrix.max())
    np.testing.assert_allclose(found.errors, np.sqrt(np.diag(np.linalg.inv(matrix))), rtol=1e-3)


def test_two_optima_are_told_apart():
    objective = Objective.of(two_wells(0.3), None)
    found = fit(objective, np.array([0.9, 0.0]), n_starts=12, scatter=1.0)
    assert found.converged.all() and not found.found
    assert 1 <= found.agree < 12
    assert found.weights[0] == pytest.approx(1.0, abs=0.1)
    # The other well lies lower by 2 tilt, nearly.
    np.testing.assert_allclose(found.values[found.agree :] - found.values[0], -0.6, atol=0.02)


def test_a_saddle_is_no_optimum():
    objective = Objective.of(two_wells(0.0), None)
    ended = search(objective, np.zeros(2))
    assert ended.converged
    assert abs(ended.weights[0]) == pytest.approx(1.0, abs=1e-3)


def test_bounds_stop_the_search():
    matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
    bounds = np.array([[-1.0, 1.0], [-np.inf, np.inf]])
    objective = Objective([Term(quadratic(matrix, np.array([4.0, 0.0])), None)], bounds=bounds)
    found = fit(objective, np.zeros(2))
    assert found.found
    # On the edge x = 1 the maximum in y: 3 y = -(1 - 4).
    np.testing.assert_allclose(found.weights, [1.0, 1.0], atol=1e-5)
    assert found.at_bound.tolist() == [True, False]


def test_a_weight_without_effect_is_told():
    matrix = np.diag([4.0, 0.0])
    found = fit(Objective.of(quadratic(matrix, np.array([2.0, 0.0])), None), np.array([0.0, 0.7]))
    assert found.found
    assert found.weights[0] == pytest.approx(2.0)
    assert found.errors[0] == pytest.approx(0.5) and found.errors[1] == np.inf


def test_impossible_starts():
    def function(w):
        return (-0.5 * w @ w, -w) if w[0] > 0 else (-np.inf, np.zeros(1))

    found = fit(Objective.of(Toy(1, function), None), np.array([-0.1]), n_starts=6)
    assert found.values[0] == pytest.approx(0.0, abs=1e-3)
    # The first start, as given, is impossible; the others were drawn again until possible.
    assert found.values[-1] == -np.inf and np.isfinite(found.values[:-1]).all()
    assert not found.found
    nowhere = Toy(1, lambda w: (-np.inf, np.zeros(1)))
    assert fit(Objective.of(nowhere, None), np.zeros(1)).value == -np.inf


def test_no_convergence_is_told():
    """A ridge that rises for ever."""
    objective = Objective.of(Toy(1, lambda w: (w[0], np.ones(1))), None)
    assert not search(objective, np.zeros(1)).converged


def test_prior_and_shared_weights():
    """Two terms of one weight each, held and shared, and a normal prior: the weighted mean."""
    one = quadratic(np.array([[4.0]]), np.array([1.0]))
    two = quadratic(np.diag([1.0, 5.0]), np.array([3.0, 2.0]))
    terms = [Term(one, None), Term(two, None, index=[0, -1], held=[0.0, 7.0])]
    objective = Objective(terms, lambda w: (-0.5 * w @ w, -w, np.ones(1)))
    found = fit(objective, np.zeros(1))
    assert found.weights[0] == pytest.approx((4 * 1 + 1 * 3) / 6)
    assert found.hessian[0, 0] == pytest.approx(6)
    assert found.value == pytest.approx(found.log_likelihood - 0.5 * found.weights[0] ** 2)
    assert terms[1].weights(found.weights)[1] == 7.0


def data(seed=0, n_halos=400):
    rng = np.random.default_rng(seed)
    delta = rng.gamma(1.0, 1.0, (N, N, N)) - 1
    rate = (1.1 + delta.ravel()) ** 1.3
    return delta, {
        "voxel_volume": VOLUME,
        "voxel": rng.choice(N**3, n_halos, p=rate / rate.sum()),
        "t": rng.exponential(0.7, n_halos),
    }


MODELS = {
    "natural": lambda k, **d: k(NaturalEngine(3, (0,)), NaturalNetwork(-3.0, 1), **d),
    "natural, counts": lambda k, **d: k(
        NaturalEngine(3, (0,), mass_index=False), NaturalRate(-3.0), **d
    ),
    "neyrinck": lambda k, **d: k(DensityContrast(), LocalRate("neyrinck", 0.05, 0.05), **d),
    "network": lambda k, **d: k(
        NeuralPhysicalEngine(), MixtureDensityNetwork(1, "log_mass", "softplus", -3.0), **d
    ),
    "linear, masses": lambda k, **d: k(
        DensityContrast(), LocalBias(LocalRate("linear", 0.2, 0.05), MassFunction(1)), **d
    ),
}
BINS = np.array([0.0, 0.4, 1.1, np.inf])
CASES = [
    ("natural", PointProcess, {}),
    ("natural", BinnedCounts, {"edges": BINS}),
    ("natural, counts", BinnedCounts, {}),
    ("natural, counts", BinnedCounts, {"scatter": NegativeBinomial()}),
    ("neyrinck", BinnedCounts, {}),
    ("network", PointProcess, {}),
    ("network", BinnedCounts, {"edges": BINS, "scatter": NegativeBinomial()}),
    ("linear, masses", PointProcess, {}),
]


@pytest.mark.parametrize("name, kind, options", CASES, ids=lambda x: getattr(x, "__name__", x))
def test_every_likelihood(name, kind, options):
    """As good as scipy's optimum, and nothing to gain nearby."""
    delta, halos = data()
    model = MODELS[name](kind, **halos, **options)
    parts = model.engine, model.network, model.scatter
    start = np.array([w.start for part in parts for w in part.weights().values()])
    # A weak prior: a handful of halos leaves some directions open.
    objective = Objective.of(
        model, delta, lambda w: (-0.125 * w @ w, -0.25 * w, np.full(len(w), 0.25))
    )
    found = fit(objective, start, n_starts=2)
    assert found.converged[0] and found.decrement < 1e-5
    assert np.linalg.eigvalsh(found.hessian)[0] > 0

    def minus(w):
        value, gradient = objective(w)
        return -value, -gradient

    other = minimize(minus, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000})
    assert found.value > -other.fun - 1e-3


def test_scatter_is_found():
    """The over-dispersion of counts that have one, of which the rate says nothing."""
    rng = np.random.default_rng(5)
    phi, mean, n = 0.5, 3.0, 16
    counts = nbinom(1 / phi, 1 / (1 + phi * mean)).rvs(n**3, random_state=rng)
    model = BinnedCounts(
        DensityContrast(),
        LocalRate("power_law", 0.1, mean / VOLUME),
        VOLUME,
        np.repeat(np.arange(n**3), counts),
        np.zeros(counts.sum()),
        scatter=NegativeBinomial(),
    )
    delta = rng.gamma(4.0, 0.25, (n, n, n)) - 1
    found = fit(Objective.of(model, delta, None), np.array([0.0, -2.0, -4.0]))
    assert found.converged[0]
    assert abs(found.weights[2] - np.log(phi)) < 4 * found.errors[2] < 0.3


def test_spectrum_inverts():
    matrix = np.array([[3.0, 1.0], [1.0, 2.0]]) * np.outer([1e3, 1e-4], [1e3, 1e-4])
    covariance, errors = Spectrum(matrix).inverse()
    np.testing.assert_allclose(covariance @ matrix, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(errors**2, np.diag(covariance))
