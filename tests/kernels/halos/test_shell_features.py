"""Shell sums, invariant lengths and the local terms: direct loops, a delta function, adjoints."""

import numpy as np
import pytest

from cobaya_neuralbias.bias.natural import NaturalEngine
from cobaya_neuralbias.kernels.halos import log_rate, shell_features, stencil


def arguments(size=3, multipoles=(0, 1, 2), n=5, seed=0):
    engine = NaturalEngine(size, multipoles)
    rng = np.random.default_rng(seed)
    padded = np.empty((n + 2 * engine.radius,) * 3)
    field = rng.standard_normal((n, n, n))
    stencil.pad_periodic(field, engine.radius, padded)
    weights = rng.standard_normal((len(multipoles), len(engine.shells)))
    return engine, field, padded, weights, rng.standard_normal(len(engine.shells))


@pytest.mark.parametrize("size", [3, 5])
def test_delta_function(size):
    """The monopole's sums are the weights of the shells, one by one."""
    engine, _, padded, weights, extra = arguments(size, (0,), n=9)
    field = np.zeros((9, 9, 9))
    field[4, 4, 4] = 1.0
    stencil.pad_periodic(field, engine.radius, padded)
    out = np.zeros((2, 9, 9, 9))
    shell_features.combine_features(padded, *engine._layout, weights, extra, out)
    offset = np.indices((9, 9, 9)) - 4
    for r in range(2):
        expected = np.zeros((9, 9, 9))
        inside = abs(offset).max(0) <= engine.radius
        for s, r2 in enumerate(engine.shells):
            expected[inside & ((offset**2).sum(0) == r2)] = (weights[0], extra)[r][s]
        np.testing.assert_allclose(out[r], expected, atol=1e-14)


def test_lengths_by_direct_loops():
    """l = 1 and 2 as the trace and traceless square of sums over directions."""
    engine, field, padded, weights, extra = arguments()
    out = np.zeros((2, 5, 5, 5))
    shell_features.combine_features(padded, *engine._layout, weights, extra, out)
    axis = (-1, 0, 1)
    offsets = np.array([(a, b, c) for a in axis for b in axis for c in axis])
    for i in ((0, 0, 0), (4, 2, 3), (1, 4, 0)):
        total = np.zeros(2)
        for s, r2 in enumerate((1, 2, 3)):
            shell = offsets[(offsets**2).sum(1) == r2]
            u = np.array([field[tuple((i + o) % 5)] for o in shell])
            unit = shell / np.sqrt(r2)
            vector = unit.T @ u
            tensor = np.einsum("oa,ob,o->ab", unit, unit, u) - np.eye(3) / 3 * u.sum()
            # sum_m Y_2m(a) Y_2m(b) = P_2(a.b) = 3/2 (a.b)^2 - 1/2
            squares = 0.0, vector @ vector, 1.5 * np.sum(tensor**2)
            lengths = [np.sqrt(square / len(shell) + 1) - 1 for square in squares]
            total[0] += weights[0, s] * u.sum() + weights[1:, s] @ lengths[1:]
            total[1] += extra[s] * u.sum()
        np.testing.assert_allclose(out[(slice(None), *i)], total, atol=1e-12)


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("n", [5, 17])
def test_adjoint(size, n, directional):
    engine, field, padded, weights, extra = arguments(size, n=n) if size > 1 else arguments(1, (0,))
    rng = np.random.default_rng(1)

    def features(x):
        stencil.pad_periodic(x, engine.radius, padded)
        out = np.zeros((2, *x.shape))
        shell_features.combine_features(padded, *engine._layout, weights, extra, out)
        return out

    u, v = rng.standard_normal(field.shape), rng.standard_normal((2, *field.shape))
    slope = np.vdot(directional(features, field, u, 0.02), v)
    features(field)
    padded_bar, field_bar = np.zeros(padded.shape), np.zeros(field.shape)
    bars = np.zeros(weights.shape), np.zeros(extra.shape)
    shell_features.combine_features_vjp(
        padded, *engine._layout, weights, extra, v, padded_bar, *bars
    )
    shell_features.unpad_periodic_vjp(padded_bar, engine.radius, field_bar)
    assert np.vdot(field_bar, u) == pytest.approx(slope, rel=1e-8, abs=1e-12)
    # Both sums are linear in their weights.
    out = features(field)
    assert np.vdot(bars[0], weights) == pytest.approx(np.vdot(out[0], v[0]), rel=1e-10)
    assert np.vdot(bars[1], extra) == pytest.approx(np.vdot(out[1], v[1]), rel=1e-10)


@pytest.mark.parametrize("n, radius", [(4, 0), (4, 1), (5, 2), (3, 2)])
def test_unpad_is_the_adjoint_of_padding(n, radius):
    rng = np.random.default_rng(0)
    field, bar = rng.standard_normal((n, n, n)), rng.standard_normal((n + 2 * radius,) * 3)
    padded, field_bar = np.empty(bar.shape), np.zeros(field.shape)
    stencil.pad_periodic(field, radius, padded)
    shell_features.unpad_periodic_vjp(bar, radius, field_bar)
    assert np.vdot(bar, padded) == pytest.approx(np.vdot(field_bar, field), rel=1e-12)


def test_local_terms():
    rng = np.random.default_rng(2)
    delta = rng.gamma(1.0, 1.0, (4, 4, 4)) - 1
    padded = np.empty((4, 4, 4))
    stencil.pad_log(delta, 1.1, 0, padded)
    scales, weights, hinges = np.array([0.9, 0.2]), np.array([0.7, -2.0]), np.empty((2, 4, 4, 4))
    out = np.empty((2, 4, 4, 4))
    log_rate.local_terms(
        delta, 1.1, padded, 0, 1.5, scales, weights, np.array([0.3, -0.4]), hinges, out
    )
    u = np.log(delta + 1.1)
    np.testing.assert_allclose(out[1], u - 0.4, atol=1e-14)
    expected = 1.5 * u + 0.3
    for scale, weight, hinge in zip(scales, weights, hinges, strict=True):
        softplus = np.logaddexp(0, 2 * (u + np.log(scale))) / 2
        np.testing.assert_allclose(hinge, softplus, atol=1e-14)
        expected += weight * softplus
    np.testing.assert_allclose(out[0], expected, atol=1e-13)


def test_exponential():
    x = np.concatenate([np.linspace(-700, 700, 1001), [720.0]])
    out = np.empty(x.shape)
    log_rate.exponential(x, 1.5, out)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(out, np.exp(x + 1.5), rtol=2e-13)
