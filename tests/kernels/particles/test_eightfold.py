"""Eight particles a site painted at once: against one lattice after the other, and the adjoint."""

from itertools import permutations, product

import numpy as np
import pytest

from cobaya_neuralbias.kernels.particles import assignment, eightfold, quarter_shifts
from cobaya_neuralbias.kernels.particles.assignment import refined
from cobaya_neuralbias.kernels.threads import Threads

OFFSETS = list(product((-0.25, 0.25), repeat=3))
FACTORS = (1, 2, 0.5, 0.25)
each_name = pytest.mark.parametrize("name", list(assignment.SPLINES))
each_factor = pytest.mark.parametrize("factor", FACTORS)


def sites(factor):
    """A side, of which the mesh has four nodes or more."""
    return 16 if factor == 0.25 else 8


def painted(name, field, factor=1, threads=1):
    density = np.zeros(3 * (round(factor * field.shape[1]),), field.dtype)
    eightfold.paint(name, field, density, refined(factor), factor**3 / 8, Threads(threads))
    return density


def painted_vjp(name, field, density_bar, threads=1):
    factor = len(density_bar) / field.shape[1]
    bar = np.zeros_like(field)
    lattice = refined(factor)
    eightfold.paint_vjp(name, field, density_bar, bar, lattice, factor**3 / 8, Threads(threads))
    return bar


@each_name
@each_factor
def test_against_one_lattice_after_the_other(name, factor, rng):
    n = sites(factor)
    m = round(n * factor)
    field, v = rng.normal(0, 2, (3, n, n, n)), rng.normal(size=(m, m, m))
    all_eight = quarter_shifts.displacements(field)
    expected, bars = np.zeros((m, m, m)), np.zeros(all_eight.shape)
    for x, bar, offset in zip(all_eight, bars, OFFSETS, strict=True):
        lattice = refined(factor, offset)
        assignment.paint(name, x, expected, lattice, factor**3 / 8)
        assignment.paint_vjp(name, x, v, bar, lattice, factor**3 / 8)
    found = painted(name, field, factor)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found.mean() == pytest.approx(1, rel=1e-13)
    back = painted_vjp(name, field, v)
    np.testing.assert_allclose(back, quarter_shifts.displacements_vjp(bars), atol=1e-12)


@each_factor
def test_adjoint(factor, directional, rng):
    """By differences of high order; steps are short, as derivatives jump at faces."""
    n = sites(factor)
    m = round(n * factor)
    field, u = rng.normal(0, 2, (2, 3, n, n, n))
    v = rng.normal(size=(m, m, m))
    slope = directional(lambda x: np.vdot(v, painted("pcs", x, factor)), field, u, 1e-5)
    assert np.vdot(u, painted_vjp("pcs", field, v)) == pytest.approx(slope, rel=1e-7, abs=1e-8)


def cube():
    """The 48 rotations and reflections: order of the axes, and which of them are reversed."""
    return list(product(permutations(range(3)), product((1, -1), repeat=3)))


def turned(field, order, signs, is_vector):
    axes = tuple(np.flatnonzero(np.array(signs) < 0))
    lead = 1 if is_vector else 0
    out = np.transpose(field, (*range(lead), *(a + lead for a in order)))
    out = np.flip(out, tuple(a + lead for a in axes))
    return out[list(order)] * np.reshape(signs, (3, 1, 1, 1)) if is_vector else out


@each_factor
def test_the_symmetries_of_the_cube(factor, rng):
    field = rng.normal(0, 1.5, (3, *3 * (sites(factor),)))
    v = rng.normal(size=3 * (round(sites(factor) * factor),))
    density, back = painted("tsc", field, factor), painted_vjp("tsc", field, v)
    assert len(cube()) == 48
    for order, signs in cube():
        other = np.ascontiguousarray(turned(field, order, signs, True))
        expected = turned(density, order, signs, False)
        np.testing.assert_allclose(painted("tsc", other, factor), expected, atol=1e-12)
        v_other = np.ascontiguousarray(turned(v, order, signs, False))
        expected = turned(back, order, signs, True)
        np.testing.assert_allclose(painted_vjp("tsc", other, v_other), expected, atol=1e-12)
    # Negative control: a vector whose components stay behind is not the same flow.
    order, signs = (1, 0, 2), (1, 1, 1)
    wrong = np.ascontiguousarray(turned(field, order, signs, True)[[1, 0, 2]])
    expected = turned(density, order, signs, False)
    assert np.abs(painted("tsc", wrong, factor) - expected).max() > 1e-3


@each_factor
def test_shifts(factor, rng):
    """By a voxel of the mesh, of the field or of all displacements."""
    field = rng.normal(0, 1.5, (3, *3 * (sites(factor),)))
    density = painted("tsc", field, factor)
    spacings, nodes = (1, round(factor)) if factor >= 1 else (round(1 / factor), 1)
    shifted = painted("tsc", np.roll(field, spacings, 2), factor)
    np.testing.assert_allclose(shifted, np.roll(density, nodes, 1), atol=1e-12)
    moved = field.copy()
    moved[2] += spacings
    np.testing.assert_allclose(
        painted("tsc", moved, factor), np.roll(density, nodes, 2), atol=1e-12
    )


