"""Coordinates in which cosmology moves with field and weights, and the model that guides them."""

import numpy as np
import pytest
from cobaya.model import get_model

from cobaya_neuralbias import NeuralBias, field_target
from cobaya_neuralbias.posterior.free_posterior import FreePosterior
from cobaya_neuralbias.posterior.guided_posterior import power_and_rest
from cobaya_neuralbias.posterior.layout import ParameterLayout
from cobaya_neuralbias.posterior.local_model import LocalModel, exponents_of, monomials
from cobaya_neuralbias.sampling.moments import Moments

N = 8
SD = np.array([0.05, 0.04, 2.0, 0.5])
HERE = np.array([0.81, 0.3, 69.0, 0.2])  # sigma8, omega_m, H0, nuisance


def posterior_of(order=2, rsd="none", carry=0):
    """(posterior, position) at a random field, with the model at ``HERE``."""
    target = field_target(
        get_model(
            {
                "theory": {
                    "cobaya_neuralbias.EisensteinHu": None,
                    "cobaya_neuralbias.LPT": {
                        "n_grid": N,
                        "box_size": 250.0,
                        "order": order,
                        "rsd": rsd,
                    },
                },
                "likelihood": {
                    "bias": {"class": "cobaya_neuralbias.NeuralBias", "mass_threshold": 2e13},
                    "other": {
                        "external": lambda nuisance, H0: (
                            -0.5 * ((H0 - 70) / 2) ** 2 - 0.5 * (nuisance - 0.1 * H0) ** 2
                        )
                    },
                },
                "params": {
                    "sigma8": {"prior": {"min": 0.5, "max": 1.2}, "ref": 0.81},
                    "omega_m": {"prior": {"min": 0.1, "max": 0.6}, "ref": 0.3},
                    "H0": {"prior": {"min": 50, "max": 90}, "ref": 69},
                    "nuisance": {"prior": {"dist": "norm", "loc": 0.0, "scale": 1.0}},
                    "omega_b": 0.05,
                    "n_s": 0.97,
                },
            }
        )
    )
    rng = np.random.default_rng(3)
    modes = rng.standard_normal((N, N, N))
    weights = target.likelihoods["bias"].default_weights + 0.02
    order_of = [["sigma8", "omega_m", "H0", "nuisance"].index(p) for p in target.metropolis_names]
    assert order_of == [0, 1, 2, 3]
    target.evaluate(modes, weights, HERE)
    layout = ParameterLayout(target.grid, len(weights))
    return target, FreePosterior(target, layout, carry), layout.start(modes, weights)


def draws():
    out = Moments((4,), dense=True)
    for row in np.random.default_rng(1).standard_normal((200, 4)):
        out.update(HERE + SD * row)
    return out


def guide_of(posterior, position, joint=(0, 1, 2)):
    model = posterior.local_model(draws(), np.zeros((4, 4)), position, HERE, {})
    return posterior.guide(model, np.array(joint), position, HERE), model


@pytest.fixture(scope="module")
def second_order():
    target, posterior, position = posterior_of()
    return target, posterior, position, *guide_of(posterior, position)


def test_monomials_and_their_slopes():
    terms = exponents_of(3, 4)
    assert terms.shape == (35, 3) and not terms[0].any()
    u, step = np.array([0.3, -1.2, 0.7]), 1e-6
    values, slopes = monomials(u, terms)
    assert values[(terms == [1, 2, 0]).all(1)] == pytest.approx(0.3 * 1.2**2)
    for i in range(3):
        e = step * (np.arange(3) == i)
        numerical = (monomials(u + e, terms)[0] - monomials(u - e, terms)[0]) / (2 * step)
        assert np.allclose(slopes[i], numerical, atol=1e-8)


