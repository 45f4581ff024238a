"""Which modes a run follows, and how its costs add up."""

import numpy as np
import pytest

from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.runs import costs
from cobaya_neuralbias.runs.costs import Costs
from cobaya_neuralbias.runs.traces import choose_modes, columns, random_modes


@pytest.mark.parametrize("n", [4, 5, 8, 16, 33, 64])
def test_modes_of_every_shell(n):
    grid = Grid(n, 100.0)
    index, shell = choose_modes(grid)
    assert np.array_equal(shell, grid.shells.ravel()[index])
    assert len(np.unique(index)) == len(index)
    there = np.bincount(grid.shells.ravel())
    chosen = np.bincount(shell, minlength=len(there))
    assert chosen[0] == 0, "the mean of the box"
    assert np.all(chosen[1:] >= np.minimum(3, there[1:]))
    assert min(64, n**3 - 1) <= len(index) <= 64 + 3 * len(there)
    assert np.isin(random_modes(grid), index).all() and 0 not in random_modes(grid)
    # The same whatever the box, and not simply the first of a shell.
    assert np.array_equal(choose_modes(Grid(n, 250.0))[0], index)
    first = np.argsort(grid.shells, axis=None, kind="stable")[1 : len(index) + 1]
    assert not np.array_equal(index, first) or n == 4


def test_columns():
    rng = np.random.default_rng(0)
    content = {
        "traces/log_posterior": rng.standard_normal(5),
        "traces/parameters": rng.standard_normal((5, 2)),
        "traces/modes": rng.standard_normal((5, 3)).astype(np.float32),
    }
    names, draws = columns(content, ["a", "b"])
    assert names == ["log_posterior", "a", "b", "mode_0", "mode_1", "mode_2"]
    assert draws.shape == (5, 6) and draws.dtype == np.float64
    assert np.array_equal(draws[:, 2], content["traces/parameters"][:, 1])
    assert np.array_equal(draws[:, 5], content["traces/modes"][:, 2])


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still, to be set forward by hand."""
    now = [0.0]
    monkeypatch.setattr(costs, "perf_counter", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


def test_costs_by_a_clock(clock):
    spent = Costs()

    def takes(seconds, out):
        return lambda _: (clock(seconds), out)[1]

    gradient = spent.count_gradients(takes(4.0, "gradient"))
    prepare = spent.count_weights(takes(2.0, [takes(1.0, "weights")]))
    assert [gradient(0) for _ in range(5)] == 5 * ["gradient"]
    for _ in range(2):
        (target,) = prepare(0)
        assert [target(0) for _ in range(3)] == 3 * ["weights"]
    spent.seconds = 40.0
    assert spent == Costs(5, 6, 40.0, 20.0, 10.0)
    # Ten seconds for six, two densities included, of which a gradient takes four each.
    assert spent.weight_cost == pytest.approx(10 / 6 / 4)
    assert spent.gradient_equivalents == pytest.approx(5 + 10 / 4)
    assert spent.overhead_fraction == pytest.approx(10 / 40)
    assert spent - Costs(1, 2, 10.0, 4.0, 3.0) + Costs(seconds=1.0) == Costs(4, 4, 31.0, 16.0, 7.0)
    stored = {name: np.float64(value) for name, value in spent.to_dict("warmup_").items()}
    assert Costs.from_dict(stored, "warmup_") == spent


def test_costs_of_nothing():
    nothing = Costs()
    assert np.isnan(nothing.weight_cost) and np.isnan(nothing.overhead_fraction)
    assert nothing.gradient_equivalents == 0
    assert Costs(gradients=7, seconds_gradients=1.0, seconds=2.0).gradient_equivalents == 7
