"""The voxel of a position: in the mesh, the floor of exact arithmetic, periodic."""

from fractions import Fraction
from math import floor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cobaya_neuralbias.catalogue import HaloCatalogue

N_GRIDS = st.integers(1, 300)
BOXES = st.floats(1e-3, 1e5)


def voxels(positions, box_size, n_grid):
    """(n, 3) index of the voxel of each position (n, 3) along each axis."""
    positions = np.asarray(positions, dtype=float)
    flat = HaloCatalogue(positions, np.ones(len(positions)), box_size).voxel(n_grid)
    assert flat.min() >= 0 and flat.max() < n_grid**3
    return np.stack(np.unravel_index(flat, 3 * (n_grid,)), axis=1)


@given(N_GRIDS, BOXES, st.lists(st.floats(0, 1, exclude_max=True), min_size=3, max_size=3))
def test_floor(n_grid, box_size, parts):
    r = [min(part * box_size, np.nextafter(box_size, 0)) for part in parts]
    for found, x in zip(voxels([r], box_size, n_grid)[0], r, strict=True):
        exact = Fraction(x) * n_grid / Fraction(box_size)
        if found != floor(exact):
            # Only the rounding of two operations may put a halo across a face of its voxel.
            assert abs(exact - round(exact)) <= 4 * np.finfo(float).eps * exact
            assert abs(found - floor(exact)) == 1


@given(st.integers(0, 7), st.integers(-5, 10), st.data())
def test_periodic_and_half_open(level, log_box, data):
    """Where doubles are exact: a face belongs to the voxel above it, the far one to the first."""
    n_grid, box_size = 2**level, 2.0**log_box
    index = data.draw(st.lists(st.integers(0, n_grid - 1), min_size=3, max_size=3))
    inside = data.draw(st.sampled_from([0.0, 0.25, 1 - 2.0**-20]))
    images = data.draw(st.lists(st.integers(-3, 3), min_size=3, max_size=3))
    r = (np.array(index) + inside) * box_size / n_grid + np.array(images) * box_size
    assert voxels([r], box_size, n_grid)[0].tolist() == index


@given(N_GRIDS, BOXES)
def test_below_the_far_face(n_grid, box_size):
    """The last double inside the box is in the last voxel, although its quotient may round up."""
    r = 3 * [np.nextafter(box_size, 0)]
    assert voxels([r], box_size, n_grid)[0].tolist() == 3 * [n_grid - 1]


def test_counts_and_masses_are_histograms(rng):
    n_grid, box_size = 7, 120.0
    position, mass = rng.uniform(0, box_size, (5000, 3)), rng.lognormal(30, 1, 5000)
    catalogue = HaloCatalogue(position, mass, box_size)
    edges = 3 * [np.linspace(0, box_size, n_grid + 1)]
    np.testing.assert_array_equal(catalogue.counts(n_grid), np.histogramdd(position, edges)[0])
    total = np.histogramdd(position, edges, weights=mass)[0]
    np.testing.assert_allclose(catalogue.mass_per_voxel(n_grid), total, rtol=1e-12)
