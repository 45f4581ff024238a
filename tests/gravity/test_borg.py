"""Density and gradient of another code, BORG (tests/data/README.md)."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import scipy.fft

from cobaya_neuralbias.gravity import fourier
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.gravity.lagrangian import Lagrangian, mode_amplitude
from cobaya_neuralbias.gravity.power import LinearPower
from cobaya_neuralbias.kernels.transforms import real_modes

N, BOX, RATIO = 64, 250.0, -3 / 7
PAIRS = ((0, 1), (0, 2), (1, 2))


@pytest.fixture(scope="module")
def borg():
    with np.load(Path(__file__).parents[1] / "data" / "borg_64.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def inputs(borg):
    """Grid, amplitude of the modes, modes, and the cotangent of the density."""
    grid = Grid(N, BOX)
    linear = LinearPower.from_sigma8(
        0.81, omega_m=0.315, omega_b=0.049, h=0.68, n_s=0.97, t_cmb=2.728, wiggles=True
    )
    ratio = borg["pk_P"] / linear(borg["pk_k"])
    np.testing.assert_allclose(ratio, 1, rtol=1e-7)  # its sigma8 is integrated to 1e-6
    k = grid.k_fundamental * np.sqrt(np.arange(1, 3 * (N // 2) ** 2 + 1))
    amplitude = mode_amplitude(grid, np.concatenate([[0.0], linear(k) * ratio.mean()]))
    noise, bar = (np.random.default_rng(seed).standard_normal(grid.shape) for seed in (20240917, 7))
    return grid, amplitude, fourier.to_modes(noise), bar


def half_complex(modes_bar):
    """The gradient in the real modes as that in the complex ones, in BORG's sense."""
    spectrum = np.empty((N, N, N // 2 + 1), dtype=complex)
    real_modes.unpack(modes_bar, np.ones(spectrum.shape), spectrum)
    return spectrum


def assert_agree(borg, name, delta, gradient, bar, tolerance, nyquist=True):
    planes = borg[f"density_{name}_first_planes"]
    np.testing.assert_allclose(delta[: len(planes)], planes, rtol=0, atol=tolerance)
    assert np.vdot(bar, delta) == pytest.approx(
        borg[f"density_{name}_projected"], abs=N * tolerance
    )
    expected = borg[f"grad_{name}_first_planes"]
    difference = abs(gradient[: len(expected)] - expected)
    if not nyquist:
        difference[:, N // 2] = difference[..., N // 2] = 0
    assert difference.max() < 10 * tolerance * abs(expected).max()


def test_first_order(borg, inputs):
    """To 1e-9, the accuracy of its table of the growth factor."""
    grid, amplitude, modes, bar = inputs
    model = Lagrangian(grid, amplitude, 1, "cic")
    evolved = model.density(modes)
    gradient = half_complex(model.density_vjp(evolved, bar))
    assert_agree(borg, "lpt", evolved.delta, gradient, bar, 2e-9)


class SecondOrder:
    """2LPT and its gradient by whole-mesh transforms, with our Nyquist convention or BORG's."""

    def __init__(self, grid, amplitude, as_borg):
        k = grid.frequencies if as_borg else grid.odd_frequencies
        odd = np.stack(np.meshgrid(k, k, k[: N // 2 + 1], indexing="ij"))
        if as_borg:
            for corner in product((0, N // 2), repeat=3):
                odd[(slice(None), *corner)] = 0
        k2 = np.maximum(grid.squared_index, 1)
        even = np.stack(np.broadcast_arrays(*np.ix_(*(3 * [grid.frequencies**2]))), axis=0)[
            ..., : N // 2 + 1
        ]
        diagonal = odd**2 if as_borg else even
        self.amplitude = amplitude * N**1.5
        self.gradient = 1j * odd / k2 * N / (2 * np.pi)
        self.hessian = {(a, a): diagonal[a] / k2 for a in range(3)}
        self.hessian |= {(a, b): odd[a] * odd[b] / k2 for a, b in PAIRS}

    def displacement(self, spectrum):
        delta = self.amplitude * spectrum
        self.phi = {ab: scipy.fft.irfftn(m * delta, 3 * (N,)) for ab, m in self.hessian.items()}
        phi = self.phi
        source = sum(phi[a, a] * phi[b, b] - phi[a, b] ** 2 for a, b in PAIRS)
        delta = delta - RATIO * scipy.fft.rfftn(source)
        return np.stack([scipy.fft.irfftn(m * delta, 3 * (N,)) for m in self.gradient])

    def displacement_vjp(self, bar):
        delta_bar = sum(
            m.conj() * scipy.fft.rfftn(b) for m, b in zip(self.gradient, bar, strict=True)
        )
        source_bar = scipy.fft.irfftn(-RATIO * delta_bar, 3 * (N,))
        for a, b in PAIRS:
            for c, d in ((a, b), (b, a)):
                delta_bar += self.hessian[c, c] * scipy.fft.rfftn(self.phi[d, d] * source_bar)
            delta_bar -= 2 * self.hessian[a, b] * scipy.fft.rfftn(self.phi[a, b] * source_bar)
        spectrum_bar = self.amplitude * delta_bar / N**3
        for plane in (0, N // 2):  # only what respects the symmetry of a real field
            values = spectrum_bar[:, :, plane]
            opposite = np.roll(values[::-1, ::-1], 1, axis=(0, 1)).conj()
            spectrum_bar[:, :, plane] = (values + opposite) / 2
        return spectrum_bar


def corners(displacement):
    """For each of the 8 nodes around a particle: flat index, weight, and slopes of the weight."""
    position = np.stack(np.meshgrid(*(3 * [np.arange(N)]), indexing="ij")) + displacement
    lower = np.floor(position).astype(int)
    f = position - lower
    for corner in product((0, 1), repeat=3):
        index = np.ravel_multi_index([(lower[a] + corner[a]) % N for a in range(3)], 3 * (N,))
        weight = [f[a] if corner[a] else 1 - f[a] for a in range(3)]
        slope = [(2 * corner[a] - 1) * weight[(a + 1) % 3] * weight[(a + 2) % 3] for a in range(3)]
        yield index.ravel(), np.prod(weight, axis=0).ravel(), np.stack(slope)


def cic(displacement):
    delta = np.full(N**3, -1.0)
    for index, weight, _ in corners(displacement):
        delta += np.bincount(index, weights=weight, minlength=N**3)
    return delta.reshape(3 * (N,))


def cic_vjp(displacement, bar):
    return sum(
        slope * bar.ravel()[index].reshape(3 * (N,)) for index, _, slope in corners(displacement)
    )


def run(model, modes, bar):
    displacement = model.displacement(half_complex(modes))
    gradient = model.displacement_vjp(cic_vjp(displacement, bar))
    return cic(displacement), gradient


def test_second_order(borg, inputs):
    """A code that does as BORG does, and as ours when told so about the Nyquist frequency."""
    grid, amplitude, modes, bar = inputs
    as_borg = run(SecondOrder(grid, amplitude, as_borg=True), modes, bar)
    # At the Nyquist frequency its gradient has a part of no meaning: not that of a real field.
    assert_agree(borg, "2lpt", *as_borg, bar, 1e-11, nyquist=False)
    delta, gradient = run(SecondOrder(grid, amplitude, as_borg=False), modes, bar)
    ours = Lagrangian(grid, amplitude, 2, "cic", RATIO)
    evolved = ours.density(modes)
    np.testing.assert_allclose(evolved.delta, delta, rtol=0, atol=1e-11)
    np.testing.assert_allclose(
        half_complex(ours.density_vjp(evolved, bar)),
        gradient,
        rtol=0,
        atol=1e-11 * abs(gradient).max(),
    )