def test_a_polynomial_is_found_again():
    def exact(theta):
        f = np.log(theta[0]), theta[1] - 1
        return np.array([f[0] ** 2 * f[1], 3 * f[1] ** 3 + f[0]]), float(f[0] - f[1] ** 2)

    mean, covariance = np.array([2.0, 0.1]), np.array([[0.04, 0.01], [0.01, 0.09]])
    model = LocalModel.fit(exact, mean, covariance, mean)
    assert list(model.logarithmic) == [True, False]  # a logarithm of the second might not exist
    for theta in (mean, np.array([1.7, 0.5]), np.array([2.3, -0.4])):
        power, slopes, rest, rest_slope = model(model.coordinates_of(theta))
        f, (a, b) = np.log(theta[0]), exact(theta)
        assert np.allclose(power, a, atol=1e-10) and rest == pytest.approx(b, abs=1e-10)
        g = theta[1] - 1
        assert np.allclose(slopes, [[2 * f * g, 1], [f**2, 9 * g**2]], atol=1e-9)
        assert np.allclose(rest_slope, [1, -2 * g], atol=1e-9)


def test_power_of_a_cosmology_is_good_to_a_part_in_a_thousand(second_order):
    target, _, position, _, stored = second_order
    model = LocalModel.from_dict(stored)
    layout = ParameterLayout(target.grid, len(target.weight_names))
    exact = power_and_rest(target, layout.weights(position))
    errors, of_rest = [], []
    for row in np.random.default_rng(9).standard_normal((20, 4)):
        others = HERE + SD * row * [1, 1, 1, 0]
        power, _, rest, _ = model(model.coordinates_of(others[:3]))
        true = exact(others)
        errors.append((power - true[0])[1:])
        of_rest.append(rest - true[1])
    assert np.sqrt(np.mean(np.square(errors))) < 1e-3
    assert np.std(of_rest) < 5e-3
    target.evaluate(layout.modes(position), layout.weights(position), HERE)


def test_parameters_of_other_likelihoods_stay_out(second_order):
    *_, model = second_order
    assert list(model["index"]) == [0, 1, 2]


def test_coordinates_there_and_back(second_order):
    _, _, position, guide, _ = second_order
    z = guide.coordinates(position, HERE)
    assert z.shape == (N**3 + 3 + 3,)
    again, others = guide.position(z)
    assert np.allclose(again, position, rtol=1e-12) and np.allclose(others, HERE, rtol=1e-12)
    z[-1] += 0.03
    moved, others = guide.position(z)
    assert others[2] == pytest.approx(HERE[2] * np.exp(0.03))
    assert np.array_equal(moved, position)
    z[N**3] += 0.1  # the first of the weights that move
    assert guide.position(z)[0][N**3] == pytest.approx(position[N**3] + 0.1)


@pytest.mark.parametrize("order, rsd", [(1, "none"), (2, "none"), (2, "z")])
def test_gradient(order, rsd):
    _, posterior, position = posterior_of(order, rsd)
    guide, _ = guide_of(posterior, position)
    z = guide.coordinates(position, HERE + SD * [0.5, -0.5, 0.3, 0])
    value, gradient = guide.value_and_gradient(z)
    rng = np.random.default_rng(0)
    ways = [np.append(rng.standard_normal(N**3), np.zeros(6))]
    ways += [1.0 * (np.arange(z.size) == i) for i in range(N**3, z.size)]
    for way in ways:
        step = 1e-5
        ends = [guide.value_and_gradient(z + sign * step * way)[0] for sign in (1, -1)]
        numerical = (ends[0] - ends[1]) / (2 * step)
        assert gradient @ way == pytest.approx(numerical, rel=2e-5, abs=2e-4 * abs(value) * 1e-3)


def test_the_exact_density_has_its_jacobian(second_order):
    target, _, position, guide, model = second_order
    others = HERE + SD * [1, -1, 0.5, 0]
    z = guide.coordinates(position, others)
    layout = ParameterLayout(target.grid, len(target.weight_names))
    result = target.evaluate(layout.modes(position), layout.weights(position), others)
    expected = result.logpost - 0.5 * position[: N**3] @ position[: N**3]
    expected += np.log(others[:3])[LocalModel.from_dict(model).logarithmic].sum()
    assert guide.log_density(z) == pytest.approx(expected, rel=1e-10)
    assert guide.log_posterior == pytest.approx(result.logpost, rel=1e-10)
    target.evaluate(layout.modes(position), layout.weights(position), HERE)


