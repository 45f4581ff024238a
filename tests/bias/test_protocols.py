"""The parts of bias models are what :mod:`cobaya_neuralbias.bias.protocols` says."""

import inspect
from types import SimpleNamespace

import numpy as np
import pytest

from cobaya_neuralbias.bias.mass_function import MassFunction
from cobaya_neuralbias.bias.mdn import MixtureDensityNetwork
from cobaya_neuralbias.bias.natural import NaturalEngine
from cobaya_neuralbias.bias.natural_network import NaturalNetwork, NaturalRate
from cobaya_neuralbias.bias.neyrinck import DensityContrast, LocalBias, LocalRate
from cobaya_neuralbias.bias.npe import NeuralPhysicalEngine
from cobaya_neuralbias.bias.protocols import Engine, Network, Rate, TabulatedNetwork
from cobaya_neuralbias.bias.weight import Weight

ENGINES = [NaturalEngine(), NeuralPhysicalEngine(), DensityContrast()]
RATES = [NaturalRate(), LocalRate()]
NETWORKS = [NaturalNetwork(), MixtureDensityNetwork(), LocalBias(LocalRate(), MassFunction())]
PARTS = [
    *((part, Engine) for part in ENGINES),
    *((part, Rate) for part in RATES + NETWORKS),
    *((part, Network) for part in NETWORKS),
    (MixtureDensityNetwork(), TabulatedNetwork),
    (NaturalNetwork(), TabulatedNetwork),
]


def ids(value):
    return value.__name__ if inspect.isclass(value) else type(value).__name__


def methods_of(protocol):
    return {
        name: function
        for base in protocol.__mro__
        for name, function in vars(base).items()
        if inspect.isfunction(function) and not name.startswith("_")
    }


@pytest.mark.parametrize(("part", "protocol"), PARTS, ids=ids)
def test_is_one(part, protocol):
    assert isinstance(part, protocol)
    for name, function in methods_of(protocol).items():
        expected = list(inspect.signature(function).parameters)[1:]
        assert list(inspect.signature(getattr(part, name)).parameters) == expected, name
    weights = part.weights()
    assert len(weights) == part.n_weights
    assert all(isinstance(weight, Weight) for weight in weights.values())


def test_a_rate_knows_no_masses():
    assert not any(isinstance(rate, Network) for rate in RATES)
    assert not any(isinstance(rate, TabulatedNetwork) for rate in RATES)
    assert not isinstance(NaturalEngine(), Rate)


@pytest.mark.parametrize("missing", ["n_weights", "weights", "radius", "forward", "forward_vjp"])
def test_what_misses_something_is_none(missing):
    names = {"n_weights", "weights", "radius", "forward", "forward_vjp"}
    parts = {name: getattr(DensityContrast(), name) for name in names}
    assert isinstance(SimpleNamespace(**parts), Engine)
    del parts[missing]
    assert not isinstance(SimpleNamespace(**parts), Engine)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("engine", ENGINES, ids=ids)
def test_shapes_and_types_of_an_engine(engine, dtype):
    n, rng = 6, np.random.default_rng(0)
    delta = rng.uniform(-0.5, 1, (n, n, n)).astype(dtype)
    weights = rng.normal(0, 0.1, engine.n_weights)
    response = engine.forward(delta, weights)
    assert response.psi.shape[-3:] == (n, n, n) and response.psi.ndim in (3, 4)
    assert response.psi.dtype in (dtype, np.float64)
    delta_bar, weights_bar = engine.forward_vjp(response, weights, np.ones_like(response.psi))
    assert delta_bar.shape == (n, n, n) and delta_bar.dtype == response.psi.dtype
    assert weights_bar.shape == (engine.n_weights,) and weights_bar.dtype == np.float64


@pytest.mark.parametrize("network", NETWORKS, ids=ids)
def test_shapes_of_a_network(network):
    m, edges, rng = 5, np.array([0.0, 1.0, np.inf]), np.random.default_rng(0)
    psi = rng.normal(0, 0.3, (2, m) if isinstance(network, NaturalRate) else m)
    weights = rng.normal(0, 0.1, network.n_weights)
    halos = np.array([1, 3]), np.array([0, 2, 3]), rng.uniform(0, 2, 3)

    def check_bars(psi_bar, weights_bar):
        assert psi_bar.shape == psi.shape and weights_bar.shape == (network.n_weights,)

    assert network.number_density(psi, weights).shape == (m,)
    check_bars(*network.number_density_vjp(psi, np.ones(m), weights))
    assert network.binned_density(psi, edges, weights).shape == (2, m)
    check_bars(*network.binned_density_vjp(psi, edges, np.ones((2, m)), weights))
    assert network.log_density(psi, np.zeros(m), weights).shape == (m,)
    value, *bars = network.sum_log_density_with_vjp(psi, halos, weights)
    assert np.isfinite(value)
    check_bars(*bars)
    value, *bars = network.log_likelihood_with_vjp(psi, 8.0, halos, weights, np.ones(m))
    assert np.isfinite(value)
    check_bars(*bars)
    t = network.draw_t(rng, psi, weights)
    assert t.shape == (m,) and (t >= 0).all()
