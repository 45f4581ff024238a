"""Mass assignment against its definition, its conservation laws, and its adjoints."""

from itertools import product

import numpy as np
import pytest

from cobaya_neuralbias.kernels.particles import assignment, ghosts, kicks, scatter_gather
from cobaya_neuralbias.kernels.particles.assignment import Lattice, refined
from cobaya_neuralbias.kernels.threads import Threads

each_name = pytest.mark.parametrize("name", list(assignment.SPLINES))
# Lattice and the number of mesh nodes a side for each of the lattice.
LATTICES = {
    "on nodes": (Lattice(), 1),
    "shifted": (Lattice(1.0, (0.25, -0.25, 7.1)), 1),
    "twice": (refined(2, (0.25, 0.25, -0.25)), 2),
    "1.5 times": (refined(1.5), 1.5),
}


def spline(name, distance):
    """Fraction of a unit-mass particle given to a node at ``distance``, Hockney & Eastwood."""
    d = np.abs(distance)
    if name == "cic":
        return np.maximum(1 - d, 0)
    if name == "tsc":
        return np.where(d < 0.5, 0.75 - d**2, 0.5 * np.maximum(1.5 - d, 0) ** 2)
    return np.where(d < 1, (4 - 6 * d**2 + 3 * d**3) / 6, np.maximum(2 - d, 0) ** 3 / 6)


def positions(displacement, lattice):
    q = np.stack(np.meshgrid(*map(np.arange, displacement.shape[1:]), indexing="ij"))
    offset = np.reshape(lattice.offset, (3, 1, 1, 1))
    return lattice.scale * (q + displacement) + offset


def shares(name, x, n):
    """(nodes (3, particles), weights (particles,)) of every node near each of the particles."""
    nearest = np.floor(x).astype(int)
    for step in product(range(-2, 3), repeat=3):
        node = nearest + np.reshape(step, (3, 1))
        yield node % n, np.prod(spline(name, x - node), axis=0)


def painted(name, displacement, mass, n, lattice):
    density = np.zeros((n, n, n))
    masses = np.broadcast_to(mass, displacement.shape[1:]).ravel()
    for node, weight in shares(name, positions(displacement, lattice).reshape(3, -1), n):
        np.add.at(density, tuple(node), weight * masses)
    return density


def paint(name, displacement, n=None, lattice=assignment.ON_NODES, **options):
    density = np.zeros((n or displacement.shape[1],) * 3, displacement.dtype)
    assignment.paint(name, displacement, density, lattice, **options)
    return density


def smooth_displacement(name, shape, seed):
    """Displacements far from where a derivative of the weights jumps."""
    rng = np.random.default_rng(seed)
    middle = 0.0 if name == "tsc" else 0.5
    return rng.integers(-8, 8, shape) + middle + rng.uniform(-0.3, 0.3, shape)


@each_name
@pytest.mark.parametrize("case", list(LATTICES))
@pytest.mark.parametrize("n", [6, 7])
def test_against_definition(name, case, n):
    lattice, factor = LATTICES[case]
    n_mesh = int(factor * n)
    displacement = np.random.default_rng(0).uniform(-9, 9, (3, n, n, n))
    expected = painted(name, displacement, 0.5, n_mesh, lattice)
    found = paint(name, displacement, n_mesh, lattice, mass=0.5)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found.sum() == pytest.approx(0.5 * n**3, rel=1e-13)


def with_ghosts(fields, name):
    """Mesh of vectors that holds the four fields (4, n, n, n)."""
    n = fields.shape[-1]
    mesh = assignment.vector_mesh(name, n, fields.dtype)
    index = np.arange(len(mesh)) % n
    mesh[...] = np.moveaxis(fields, 0, -1)[np.ix_(index, index, index)]
    return mesh


def folded(mesh, n):
    """The four fields (4, n, n, n) of a mesh of vectors, ghosts added to their nodes."""
    fields = np.zeros((n, n, n, 4), mesh.dtype)
    index = np.arange(len(mesh)) % n
    np.add.at(fields, np.ix_(index, index, index), mesh)
    return np.moveaxis(fields, -1, 0)