@pytest.mark.parametrize("order, tolerance", [(1, 0.15), (2, 0.15)])
def test_the_model_follows_the_exact_density(order, tolerance):
    """With the first order the density knows the power alone; the second has its own growth."""
    _, posterior, position = posterior_of(order)
    guide, _ = guide_of(posterior, position)
    start = guide.coordinates(position, HERE)
    constant = guide.log_density(start) - guide.value_and_gradient(start)[0]
    changes = []
    for shift in ([0.03, 0, 0], [0, 0.05, 0], [0, 0, 0.01], [-0.03, 0.05, -0.01]):
        z = start.copy()
        z[-3:] += shift
        exact, model = guide.log_density(z), guide.value_and_gradient(z)[0]
        changes.append(abs(exact - constant - guide.value_and_gradient(start)[0]))
        assert abs(exact - model - constant) < tolerance
    assert max(changes) > 10 * tolerance  # there was something to follow


def test_the_model_leaves_the_target_where_it_is(second_order):
    target, posterior, position, guide, _ = second_order
    there = HERE + SD * [1, 1, 1, 0]
    layout = ParameterLayout(target.grid, len(target.weight_names))
    target.evaluate(layout.modes(position), layout.weights(position), there)
    before = posterior.value_and_gradient(position)[0]
    guide.value_and_gradient(guide.coordinates(position, there))
    assert posterior.value_and_gradient(position)[0] == before
    held = guide.held()
    guide.log_density(guide.coordinates(position, HERE))
    assert posterior.value_and_gradient(position)[0] != before
    guide.hold(held)
    assert posterior.value_and_gradient(position)[0] == before


def test_outside_of_the_priors_the_density_is_zero(second_order):
    _, _, position, guide, _ = second_order
    z = guide.coordinates(position, HERE)
    held = guide.held()
    for i, value in ((-3, np.log(2.0)), (-2, np.log(0.05)), (-1, 800.0)):
        outside = z.copy()
        outside[i] = value
        assert guide.log_density(outside) == -np.inf
    guide.hold(held)


def test_it_carries_at_the_centre():
    _, posterior, position = posterior_of(carry=2)
    guide, _ = guide_of(posterior, position)
    assert len(guide.transport.carriers) > 0
    assert guide_of(*posterior_of()[1:])[0].transport is None


def test_beyond_the_region_the_polynomials_go_on_as_lines(second_order):
    *_, stored = second_order
    model = LocalModel.from_dict(stored)
    way = np.array([0.6, -0.8, 0.0])
    points = [model.centre + model.root @ (r * way) for r in (2.9, 2.999, 3.001, 4.0, 6.0)]
    power, slopes, rest, rest_slope = zip(*[model(f) for f in points], strict=True)
    assert np.allclose(power[1], power[2], atol=5e-2) and np.allclose(slopes[2], slopes[4])
    along = model.root @ way
    assert np.allclose(power[4] - power[3], 2 * along @ slopes[4], rtol=1e-9)
    assert rest[4] - rest[3] == pytest.approx(2 * along @ rest_slope[4], rel=1e-9)
    assert not np.allclose(slopes[0], slopes[4])


def test_a_guide_does_not_ask_for_the_likelihood_of_the_chains_field(second_order, monkeypatch):
    """That may be zero at the centre, as it may be when a run is resumed."""
    target, posterior, position, guide, model = second_order
    exact = NeuralBias.value_and_gradient

    def of_the_mean_alone(self, density, weights):
        value, *slopes = exact(self, density, weights)
        return (-np.inf if density.any() else value, *slopes)

    monkeypatch.setattr(NeuralBias, "value_and_gradient", of_the_mean_alone)
    elsewhere = 1.01 * position  # Cobaya has stored nothing of these modes
    target.theory.set_modes(elsewhere[: N**3].reshape(3 * (N,)))
    assert target.model.logposterior(target.point(elsewhere[N**3 :], HERE)).logpost == -np.inf
    again = posterior.guide(model, np.arange(3), elsewhere, HERE)
    assert np.array_equal(again._log_power, guide._log_power)


def test_no_model_where_nothing_moves_the_power():
    calls = []

    def exact(theta):
        calls.append(theta)
        return np.ones(3), -0.5 * float(theta @ theta)

    assert LocalModel.fit(exact, np.ones(2), np.eye(2), np.ones(2)) is None
    assert LocalModel.fit(lambda theta: None, np.ones(2), np.eye(2), np.ones(2)) is None
