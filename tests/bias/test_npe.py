"""The neural physical engine against its definition, its symmetries, its gradients."""

import re
from dataclasses import replace
from itertools import permutations, product
from math import factorial

import numpy as np
import pytest
from scipy import ndimage, special

from cobaya_neuralbias.bias.npe import INVARIANT_EPS, NeuralPhysicalEngine

ENGINES = {
    "paper": NeuralPhysicalEngine(3, "log_density", 0.01),
    "density": NeuralPhysicalEngine(3, "density"),
    "wide": NeuralPhysicalEngine(5),
    "dipole too": NeuralPhysicalEngine(multipoles=(0, 1)),
    "quadrupole": NeuralPhysicalEngine(multipoles=(2,)),
    "wide, all": NeuralPhysicalEngine(5, multipoles=(0, 1, 2)),
    "two layers": NeuralPhysicalEngine(layers=2),
    "three layers, all": NeuralPhysicalEngine(multipoles=(0, 1, 2), layers=3),
    "invariant": NeuralPhysicalEngine(multipoles=(0, 1, 2), invariant=True),
    "wide, invariant": NeuralPhysicalEngine(5, multipoles=(1, 2), invariant=True),
    "invariant, two layers": NeuralPhysicalEngine(multipoles=(0, 2), layers=2, invariant=True),
    "tanh": NeuralPhysicalEngine(multipoles=(0, 1), layers=2, activation="tanh"),
    "linear": NeuralPhysicalEngine(multipoles=(0, 1, 2), activation="linear"),
    "linear invariant": NeuralPhysicalEngine(
        input="density", multipoles=(0, 1, 2), invariant=True, activation="linear"
    ),
}
every_engine = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
ACTIVATIONS = {"softplus": lambda x: np.logaddexp(0, x), "tanh": np.tanh, "linear": lambda x: x}


def inputs(engine, n=7, seed=0):
    rng = np.random.default_rng(seed)
    return rng.gamma(2.0, 0.5, (n, n, n)) - 1, rng.normal(0, 0.2, engine.n_weights)


def harmonic(name, offset):
    """Y_lm of our names and normalisation, from associated Legendre functions and angles."""
    degree, order, phase = {
        "": (0, 0, np.cos),
        "l1x": (1, 1, np.cos),
        "l1y": (1, 1, np.sin),
        "l1z": (1, 0, np.cos),
        "l2xy": (2, 2, np.sin),
        "l2yz": (2, 1, np.sin),
        "l2xz": (2, 1, np.cos),
        "l2z2": (2, 0, np.cos),
        "l2x2y2": (2, 2, np.cos),
    }[name]
    x, y, z = np.moveaxis(np.asarray(offset, dtype=float), -1, 0)
    r = np.sqrt(x**2 + y**2 + z**2)
    azimuth, cosine = np.arctan2(y, x), z / np.where(r > 0, r, 1)
    norm = np.sqrt(factorial(degree - order) / factorial(degree + order) * (2 if order else 1))
    legendre = (-1) ** order * special.lpmv(order, degree, cosine)
    return np.where(r > 0, norm * legendre * phase(order * azimuth), float(degree == 0))


COMPONENTS = {
    "": [""],
    "l1": ["l1x", "l1y", "l1z"],
    "l2": ["l2xy", "l2yz", "l2xz", "l2z2", "l2x2y2"],
}
DEGREES = tuple(COMPONENTS)