@each_name
def test_kick_against_definition(name):
    n, n_mesh, lattice = 6, 9, refined(1.5, (0.25, 0, 0))
    rng = np.random.default_rng(1)
    x, p = rng.uniform(-9, 9, (3, n, n, n)), rng.standard_normal((3, n, n, n))
    fields = rng.standard_normal((4, n_mesh, n_mesh, n_mesh))
    p_after = p.reshape(3, -1).copy()
    for node, weight in shares(name, positions(x, lattice).reshape(3, -1), n_mesh):
        p_after += weight * fields[(slice(3), *node)]
    x_after = x.reshape(3, -1) + 0.7 * p_after
    assignment.kick(name, x, p, with_ghosts(fields, name), 0.7, lattice)
    np.testing.assert_allclose(p.reshape(3, -1), p_after, atol=1e-12)
    np.testing.assert_allclose(x.reshape(3, -1), x_after, atol=1e-12)


@each_name
def test_vectors_against_definition(name):
    n, n_mesh, lattice = 6, 9, refined(1.5, (0.25, 0, 0))
    rng = np.random.default_rng(1)
    x, v = rng.uniform(-9, 9, (3, n, n, n)), rng.standard_normal((3, n, n, n))
    mesh = assignment.vector_mesh(name, n_mesh, x.dtype)
    mesh[...] = 0
    assignment.paint_vectors(name, x, v, mesh, lattice)
    for carried, field in zip([*v, 1.0], folded(mesh, n_mesh), strict=True):
        np.testing.assert_allclose(field, painted(name, x, carried, n_mesh, lattice), atol=1e-12)


def test_an_undisplaced_particle_stays_in_its_voxel():
    """The lattice sits on the voxel centres: a half-voxel slip would share each particle."""
    delta = np.empty((4, 4, 4))
    assignment.cic(np.zeros((3, 4, 4, 4)), delta)
    assert np.all(delta == 0)
    displacement = np.zeros((3, 4, 4, 4))
    displacement[0, 1, 2, 3] = 0.25
    assignment.cic(displacement, delta)
    assert delta[1, 2, 3] == pytest.approx(-0.25)
    assert delta[2, 2, 3] == pytest.approx(0.25)
    assert np.count_nonzero(delta) == 2


def test_a_finer_mesh_keeps_the_box():
    """Voxel i becomes voxels 2 i and 2 i + 1, between whose centres its own centre is."""
    density = paint("cic", np.zeros((3, 4, 4, 4)), 8, refined(2))
    np.testing.assert_allclose(density, 1 / 8)
    shifted = paint("cic", np.zeros((3, 4, 4, 4)), 8, refined(2, (0.25, 0.25, -0.25)))
    assert np.all(shifted[1::2, 1::2, ::2] == 1) and shifted.sum() == 4**3


@each_name
@pytest.mark.parametrize("n", [6, 7])
def test_paint_adjoint(name, n, directional):
    """<f'(x) u, v> = <u, f_vjp(x, v)>; no particle crosses a face within the difference."""
    lattice = Lattice(1.0, (1.0, 0.0, -2.0))
    displacement = smooth_displacement(name, (3, n, n, n), 2)
    u = np.random.default_rng(3).uniform(-1, 1, displacement.shape)
    v = np.random.default_rng(4).standard_normal((n, n, n))
    forward = directional(lambda x: paint(name, x, n, lattice, mass=0.3), displacement, u, 0.03)
    bar = np.empty(displacement.shape)
    assignment.paint_vjp(name, displacement, v, bar, lattice, mass=0.3)
    assert np.vdot(u, bar) == pytest.approx(np.vdot(forward, v), rel=1e-10)
    more = bar.copy()
    assignment.paint_vjp(name, displacement, v, more, lattice, mass=0.3, add=True)
    np.testing.assert_array_equal(more, 2 * bar)
    assignment.paint_vjp(name, displacement, v, displacement, lattice, mass=0.3)
    np.testing.assert_array_equal(displacement, bar)  # in place


@each_name
def test_adjoint_on_a_finer_mesh(name, directional):
    """The scale enters the derivative. Lattice points are such that no face is near."""
    n, n_mesh, lattice = 5, 10, Lattice(2.0, (0.0, 0.0, 0.0))
    displacement = smooth_displacement(name, (3, n, n, n), 2) / 2
    u = np.random.default_rng(3).uniform(-1, 1, displacement.shape)
    v = np.random.default_rng(4).standard_normal((n_mesh,) * 3)
    forward = directional(lambda x: paint(name, x, n_mesh, lattice), displacement, u, 0.015)
    bar = np.empty(displacement.shape)
    assignment.paint_vjp(name, displacement, v, bar, lattice)
    assert np.vdot(u, bar) == pytest.approx(np.vdot(forward, v), rel=1e-10)


