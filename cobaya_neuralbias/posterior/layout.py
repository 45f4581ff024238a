"""The parameter layout: the free blocks of modes and weights as one flat vector, and back."""

import numpy as np

from ..gravity.grid import Grid


class ParameterLayout:
    """Where modes and weights are in the position of a trajectory: first the modes, then weights.

    A block that is not free is no part of the position; it keeps the values of :meth:`start`.

    Parameters
    ----------
    grid : Grid
    n_weights : int, sampled bias weights
    modes_free, weights_free : bool
    """

    def __init__(
        self, grid: Grid, n_weights: int, modes_free: bool = True, weights_free: bool = True
    ) -> None:
        self.modes_free, self.weights_free = modes_free, weights_free
        self.n_modes = grid.n**3 if modes_free else 0
        self.n_weights = n_weights if weights_free else 0
        self._shape, self._n_all_modes = grid.shape, grid.n**3
        self._shells = grid.shells
        self._fixed_modes: np.ndarray | None = None
        self._fixed_weights: np.ndarray | None = None

    @property
    def groups(self) -> np.ndarray:
        """(n_modes,) int, shell of each free mode, for a metric."""
        return self._shells.ravel() if self.modes_free else np.zeros(0, dtype=int)

    @property
    def fixed(self) -> list[str]:
        """The blocks that are not free, by the names of the options: "phases", "weights"."""
        blocks = {"phases": self.modes_free, "weights": self.weights_free}
        return [name for name, free in blocks.items() if not free]

    def start(self, modes: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Position of a run's first state; what is not free stays at these values.

        Parameters
        ----------
        modes : (n, n, n) float64
        weights : (n_weights,) float64
        """
        self._fixed_modes = None if self.modes_free else np.array(modes)
        self._fixed_weights = None if self.weights_free else np.array(weights)
        return np.concatenate(
            [modes.ravel() if self.modes_free else [], weights if self.weights_free else []]
        )

    def start_from(self, full_vector: np.ndarray) -> np.ndarray:
        """:meth:`start` from what :meth:`full_vector` gave."""
        modes, weights = np.split(np.asarray(full_vector), [self._n_all_modes])
        return self.start(modes.reshape(self._shape), weights)

    def modes(self, position: np.ndarray) -> np.ndarray:
        """(n, n, n) modes at ``position``."""
        if self._fixed_modes is not None:
            return self._fixed_modes
        return position[: self.n_modes].reshape(self._shape)

    def weights(self, position: np.ndarray) -> np.ndarray:
        """(n_weights,) weights at ``position``."""
        if self._fixed_weights is not None:
            return self._fixed_weights
        return position[self.n_modes :]

    def free_part(self, full_vector: np.ndarray) -> np.ndarray:
        """The free blocks of a full vector, such as a gradient."""
        first = 0 if self.modes_free else self._n_all_modes
        return full_vector[first : None if self.weights_free else self._n_all_modes]

    def full_vector(self, position: np.ndarray) -> np.ndarray:
        """Modes and weights, free or not, as one flat vector."""
        if self.modes_free and self.weights_free:
            return position
        return np.concatenate([self.modes(position).ravel(), self.weights(position)])
