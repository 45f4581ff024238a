"""The normalised engine: anchors, the paper's family, gradients, extremes."""

import numpy as np
import pytest

from cobaya_neuralbias.bias.normalised import NormalisedEngine
from cobaya_neuralbias.bias.npe import NeuralPhysicalEngine

ENGINES = {
    "paper": NeuralPhysicalEngine(3, floor=0.05),
    "wide density": NeuralPhysicalEngine(5, "density"),
    "all multipoles": NeuralPhysicalEngine(multipoles=(0, 1, 2)),
    "invariant": NeuralPhysicalEngine(multipoles=(0, 2), layers=2, invariant=True),
    "three layers": NeuralPhysicalEngine(layers=3),
    "tanh": NeuralPhysicalEngine(multipoles=(0, 1), layers=2, activation="tanh"),
    "linear": NeuralPhysicalEngine(multipoles=(0, 1), activation="linear"),
}
every_engine = pytest.mark.parametrize(
    "engine", [NormalisedEngine(engine) for engine in ENGINES.values()], ids=ENGINES
)


def inputs(engine, n=7):
    rng = np.random.default_rng(0)
    return rng.gamma(2.0, 0.5, (n, n, n)) - 1, rng.normal(0, 0.1, engine.n_weights)


@every_engine
def test_anchors(engine):
    rng = np.random.default_rng(1)
    for scale in (0.0, 0.1, 1.0, 3.0):
        weights = rng.normal(0, scale, engine.n_weights)
        for density, expected in zip(engine.anchors, (0.0, 1.0), strict=True):
            psi = engine.forward(np.full((4, 4, 4), density), weights).psi
            np.testing.assert_allclose(psi, expected, atol=1e-9)


def test_anchors_of_the_paper():
    engine = NormalisedEngine(ENGINES["paper"])
    for weights in (np.zeros(4), np.array([0.1, -0.2, 0.05, -3.0]), np.array([1.0, 2, 3, 30])):
        for density, expected in ((0.0, 0.0), (5.0, 1.0)):
            psi = engine.forward(np.full((4, 4, 4), density), weights).psi
            np.testing.assert_allclose(psi, expected, atol=1e-11)


def test_is_the_papers_family():
    """The same function of density but for gain and offset, which what follows absorbs."""
    engine = NormalisedEngine(ENGINES["paper"])
    delta, _ = inputs(engine)
    side = np.array([0.05, 0.02, -0.01])
    centre = 1 - np.array([6, 12, 8]) @ side
    ours = engine.forward(delta, np.array([*side, 0.7])).psi.ravel()
    theirs = engine.engine.forward(delta, np.array([centre, *side, 0.7])).psi.ravel()
    assert np.corrcoef(ours, theirs)[0, 1] == pytest.approx(1, abs=1e-13)


@every_engine
def test_weights(engine):
    weights, full = engine.weights(), engine.engine.weights()
    assert len(weights) == engine.n_weights == engine.engine.n_weights - engine.engine.layers
    assert all(full[name] == weight for name, weight in weights.items())
    assert not {"npe_w0", "npe_2_w0"} & set(weights)
    assert engine.radius == engine.engine.radius


@every_engine
def test_only_biases_matter_to_a_uniform_density(engine):
    """Kernels of the monopole add up to 1; what others make of a uniform density is taken off."""
    delta, weights = np.full((3, 3, 3), 1.7), inputs(engine)[1]
    biases = np.array([name.endswith("_b") for name in engine.weights()])
    expected = engine.forward(delta, np.where(biases, weights, 0)).psi
    np.testing.assert_allclose(engine.forward(delta, weights).psi, expected, rtol=1e-10)


@every_engine
def test_gradient(engine, directional):
    delta, weights = inputs(engine)
    rng = np.random.default_rng(1)
    v, u = rng.standard_normal(delta.shape), 0.02 * (1 + delta) * rng.standard_normal(delta.shape)
    delta_bar, weights_bar = engine.forward_vjp(engine.forward(delta, weights), weights, v)
    slope = directional(lambda d: engine.forward(d, weights).psi, delta, u, 0.05)
    assert np.vdot(u, delta_bar) == pytest.approx(np.vdot(slope, v), rel=1e-9)
    for i, e in enumerate(np.eye(len(weights))):
        slope = directional(lambda w: engine.forward(delta, w).psi, weights, e, 3e-4)
        assert weights_bar[i] == pytest.approx(np.vdot(slope, v), rel=1e-7, abs=1e-7)


@every_engine
def test_monopole_biases_beyond_their_range(engine):
    delta, weights = inputs(engine)
    biases = np.array([name in ("npe_b", "npe_2_b", "npe_3_b") for name in engine.weights()])
    responses = [engine.forward(delta, np.where(biases, b, weights)) for b in (-50.0, -90.0)]
    np.testing.assert_array_equal(responses[0].psi, responses[1].psi)
    bars = engine.forward_vjp(responses[0], np.where(biases, -50.0, weights), delta)[1]
    np.testing.assert_array_equal(bars == 0, biases)


@every_engine
def test_extreme_weights(engine):
    delta, _ = inputs(engine)
    rng = np.random.default_rng(2)
    for _ in range(50):
        weights = rng.choice([-100.0, 0.0, 100.0], engine.n_weights)
        out = engine.forward(delta, weights)
        assert np.isfinite(out.psi).all()
        bars = engine.forward_vjp(out, weights, np.ones(delta.shape))
        assert all(np.isfinite(bar).all() for bar in bars)


def test_needs_the_monopole():
    with pytest.raises(ValueError, match="monopole"):
        NormalisedEngine(NeuralPhysicalEngine(multipoles=(1, 2)))