@each_name
def test_kick_back(name, directional):
    """Positions and momenta are restored; their cotangents are those of a drift and a kick."""
    n, n_mesh, lattice, drift = 5, 10, Lattice(2.0, (0.0, 1.0, 0.0)), 0.3
    rng = np.random.default_rng(5)
    x, p = smooth_displacement(name, (3, n, n, n), 2) / 2, rng.standard_normal((3, n, n, n))
    fields = rng.standard_normal((4, n_mesh, n_mesh, n_mesh))
    x_bar, p_bar = rng.standard_normal((2, 3, n, n, n))
    mesh = with_ghosts(fields, name)

    def value(x, p):
        """Of the momenta after it, of the positions, and of the mesh that V was made of."""
        after = p.copy()
        assignment.kick(name, x.copy(), after, mesh, 0.0, lattice)
        density = paint(name, x, n_mesh, lattice)
        return np.vdot(p_bar, after) + np.vdot(x_bar, x) + np.vdot(fields[3], density)

    def drifted(before):
        x, p = before
        return value(x + drift * p, p)

    before = np.stack([x - drift * p, p])
    u = rng.uniform(-1, 1, before.shape)
    slope = directional(drifted, before, u, 0.01)
    after = p.copy()
    assignment.kick(name, x.copy(), after, mesh, 0.0, lattice)
    bars = x_bar.copy(), p_bar.copy()
    assignment.kick_back(name, x, after, mesh, drift, *bars, lattice)
    np.testing.assert_allclose([x, after], before, atol=1e-13)
    assert np.vdot(u, bars) == pytest.approx(slope, rel=1e-9)


def everything(name, displacement, dtype, threads):
    """Results of all functions at one displacement."""
    shape = displacement.shape
    n = max(shape)
    lattice = Lattice(1.0, (0.25, 0.0, -0.25))
    rng = np.random.default_rng(6)
    fields = rng.standard_normal((4, n, n, n)).astype(dtype)
    mesh = with_ghosts(fields, name)
    painted_mesh = np.zeros_like(mesh)
    carried = rng.standard_normal(shape).astype(dtype)
    x = displacement.astype(dtype)
    density = np.zeros((n, n, n), dtype)
    bar, p, x_bar, p_bar = np.zeros((4, *shape), dtype)
    p_bar[...] = carried
    assignment.paint(name, x, density, lattice, threads=threads)
    assignment.paint_vjp(name, x, fields[3], bar, lattice, threads=threads)
    assignment.paint_vectors(name, x, carried, painted_mesh, lattice, threads)
    assignment.kick(name, x, p, mesh, 1e-3, lattice, threads)
    assignment.kick_back(name, x, p, mesh, 1e-3, x_bar, p_bar, lattice, threads)
    return density, bar, painted_mesh, x, p, x_bar, p_bar


@pytest.mark.parametrize("name", ["cic", "tsc"])
def test_single_precision(name):
    displacement = np.random.default_rng(7).normal(0, 2, (3, 9, 9, 9))
    double = everything(name, displacement, np.float64, assignment.SERIAL)
    single = everything(name, displacement, np.float32, assignment.SERIAL)
    for a, b in zip(double, single, strict=True):
        assert b.dtype == np.float32
        np.testing.assert_allclose(a, b, atol=3e-5)


@pytest.mark.parametrize(
    "shape, spread, tiles",
    [((24, 24, 24), 0.9, 6), ((24, 24, 24), 100.0, 1), ((30, 96, 8), 2.0, 4 * 16)],
)
def test_any_number_of_threads_gives_the_same_bits(shape, spread, tiles):
    """With slabs, with displacements that reach too far for any, and with tiles."""
    displacement = np.random.default_rng(8).uniform(-spread, spread, (3, *shape))
    assert sum(map(len, assignment._tiles(displacement, 1.0, 3, max(shape)))) == tiles
    expected = everything("tsc", displacement, np.float64, assignment.SERIAL)
    for number in (2, 3):
        threads = Threads(number)
        for _ in range(3):
            for a, b in zip(
                expected, everything("tsc", displacement, np.float64, threads), strict=True
            ):
                np.testing.assert_array_equal(a, b)