@pytest.mark.parametrize(
    "shape, spread, tiles",
    [((32, 32, 32), 0.3, 8), ((24, 24, 24), 100.0, 1), ((40, 96, 8), 0.5, 240)],
)
def test_any_number_of_threads_gives_the_same_bits(shape, spread, tiles, rng):
    """With slabs, with displacements that reach too far for any, and with tiles."""
    field = rng.uniform(-spread, spread, (3, *shape))
    n = max(shape)
    w = quarter_shifts.stencil(float)
    found = eightfold._tiles(field, w, 1.0, 3, n, Threads(1))
    assert sum(map(len, found)) == tiles
    v = rng.normal(size=(n, n, n))
    results = []
    for number in (1, 2, 3):
        density, bar, threads = np.zeros((n, n, n)), np.zeros_like(field), Threads(number)
        eightfold.paint("tsc", field, density, threads=threads)
        eightfold.paint_vjp("tsc", field, v, bar, threads=threads)
        results.append((density, bar))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@each_factor
def test_tiles_of_one_colour_do_not_meet(factor, rng):
    """No node is reached from two of them."""
    n = 64
    field = 3.3 + rng.uniform(-0.7, 0.7, (3, n, 8, 8))
    field[1:] = 0
    all_eight, nodes = quarter_shifts.displacements(field), 3
    w = quarter_shifts.stencil(float)
    tiles = eightfold._tiles(field, w, float(factor), nodes, round(n * factor), Threads(1))
    assert len(tiles) == 2
    for colour in tiles:
        reached = np.zeros(round(n * factor), int)
        for i0, i1, _, _ in colour:
            own = np.zeros(reached.size, bool)
            for x, offset in zip(all_eight[:, 0, i0:i1], OFFSETS, strict=True):
                i = np.arange(i0, i1)[:, None, None]
                at = factor * (i + x) + refined(factor, offset).offset[0] - (nodes - 2) / 2
                for a in range(nodes):
                    own[(np.floor(at).astype(int) + a) % reached.size] = True
            reached += own
        assert reached.max() == 1


def test_single_precision(rng):
    """Of one spline: numbers and splines are independent, and each pair of them compiles long."""
    name = "tsc"
    field, v = rng.normal(0, 1.5, (3, 9, 9, 9)), rng.normal(size=(9, 9, 9))
    single = field.astype(np.float32)
    density, bar = painted(name, single), painted_vjp(name, single, v.astype(np.float32))
    assert density.dtype == bar.dtype == np.float32
    np.testing.assert_allclose(density, painted(name, field), atol=2e-5)
    np.testing.assert_allclose(bar, painted_vjp(name, field, v), atol=2e-5)


def test_compiled_as_interpreted(rng, monkeypatch):
    from cobaya_neuralbias.kernels.particles import scatter_gather

    n = 4
    field, w = rng.normal(0, 2, (3, n, n, n)), quarter_shifts.stencil(float)
    powers, slopes = assignment.spline("tsc", field.dtype)
    frame, size = (1.0, 0.1, 0.2, -0.3), n + len(powers[0]) - 1
    mesh = rng.normal(size=(size, size, size))
    tiles, slabs = np.array([(0, 2, 0, 3), (0, 2, 3, 4), (2, 4, 0, 4)]), np.array([(0, 1), (1, 4)])
    calls = [
        (lambda k, m: k(0, 3, tiles, field, w, frame, powers, m), eightfold.scatter, mesh),
        (
            lambda k, g: k(0, 2, slabs, field, w, frame, powers, slopes, mesh, g),
            eightfold.gather_gradient,
            np.ones(field.shape),
        ),
    ]
    compiled = []
    for call, kernel, output in calls:
        compiled.append(output.copy())
        call(kernel, compiled[-1])
    for module in (eightfold, scatter_gather):
        for name in dir(module):
            inner = getattr(module, name)
            if hasattr(inner, "py_func") and inner not in (call[1] for call in calls):
                monkeypatch.setattr(module, name, inner.py_func)
    for (call, kernel, output), result in zip(calls, compiled, strict=True):
        before = output.copy()
        call(kernel.py_func, output)
        np.testing.assert_allclose(result, output, atol=1e-13)
        assert not np.array_equal(before, output)
        output[...] = before


def test_broken_displacements_do_not_crash():
    field = np.zeros((3, 8, 8, 8))
    field[0, 0, 0, 0], field[1, 4, 4, 4], field[2, 7, 0, 0] = np.nan, np.inf, 1e300
    painted("tsc", field)
    painted_vjp("tsc", field, np.ones((8, 8, 8)))


def test_displacements_that_are_not_finite_are_no_error(rng):
    """A trajectory that ran away is rejected where its density is read, and not before."""
    for bad in (np.inf, np.nan):
        field = rng.normal(0, 1, (3, 8, 8, 8))
        field[0, 1, 2, 3] = bad
        assert painted("cic", field).shape == (8, 8, 8)
