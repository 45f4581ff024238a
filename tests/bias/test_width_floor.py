"""The floor of the widths, in every parametrisation: gradients, draws, a bounded likelihood."""

import numpy as np
import pytest
from scipy import stats

from cobaya_neuralbias.bias.mass_function import MassFunction
from cobaya_neuralbias.bias.mdn import MixtureDensityNetwork
from cobaya_neuralbias.bias.natural_network import NaturalNetwork
from cobaya_neuralbias.catalogue.resolution import LEAST_RESOLUTION, mass_resolution

FLOOR = 0.2
RNG = np.random.default_rng(5)
N_VOXELS, N_HALOS = 12, 40
VOXEL = np.arange(N_VOXELS)
FIRST = np.concatenate([[0], np.cumsum(RNG.multinomial(N_HALOS, np.full(N_VOXELS, 1 / N_VOXELS)))])
T = RNG.exponential(0.8, N_HALOS)
EDGES = np.array([0.0, 0.4, 1.0, np.inf])


def networks(floor):
    return {
        "natural": NaturalNetwork(-1.0, 2, width_floor=floor),
        "three": NaturalNetwork(-1.0, 3, width_floor=floor),
        "paper": MixtureDensityNetwork(2, "log_mass", "softplus", -1.0, width_floor=floor),
        "paper, mass": MixtureDensityNetwork(2, "mass", "softplus", -1.0, -1.0, width_floor=floor),
    }


def inputs(network):
    psi = RNG.standard_normal(N_VOXELS)
    return np.stack([psi, 0.5 * psi - 0.2]) if isinstance(network, NaturalNetwork) else psi


def narrow(network, by=0.0):
    """Weights of components about as wide as the floor, or narrower by e^-by."""
    weights = np.array([w.start for w in network.weights().values()])
    names = list(network.weights())
    for i, name in enumerate(names):
        if name.startswith("sigma_b"):
            weights[i] = -1.8 - by
        if name == "kappa_b":
            weights[i] = 3.0 + 2 * by
        if name.startswith("sigma_w"):
            weights[i] = 0.1
    return weights


@pytest.mark.parametrize("name", networks(FLOOR))
@pytest.mark.parametrize("binned", [False, True])
def test_gradients(name, binned, directional):
    network = networks(FLOOR)[name]
    psi, weights = inputs(network), narrow(network)
    out_bar = RNG.standard_normal((3, N_VOXELS))
    halos = VOXEL, FIRST, T

    def value(psi, weights):
        if binned:
            return np.vdot(out_bar, network.binned_density(psi, EDGES, weights))
        return network.sum_log_density_with_vjp(psi, halos, weights)[0]

    if binned:
        psi_bar, weights_bar = network.binned_density_vjp(psi, EDGES, out_bar, weights)
    else:
        _, psi_bar, weights_bar = network.sum_log_density_with_vjp(psi, halos, weights)
    u, v = RNG.standard_normal(psi.shape), RNG.standard_normal(weights.shape)
    along_psi = directional(lambda x: value(x, weights), psi, u, 1e-3)
    along_weights = directional(lambda w: value(psi, w), weights, v, 1e-3)
    assert np.vdot(psi_bar, u) == pytest.approx(along_psi, rel=1e-7, abs=1e-9)
    assert np.vdot(weights_bar, v) == pytest.approx(along_weights, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", networks(FLOOR))
def test_normalised(name):
    """The densities' integral over t is the number above threshold."""
    network = networks(FLOOR)[name]
    psi, weights = inputs(network), narrow(network, 1.0)
    t = np.linspace(0, 12, 200_001)
    for at in range(3):
        one = psi[..., at : at + 1]
        density = np.exp(network.log_density(one[..., None], t, weights)).ravel()
        total = np.trapezoid(density, t)
        assert total == pytest.approx(
            float(np.ravel(network.number_density(one, weights))[0]), rel=1e-5
        )


@pytest.mark.parametrize("name", networks(FLOOR))
def test_the_likelihood_of_equal_masses_is_bounded(name):
    """Many halos of one mass: without a floor a spike there gains without end."""
    halos = VOXEL, FIRST, np.where(np.arange(N_HALOS) < 30, 0.7, T)
    gains = {}
    for floor in (0.0, FLOOR):
        network = networks(floor)[name]
        values = []
        for sharp in (0.0, 8.0, 16.0):
            starts = {name: weight.start for name, weight in network.weights().items()}
            mean = np.log(np.expm1(1.7)) if "mu_b0" in starts else 0.7
            # The second component stands on the mass.
            at = {**starts, "mu_b0": -1.0, "mu_b1": mean, "mu_w1": 0.0, "sigma_b1": -1.8 - sharp}
            weights = np.array([at[name] for name in starts])
            psi = inputs(network) * 0.0
            values.append(network.sum_log_density_with_vjp(psi, halos, weights)[0])
        gains[floor] = values[2] - values[1]
    assert gains[0.0] > 100
    assert abs(gains[FLOOR]) < 1e-3


def test_draws_follow_the_density():
    network = NaturalNetwork(-1.0, 2, width_floor=FLOOR)
    weights = narrow(network, 2.0)
    psi = np.zeros((2, 20_000))
    t = network.draw_t(np.random.default_rng(1), psi, weights)
    grid = np.linspace(0, 12, 20_001)
    density = np.exp(network.log_density(psi[:, :1], grid, weights) - network.alpha_shift)
    cumulative = np.concatenate(
        [[0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(grid))]
    )
    test = stats.kstest(t, lambda x: np.interp(x, grid, cumulative / cumulative[-1]))
    assert test.pvalue > 1e-3
    # Negative control: without the floor it is another distribution.
    other = NaturalNetwork(-1.0, 2).draw_t(np.random.default_rng(1), psi, weights)
    assert stats.kstest(other, lambda x: np.interp(x, grid, cumulative)).pvalue < 1e-9


def test_mass_function(directional):
    masses = MassFunction(2, width_floor=FLOOR)
    weights = np.array([-1.0, 1.0, -2.0, -3.0, 0.3])
    _, bar = masses.sum_log_density_with_vjp(T, weights)
    v = RNG.standard_normal(5)
    expected = directional(lambda w: masses.sum_log_density_with_vjp(T, w)[0], weights, v, 1e-3)
    assert bar @ v == pytest.approx(expected, rel=1e-8)
    t = np.full(N_HALOS, 0.7)
    sharp = [np.array([-1.0, np.log(np.expm1(1.7)), -1.0, b, 3.0]) for b in (-20.0, -30.0)]
    one, other = (masses.sum_log_density_with_vjp(t, w)[0] for w in sharp)
    assert one == pytest.approx(other, abs=1e-5)


def test_resolution_of_a_catalogue():
    particle = 8e10
    multiples = particle * np.random.default_rng(0).geometric(0.02, 5000)[:, None].ravel()
    above = multiples[multiples >= 2e12]
    assert mass_resolution(above) == pytest.approx(particle / above.min(), rel=0.15)
    assert mass_resolution(multiples[multiples >= 2e13]) == LEAST_RESOLUTION
    continuous = 1e13 * (1 + np.random.default_rng(0).pareto(1.2, 5000))
    assert mass_resolution(continuous) == LEAST_RESOLUTION
    digits = 10 ** np.round(np.log10(continuous), 1)
    assert mass_resolution(digits) == pytest.approx(0.1 * np.log(10), rel=1e-6)
    assert mass_resolution(np.array([1e13])) == LEAST_RESOLUTION
    assert mass_resolution(np.full(50, 1e13)) == LEAST_RESOLUTION
