"""One or eight particles a voxel."""

import numpy as np
import pytest

from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.gravity.sublattices import Sublattices
from cobaya_neuralbias.gravity.workspace import Workspace


@pytest.mark.parametrize("n", [8, 9])
def test_displacements_are_the_fourier_interpolation(n):
    """Waves are taken where the particles start; what oscillates at Nyquist, by its cosine."""
    lattices = Sublattices(Workspace(Grid(n, 100.0)), 8)
    x = np.stack(np.meshgrid(*(np.arange(n),) * 3, indexing="ij")).astype(float)
    rng = np.random.default_rng(0)
    waves = [(1, 0, 2), (0, 3, -1), (0, 0, 0), (2, 2, 2)]
    phases, heights = rng.uniform(0, 6, len(waves)), rng.normal(size=(3, len(waves)))

    def field(x):
        angles = [
            2 * np.pi / n * np.tensordot(w, x, 1) + p for w, p in zip(waves, phases, strict=True)
        ]
        return np.tensordot(heights, np.cos(angles), 1)

    shifted = lattices.displacements(field(x))
    for found, offset in zip(shifted, lattices.offsets, strict=True):
        expected = field(x + np.reshape(offset, (3, 1, 1, 1)))
        np.testing.assert_allclose(found, expected, atol=1e-13)
    if n % 2 == 0:
        alternating = np.broadcast_to((-1.0) ** x[1], (3, n, n, n))
        for found in lattices.displacements(alternating.copy()):
            np.testing.assert_allclose(found, alternating * np.cos(np.pi / 4), atol=1e-13)


@pytest.mark.parametrize("n", [6, 7])
def test_adjoint_of_the_displacements(n):
    lattices = Sublattices(Workspace(Grid(n, 100.0)), 8)
    rng = np.random.default_rng(1)
    field, bar = rng.normal(size=(3, n, n, n)), rng.normal(size=(8, 3, n, n, n))
    forward = np.vdot(lattices.displacements(field), bar)
    assert np.vdot(field, lattices.displacements_vjp(bar)) == pytest.approx(forward, rel=1e-12)


@pytest.mark.parametrize("particles", [1, 8])
@pytest.mark.parametrize("n_mesh", [6, 9, 12])
def test_mass(particles, n_mesh):
    lattices = Sublattices(Workspace(Grid(6, 100.0)), particles)
    displacements = np.random.default_rng(2).normal(0, 3, (particles, 3, 6, 6, 6))
    assert lattices.paint(displacements, n_mesh).mean() == pytest.approx(1, rel=1e-13)


def test_eight_particles_fill_the_mesh_twice_as_fine():
    """At rest there is one on each node, and on the coarse mesh they are uniform."""
    lattices = Sublattices(Workspace(Grid(6, 100.0)), 8, "cic")
    rest = np.zeros((8, 3, 6, 6, 6))
    np.testing.assert_allclose(lattices.paint(rest, 12), 1, rtol=1e-14)
    np.testing.assert_allclose(lattices.paint(rest), 1, rtol=1e-14)


@pytest.mark.parametrize("n_mesh", [6, 9])
def test_adjoint_of_painting(n_mesh, directional):
    """Far from where a derivative of the weights jumps, as only few particles there are."""
    lattices = Sublattices(Workspace(Grid(6, 100.0)), 8)
    rng = np.random.default_rng(3)
    x, u = rng.normal(0, 3, (8, 3, 6, 6, 6)), rng.uniform(-1, 1, (8, 3, 6, 6, 6))
    v = rng.normal(size=(n_mesh,) * 3)
    slope = directional(lambda x: np.vdot(v, lattices.paint(x, n_mesh)), x, u, 1e-5)
    bar = np.ones(x.shape)
    lattices.paint_vjp(x, v, bar, add=True)
    assert np.vdot(u, bar - 1) == pytest.approx(slope, rel=1e-7)
    lattices.paint_vjp(x, v, x)
    np.testing.assert_allclose(x, bar - 1, atol=1e-13)


KINDS = [
    ("particles", {}),
    ("particles", {"n_density": 4}),
    ("particles", {"axis": 1, "n_density": 4}),
    ("mesh", {"steps": 2}),
    ("mesh", {"steps": 1, "axis": 2, "n_density": 4}),
]


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_adjoint_of_the_whole_density(kind, options, models, directional):
    """Local interpolation, from the modes; a smooth assignment, so that differences are exact."""
    n = 8
    forward = getattr(models, kind)(
        n, assignment="pcs", per_voxel=8, interpolation="local", scale=4.0, **options
    )
    rng = np.random.default_rng(4)
    modes, u = rng.normal(size=(2, n, n, n))
    evolved = forward.density(modes)
    v = rng.normal(size=evolved.delta.shape)
    assert abs(evolved.delta.mean()) < 1e-13
    slope = directional(lambda m: np.vdot(v, forward.density(m).delta), modes, u, 1e-4)
    assert np.vdot(u, forward.density_vjp(evolved, v)) == pytest.approx(slope, rel=1e-8)


def test_local_displacements_are_nearly_those_by_fourier(models):
    """Of a cold dark matter field; and without the window, which is the negative control, not."""
    n = 32
    modes = np.random.default_rng(5).normal(size=(n, n, n))
    displacement = {}
    for name in ("local", "fourier"):
        model = models.particles(n, per_voxel=8, interpolation=name)
        displacement[name] = model.sublattices.displacements(model.displacement(modes)[0])
    plain = models.particles(n).displacement(modes)[0]
    smoothed = model.sublattices.__class__(model.sublattices.workspace, 8, interpolation="local")
    rms = displacement["fourier"].std()
    errors = [
        (found - displacement["fourier"]).std() / rms
        for found in (displacement["local"], smoothed.displacements(plain))
    ]
    assert errors[0] < 0.03 < 0.1 < errors[1]


def test_local_densities_are_nearly_those_by_fourier(models):
    modes = np.random.default_rng(5).normal(size=(32, 32, 32))
    for n_density, largest in ((None, 0.012), (16, 0.004)):
        one, other = (
            models.particles(32, per_voxel=8, interpolation=name, n_density=n_density)
            .density(modes)
            .delta
            for name in ("local", "fourier")
        )
        assert 0 < (one - other).std() / other.std() < largest


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_local_particles_in_single_precision(kind, options, models):
    modes = np.random.default_rng(6).normal(size=(16, 16, 16))
    single, double = (
        getattr(models, kind)(16, per_voxel=8, interpolation="local", dtype=dtype, **options)
        .density(modes)
        .delta
        for dtype in ("float32", "float64")
    )
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, atol=3e-5)


def test_local_particles_are_the_same_for_any_number_of_threads(models):
    modes = np.random.default_rng(6).normal(size=(16, 16, 16))
    results = []
    for threads in (1, 2):
        forward = models.particles(16, per_voxel=8, interpolation="local", threads=threads)
        evolved = forward.density(modes)
        results.append((evolved.delta.copy(), forward.density_vjp(evolved, modes)))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