def cube(size):
    axis = np.arange(-(size // 2), size // 2 + 1)
    offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    return offsets, (offsets**2).sum(-1)


def by_definition(engine, delta, weights):
    """psi from the names of the weights, harmonics of scipy and a plain correlation."""
    offsets, shell = cube(engine.kernel_size)
    named = dict(zip(engine.weights(), weights, strict=True))
    activation = ACTIVATIONS[engine.activation]

    def convolved(field, prefix, angular):
        radial = np.zeros(shell.shape)
        for name, weight in named.items():
            if match := re.fullmatch(rf"{prefix}_w(\d+)", name):
                radial[shell == int(match[1])] = weight
        return ndimage.correlate(field, radial * angular, mode="wrap")

    u = delta if engine.input == "density" else np.log(1 + delta + engine.floor)
    pathways = [DEGREES[degree] for degree in engine.multipoles]
    if not engine.invariant:
        pathways = [name for pathway in pathways for name in COMPONENTS[pathway]]
    psi = 0
    for pathway in pathways:
        prefix = "_".join(filter(None, ("npe", pathway)))
        maps = [
            convolved(u, prefix, harmonic(name, offsets))
            for name in (COMPONENTS[pathway] if engine.invariant else [pathway])
        ]
        x = maps[0] if len(maps) == 1 else np.sqrt(sum(c**2 for c in maps) + INVARIANT_EPS)
        phi = activation(x + named.get(f"{prefix}_b", 0))
        for layer in range(2, engine.layers + 1):
            prefix = "_".join(filter(None, (f"npe_{layer}", pathway)))
            phi = activation(convolved(phi, prefix, 1) + named[f"{prefix}_b"])
        psi = psi + phi
    return psi


@every_engine
def test_definition(engine):
    delta, weights = inputs(engine)
    expected = by_definition(engine, delta, weights)
    np.testing.assert_allclose(engine.forward(delta, weights).psi, expected, atol=1e-12)


def test_delta_function_reproduces_each_kernel():
    """Each weight alone, in a linear engine: shell by shell, one spherical harmonic."""
    delta = np.zeros((7, 7, 7))
    delta[3, 3, 3] = 1.0
    offsets, shell = cube(7)
    engine = NeuralPhysicalEngine(5, "density", multipoles=(0, 1, 2), activation="linear")
    assert engine.n_weights == 10 + 27 + 35
    for name, weights in zip(engine.weights(), np.eye(engine.n_weights), strict=True):
        pathway, distance = re.fullmatch(r"npe_?(\w*?)_w(\d+)", name).groups()
        inside = (shell == int(distance)) & (abs(offsets).max(-1) <= 2)
        expected = np.where(inside, harmonic(pathway, -offsets), 0)
        psi = engine.forward(delta, weights).psi
        np.testing.assert_allclose(psi, expected, atol=1e-14)
        assert abs(expected).max() > 0.1


def test_harmonics_add_up_to_one():
    offsets = np.random.default_rng(0).normal(size=(20, 3))
    for names in COMPONENTS.values():
        total = sum(harmonic(name, offsets) ** 2 for name in names)
        np.testing.assert_allclose(total, 1, rtol=1e-12)


# (kernel_size, l): weights of each map, and with weights shared between the m
COUNTS = {
    (1, 0): ([1], 1),
    (3, 0): ([4], 4),
    (3, 1): ([3, 3, 3], 3),
    (3, 2): ([2, 2, 2, 2, 2], 3),
    (5, 0): ([10], 10),
    (5, 1): ([9, 9, 9], 9),
    (5, 2): ([7, 7, 7, 7, 7], 9),
}


@pytest.mark.parametrize(("size", "degree"), COUNTS)
def test_number_of_weights(size, degree):
    """One weight for each map and each shell where the harmonic of scipy is not all zero."""
    each, shared = COUNTS[size, degree]
    offsets, shell = cube(size)
    names = COMPONENTS[DEGREES[degree]]
    alive = np.array(
        [
            [abs(harmonic(name, offsets)[shell == s]).max() > 1e-12 for s in np.unique(shell)]
            for name in names
        ]
    )
    assert list(alive.sum(1)) == each
    assert alive.any(0).sum() == shared
    free = NeuralPhysicalEngine(size, multipoles=(degree,))
    together = NeuralPhysicalEngine(size, multipoles=(degree,), invariant=True)
    assert free.n_weights == sum(each) + len(each)
    assert together.n_weights == shared + 1
    deeper = NeuralPhysicalEngine(size, multipoles=(degree,), layers=2)
    n_shells = len(np.unique(shell))
    assert deeper.n_weights == free.n_weights + len(each) * (n_shells + 1)


@every_engine
def test_weights_are_named_and_labelled_once(engine):
    weights = engine.weights()
    assert len(weights) == engine.n_weights
    assert len({w.latex for w in weights.values()}) == engine.n_weights
    assert all(re.fullmatch(r"npe(_[2-9])?(_l[12][xyz2]*)?_(w\d+|b)", name) for name in weights)


def test_names():
    assert list(ENGINES["paper"].weights()) == ["npe_w0", "npe_w1", "npe_w2", "npe_w3", "npe_b"]
    latex = {name: w.latex for name, w in ENGINES["three layers, all"].weights().items()}
    assert latex["npe_w0"] == "w_{r^2=0}"
    assert latex["npe_b"] == r"b_\psi"
    assert latex["npe_l1x_w1"] == r"w^{\ell=1,x}_{r^2=1}"
    assert latex["npe_3_l2x2y2_b"] == r"b^{(3),\ell=2,x^2-y^2}_\psi"
    assert latex["npe_2_w0"] == "w^{(2)}_{r^2=0}"
    assert {"npe_l1_w1", "npe_l2_b"} <= set(ENGINES["invariant"].weights())


def start(engine):
    return np.array([weight.start for weight in engine.weights().values()])


@every_engine
def test_start(engine):
    """No kernel starts where it is stationary; l > 0 adds little to the monopole's psi."""
    delta, _ = inputs(engine)
    response = engine.forward(delta, start(engine))
    weights_bar = engine.forward_vjp(response, start(engine), delta)[1]
    for name, bar in zip(engine.weights(), weights_bar, strict=True):
        assert abs(bar) > 1e-4 or name.startswith("npe_2")
    if 0 in engine.multipoles:
        monopole = replace(engine, multipoles=(0,))
        added = response.psi - monopole.forward(delta, start(monopole)).psi
        assert np.corrcoef(response.psi.ravel(), delta.ravel())[0, 1] > 0.7
        assert abs(added).mean() < 0.6


def turns():
    """The cube's 24 rotations, and the 24 with a reflection."""
    for axes in permutations(range(3)):
        for flips in product((1, -1), repeat=3):

            def turn(field, axes=axes, flips=flips):
                return np.ascontiguousarray(
                    field.transpose(axes)[:: flips[0], :: flips[1], :: flips[2]]
                )

            yield turn


@every_engine
def test_rotations_and_reflections(engine):
    delta, weights = inputs(engine)
    psi = engine.forward(delta, weights).psi
    largest = max(
        abs(engine.forward(turn(delta), weights).psi - turn(psi)).max() for turn in turns()
    )
    if engine.invariant or engine.multipoles == (0,):
        assert largest < 1e-12
    else:
        assert largest > 0.1


def test_sums_over_m_are_invariant_under_any_rotation():
    """With weights shared between the m, the sum of squares of the maps depends on these sums."""
    offsets = np.random.default_rng(1).normal(size=(6, 3))
    turned = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    for names in COMPONENTS.values():
        before, after = (
            sum(np.outer(harmonic(name, o), harmonic(name, o)) for name in names)
            for o in (offsets, offsets @ turned)
        )
        np.testing.assert_allclose(before, after, atol=1e-12)


@every_engine
def test_translation(engine):
    delta, weights = inputs(engine)
    psi = engine.forward(delta, weights).psi
    rolled = engine.forward(np.roll(delta, (2, 3, 1), (0, 1, 2)), weights).psi
    np.testing.assert_allclose(rolled, np.roll(psi, (2, 3, 1), (0, 1, 2)), atol=1e-12)


@every_engine
def test_radius(engine):
    delta, weights = inputs(engine, n=15)
    change = engine.forward(delta, weights).psi
    delta[7, 7, 7] += 0.5
    change = change != engine.forward(delta, weights).psi
    distance = np.abs(np.argwhere(change) - 7).max()
    assert distance == engine.radius


@every_engine
def test_gradient(engine, directional):
    delta, weights = inputs(engine)
    rng = np.random.default_rng(1)
    v, u = rng.standard_normal(delta.shape), 0.02 * (1 + delta) * rng.standard_normal(delta.shape)
    delta_bar, weights_bar = engine.forward_vjp(engine.forward(delta, weights), weights, v)
    slope = directional(lambda d: engine.forward(d, weights).psi, delta, u, 0.05)
    assert np.vdot(u, delta_bar) == pytest.approx(np.vdot(slope, v), rel=1e-9)
    for i, e in enumerate(np.eye(len(weights))):
        slope = directional(lambda w: engine.forward(delta, w).psi, weights, e, 1e-3)
        assert weights_bar[i] == pytest.approx(np.vdot(slope, v), rel=1e-7, abs=1e-9)


def test_invariant_has_a_gradient_where_its_maps_vanish():
    engine = NeuralPhysicalEngine(multipoles=(1, 2), invariant=True, activation="linear")
    uniform, weights = np.zeros((4, 4, 4)), np.full(6, 0.3)
    response = engine.forward(uniform, weights)
    np.testing.assert_allclose(response.psi, 2 * np.sqrt(INVARIANT_EPS), rtol=1e-12)
    bars = engine.forward_vjp(response, weights, np.ones((4, 4, 4)))
    assert all(abs(bar).max() < 1e-12 for bar in bars)


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


@every_engine
def test_what_is_not_a_number_stays_so(engine):
    """A trajectory that blew up must be recognised."""
    delta, weights = inputs(engine)
    delta[1, 2, 3] = np.nan
    assert np.isnan(engine.forward(delta, weights).psi).any()
    if engine.input == "log_density":
        delta[1, 2, 3] = -2.0
        assert np.isnan(engine.forward(delta, weights).psi).any()


@every_engine
def test_forward_does_not_change_its_arguments(engine):
    delta, weights = inputs(engine)
    before = delta.copy(), weights.copy()
    response = engine.forward(delta, weights)
    first = engine.forward_vjp(response, weights, delta)
    second = engine.forward_vjp(response, weights, delta)
    np.testing.assert_array_equal(delta, before[0])
    np.testing.assert_array_equal(weights, before[1])
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
