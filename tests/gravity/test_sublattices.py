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