@each_name
@pytest.mark.parametrize("case", list(LATTICES))
@pytest.mark.parametrize("spread", [0.0, 0.7, 2.2])
def test_tiles_cover_the_lattice_and_do_not_meet(name, case, spread, monkeypatch):
    """Each particle is in one tile; tiles of one colour have no row of nodes in common."""
    monkeypatch.setattr(assignment, "LARGE", 40)
    lattice, factor = LATTICES[case]
    n = 40
    n_mesh = int(factor * n)
    rng = np.random.default_rng(9)
    displacement = 3.3 + rng.uniform(-spread, spread, (3, n, n, 8))
    powers, _ = assignment.spline(name, np.dtype(float))
    nodes = len(powers)
    offset = assignment.frame_of(lattice, powers)[1:3]
    covered = np.zeros((n, n), int)
    for tiles in assignment._tiles(displacement, lattice.scale, nodes, n_mesh):
        rows = np.zeros((n_mesh, n_mesh), int)
        for i0, i1, j0, j1 in tiles:
            covered[i0:i1, j0:j1] += 1
            q = np.stack(np.meshgrid(np.arange(i0, i1), np.arange(j0, j1), indexing="ij"))
            x = lattice.scale * (q[..., None] + displacement[:2, i0:i1, j0:j1])
            first = np.floor(x + np.reshape(offset, (2, 1, 1, 1))).astype(int)
            own = np.zeros((n_mesh, n_mesh), bool)
            for a, b in product(range(nodes), repeat=2):
                own[(first[0] + a) % n_mesh, (first[1] + b) % n_mesh] = True
            rows += own
        assert rows.max() == 1
    assert (covered == 1).all()


@each_name
def test_compiled_as_interpreted(name, monkeypatch):
    n = 4
    rng = np.random.default_rng(10)
    x, p, x_bar, p_bar = rng.normal(0, 2, (4, 3, n, n, n))
    powers, slopes = assignment.spline(name, x.dtype)
    exact = assignment._vector_spline(name, x.dtype)
    frame = (1.0, 0.1, 0.2, -0.3)
    size = n + len(powers[0]) - 1
    mesh = rng.standard_normal((size, size, size))
    vectors = with_ghosts(rng.standard_normal((4, n, n, n)), name)
    tiles = np.array([(0, 2, 0, 4), (2, 4, 0, 4)])
    # Kernel, its arguments given the arrays it writes to, and these.
    calls = [
        (scatter_gather.scatter, lambda m: (0, 2, tiles, x, frame, powers, m), [mesh]),
        (
            scatter_gather.gather_gradient,
            lambda g: (0, n, x, frame, powers, slopes, mesh, True, g),
            [x_bar],
        ),
        (
            kicks.scatter_vectors,
            lambda m: (0, 2, tiles, x, p, frame, exact[0], m),
            [vectors],
        ),
        (
            kicks.kick,
            lambda x, p: (0, n, x, frame, exact[0], vectors, 0.3, p),
            [x, p],
        ),
        (
            kicks.kick_back,
            lambda x, p, *bars: (0, n, x, p, frame, *exact, vectors, 0.3, *bars),
            [x, p, x_bar, p_bar],
        ),
        (ghosts.pad, lambda m: (0, size, p[0], 0.5, m), [mesh]),
        (ghosts.fold, lambda f: (0, n, mesh, 0.5, f), [p[0]]),
    ]
    compiled = [[o.copy() for o in outputs] for _, _, outputs in calls]
    for (kernel, arguments, _), results in zip(calls, compiled, strict=True):
        kernel(*arguments(*results))
    for module, inner in (
        (scatter_gather, "locate_row"),
        (scatter_gather, "polynomials"),
        (scatter_gather, "_polynomial_vector"),
        (scatter_gather, "scatter_row"),
        (scatter_gather, "gather_row"),
        (kicks, "locate_row"),
        (kicks, "polynomials"),
    ):
        monkeypatch.setattr(module, inner, getattr(module, inner).py_func)
    for (kernel, arguments, outputs), results in zip(calls, compiled, strict=True):
        interpreted = [o.copy() for o in outputs]
        kernel.py_func(*arguments(*interpreted))
        for a, b, before in zip(results, interpreted, outputs, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-13)
            assert not np.array_equal(a, before)


@each_name
def test_broken_displacements_do_not_crash(name):
    displacement = np.zeros((3, 4, 4, 4))
    displacement[0, 0, 0, 0] = np.nan
    displacement[1, 1, 0, 0] = np.inf
    displacement[2, 2, 0, 0] = 1e300
    everything(name, displacement, np.float64, assignment.SERIAL)
