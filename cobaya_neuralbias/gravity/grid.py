"""The mesh: its units, wavenumbers and Fourier shells.

A periodic cube of side ``box_size`` [Mpc/h] with ``n`` voxels a side. Voxel ``i`` covers
``[i, i+1) box_size/n``; fields are sampled at voxel centres and particles start there. Wavenumbers
are in h/Mpc, the spectrum of a real field has shape ``(n, n, n//2+1)``.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Grid:
    """A periodic mesh of ``n``^3 voxels in a cube of side ``box_size`` [Mpc/h]."""

    n: int
    box_size: float

    @property
    def shape(self):
        return (self.n,) * 3

    @property
    def spectrum_shape(self):
        return (self.n, self.n, self.n // 2 + 1)

    @property
    def voxel_side(self):
        """[Mpc/h]"""
        return self.box_size / self.n

    @property
    def voxel_volume(self):
        """[(Mpc/h)^3]"""
        return self.voxel_side**3

    @property
    def k_fundamental(self):
        """[h/Mpc]"""
        return 2 * np.pi / self.box_size

    @property
    def k_max(self):
        """Largest wavenumber on the mesh, at its Fourier corner [h/Mpc]."""
        return np.sqrt(3) * (self.n // 2) * self.k_fundamental

    @cached_property
    def frequencies(self):
        """(n,) wavenumbers of one axis in units of the fundamental, Nyquist positive."""
        freq = np.fft.fftfreq(self.n, 1 / self.n)
        if self.n % 2 == 0:
            freq[self.n // 2] *= -1
        return freq

    @cached_property
    def odd_frequencies(self):
        """(n,) the same with the Nyquist frequency set to zero, for odd derivatives."""
        odd = self.frequencies.copy()
        if self.n % 2 == 0:
            odd[self.n // 2] = 0.0
        return odd

    @cached_property
    def squared_index(self):
        """(n, n, n//2+1) integer |k / k_fundamental|^2 of every stored mode."""
        f2 = np.rint(self.frequencies**2).astype(np.int64)
        return f2[:, None, None] + f2[None, :, None] + f2[None, None, : self.n // 2 + 1]

    def packed(self, values):
        """(n, n, n) ``values`` (n, n, n//2+1) of the stored modes, for each real mode of
        :mod:`cobaya_neuralbias.gravity.fourier`.
        """
        out = np.empty(self.shape, dtype=values.dtype)
        out[:, :, 0] = values[:, :, 0]
        inner = (self.n + 1) // 2
        out[:, :, 1 : 2 * inner - 1 : 2] = values[:, :, 1:inner]
        out[:, :, 2 : 2 * inner : 2] = values[:, :, 1:inner]
        if self.n % 2 == 0:
            out[:, :, -1] = values[:, :, -1]
        return out

    @cached_property
    def packed_squared_index(self):
        """(n, n, n) integer |k / k_fundamental|^2 of every real mode."""
        return self.packed(self.squared_index)

    @cached_property
    def shells(self):
        """(n, n, n) int: the shell of each real mode, one fundamental wide, centred on integers.

        The corners beyond the Nyquist sphere, where modes are few and carry little, share the
        last shell.
        """
        shell = np.rint(np.sqrt(self.packed_squared_index)).astype(np.int64)
        return np.minimum(shell, self.n // 2 + 1)
