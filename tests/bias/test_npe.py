"""The neural physical engine: symmetry, kernel, gradients, the normalised form."""

from itertools import permutations, product

import numpy as np
import pytest

from cobaya_neuralbias.bias.npe import NeuralPhysicalEngine

ENGINES = {
    "paper": NeuralPhysicalEngine(3, "log_density", 0.01),
    "density": NeuralPhysicalEngine(3, "density"),
    "wide": NeuralPhysicalEngine(5),
    "normalised": NeuralPhysicalEngine(3, floor=0.05, anchors=(0.0, 5.0)),
    "normalised density": NeuralPhysicalEngine(5, "density", anchors=(0.0, 5.0)),
}
every_engine = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)


def inputs(engine, n=7, seed=0):
    rng = np.random.default_rng(seed)
    return rng.gamma(2.0, 0.5, (n, n, n)) - 1, rng.normal(0, 0.2, engine.n_weights)


def test_number_of_weights():
    assert ENGINES["paper"].n_weights == 5
    assert list(ENGINES["paper"].weight_shells) == [0, 1, 2, 3]
    assert ENGINES["normalised"].n_weights == 4
    assert ENGINES["wide"].n_weights == 11
    assert NeuralPhysicalEngine(1).n_weights == 2


@every_engine
def test_rotations_and_translation(engine):
    delta, weights = inputs(engine)
    psi = engine.forward(delta, weights).psi
    for axes in permutations(range(3)):
        for flips in product((1, -1), repeat=3):

            def turn(field, axes=axes, flips=flips):
                return np.ascontiguousarray(
                    field.transpose(axes)[:: flips[0], :: flips[1], :: flips[2]]
                )

            np.testing.assert_allclose(
                engine.forward(turn(delta), weights).psi, turn(psi), atol=1e-12
            )
    rolled = engine.forward(np.roll(delta, 2, 1), weights).psi
    np.testing.assert_allclose(rolled, np.roll(psi, 2, 1), atol=1e-12)


def test_delta_function_reproduces_the_kernel():
    engine = NeuralPhysicalEngine(3, "density")
    weights = np.array([0.5, -0.3, 0.2, 0.1, 40.0])  # the softplus is the identity up there
    delta = np.zeros((7, 7, 7))
    delta[3, 3, 3] = 1.0
    psi = engine.forward(delta, weights).psi - 40.0
    for offset, shell in zip(engine.offsets, engine.shells, strict=True):
        assert psi[tuple(3 + offset)] == pytest.approx(weights[shell], abs=1e-12)
    assert np.count_nonzero(np.abs(psi) > 1e-12) == 27


def test_normalised_is_anchored():
    engine = ENGINES["normalised"]
    for weights in (np.zeros(4), np.array([0.1, -0.2, 0.05, -3.0]), np.array([1.0, 2, 3, 30])):
        for density, expected in ((0.0, 0.0), (5.0, 1.0)):
            psi = engine.forward(np.full((4, 4, 4), density), weights).psi
            np.testing.assert_allclose(psi, expected, atol=1e-11)


def test_normalised_is_the_papers_family():
    """The same function of density but for gain and offset, which what follows absorbs."""
    delta, _ = inputs(ENGINES["normalised"])
    paper = NeuralPhysicalEngine(3, floor=0.05)
    side = np.array([0.05, 0.02, -0.01])
    centre = 1 - np.array([6, 12, 8]) @ side
    ours = ENGINES["normalised"].forward(delta, np.array([*side, 0.7])).psi.ravel()
    theirs = paper.forward(delta, np.array([centre, *side, 0.7])).psi.ravel()
    assert np.corrcoef(ours, theirs)[0, 1] == pytest.approx(1, abs=1e-13)


@every_engine
def test_gradient(engine, directional):
    delta, weights = inputs(engine)
    rng = np.random.default_rng(1)
    v, u = rng.standard_normal(delta.shape), 0.02 * (1 + delta) * rng.standard_normal(delta.shape)
    delta_bar, weights_bar = engine.forward_vjp(engine.forward(delta, weights), weights, v)
    slope = directional(lambda d: engine.forward(d, weights).psi, delta, u, 0.05)
    assert np.vdot(u, delta_bar) == pytest.approx(np.vdot(slope, v), rel=1e-10)
    for i, e in enumerate(np.eye(len(weights))):
        slope = directional(lambda w: engine.forward(delta, w).psi, weights, e, 1e-3)
        assert weights_bar[i] == pytest.approx(np.vdot(slope, v), rel=1e-8)


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
