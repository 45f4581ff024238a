"""The flat position of a trajectory: what is in it, what stays out of it."""

import numpy as np
import pytest

from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.posterior.layout import ParameterLayout

GRID = Grid(4, 100.0)
MODES = np.random.default_rng(0).standard_normal(GRID.shape)
WEIGHTS = np.arange(3.0)


@pytest.mark.parametrize("modes_free", [True, False])
@pytest.mark.parametrize("weights_free", [True, False])
def test_blocks(modes_free, weights_free):
    layout = ParameterLayout(GRID, 3, modes_free, weights_free)
    position = layout.start(MODES, WEIGHTS)
    assert position.size == layout.n_modes + layout.n_weights
    assert layout.n_modes == 64 * modes_free and layout.n_weights == 3 * weights_free
    assert layout.groups.size == layout.n_modes
    assert layout.fixed == ["phases"] * (not modes_free) + ["weights"] * (not weights_free)
    moved = position + 1
    np.testing.assert_array_equal(layout.modes(moved), MODES + modes_free)
    np.testing.assert_array_equal(layout.weights(moved), WEIGHTS + weights_free)
    full = layout.full_vector(moved)
    assert full.size == 67
    np.testing.assert_array_equal(layout.free_part(full), moved)
    again = ParameterLayout(GRID, 3, modes_free, weights_free)
    np.testing.assert_array_equal(again.start_from(full), moved)
    np.testing.assert_array_equal(again.full_vector(moved), full)


def test_fixed_blocks_are_copies():
    modes, weights = MODES.copy(), WEIGHTS.copy()
    layout = ParameterLayout(GRID, 3, modes_free=False, weights_free=False)
    position = layout.start(modes, weights)
    modes += 1
    weights += 1
    np.testing.assert_array_equal(layout.modes(position), MODES)
    np.testing.assert_array_equal(layout.weights(position), WEIGHTS)


def test_groups_are_the_shells_of_the_modes():
    layout = ParameterLayout(GRID, 3)
    np.testing.assert_array_equal(layout.groups, GRID.shells.ravel())
