"""A density on a coarser mesh than the field's: mass, adjoints, and what it is."""

import numpy as np
import pytest

from cobaya_neuralbias.gravity.background import Growth, scale_factors
from cobaya_neuralbias.gravity.grid import Grid
from cobaya_neuralbias.gravity.lagrangian import Lagrangian, mode_amplitude
from cobaya_neuralbias.gravity.orders import LagrangianParticles, Orders
from cobaya_neuralbias.gravity.particle_mesh import ParticleMesh
from cobaya_neuralbias.gravity.sublattices import Sublattices
from cobaya_neuralbias.gravity.workspace import Workspace

N = 16
GRID = Grid(N, 100.0)
RNG = np.random.default_rng(4)
MODES = RNG.standard_normal(GRID.shape)
AMPLITUDE = mode_amplitude(GRID, 3e3 / (1.0 + 0.05 * np.arange(3 * (N // 2) ** 2 + 1)))


def model(
    factor=2, assignment="tsc", particles=1, axis=None, mesh=False, dtype="float64", threads=1,
    interpolation="local",
):  # fmt: skip
    workspace = Workspace(GRID, dtype, threads)
    ratio = 1.0 if mesh else -3 / 7
    sublattices = Sublattices(workspace, particles, assignment, N // factor, interpolation)
    first, both = (
        Lagrangian(GRID, AMPLITUDE, o, assignment, ratio, workspace, sublattices.window)
        for o in (1, 2)
    )
    if not mesh:
        return LagrangianParticles(first, both, sublattices, axis, (0.5, 1.1))
    a = scale_factors(0.2, 1.0)
    growth = Growth.integrate(a, a**-1.5, 1.0)
    return ParticleMesh(
        Orders(first, both), growth, 0.2, 2, sublattices, workspace.of_mesh(N), axis
    )


CASES = [
    {},
    {"factor": 4},
    {"factor": 1},
    {"assignment": "cic"},
    {"assignment": "pcs", "factor": 4},
    {"particles": 8},
    {"particles": 8, "factor": 4},
    {"particles": 8, "factor": 1, "axis": 1},
    {"particles": 8, "interpolation": "fourier"},
    {"particles": 8, "mesh": True},
    {"particles": 8, "mesh": True, "axis": 0, "factor": 4},
    {"axis": 2},
    {"mesh": True},
    {"mesh": True, "axis": 0, "factor": 4},
]


@pytest.mark.parametrize("options", CASES, ids=str)
def test_mass_is_conserved(options):
    delta = model(**options).density(MODES).delta
    assert delta.shape == 3 * (N // options.get("factor", 2),)
    assert delta.min() >= -1 and abs(delta.mean()) < 1e-12


@pytest.mark.parametrize("options", CASES, ids=str)
def test_adjoint(options, directional):
    forward = model(**options)
    bar = RNG.standard_normal(forward.density(MODES).delta.shape)
    u = RNG.standard_normal(MODES.shape)
    gradient = forward.density_vjp(forward.density(MODES), bar)
    # The spline's derivatives jump where a particle crosses a face: a short step.
    step = 1e-6 if options.get("assignment") == "cic" else 1e-4

    def value(modes):
        return np.vdot(bar, forward.density(modes).delta)

    expected = directional(value, MODES, u, step)
    assert np.vdot(u, gradient) == pytest.approx(expected, rel=3e-5)


def test_one_particle_on_the_coarse_mesh():
    """Against the weights of the triangular-shaped cloud, written down for one particle."""
    workspace = Workspace(Grid(8, 80.0))
    sublattices = Sublattices(workspace, 1, "tsc", 4)
    x = np.zeros((1, 3, 8, 8, 8))
    base = sublattices.paint(x)
    x[0, 0, 3, 5, 6] = 0.7  # voxel sides of the fine mesh
    moved = sublattices.paint(x) - base

    def weights(centre):
        out = np.zeros(4)
        nearest = round(centre)
        d = centre - nearest
        for offset, w in ((-1, (0.5 - d) ** 2 / 2), (0, 0.75 - d**2), (1, (0.5 + d) ** 2 / 2)):
            out[(nearest + offset) % 4] += w
        return out

    # Centre of a fine voxel i in coarse node coordinates: (i + 1/2)/2 - 1/2
    y, z = weights(5.5 / 2 - 0.5), weights(6.5 / 2 - 0.5)
    along = weights((3.5 + 0.7) / 2 - 0.5) - weights(3.5 / 2 - 0.5)
    np.testing.assert_allclose(moved, np.einsum("i,j,k", along, y, z) / 8, atol=1e-14)


def test_a_shift_by_a_coarse_voxel_shifts_the_density():
    from cobaya_neuralbias.gravity.fourier import from_modes, to_modes

    forward = model(factor=2)
    shifted = to_modes(np.roll(from_modes(MODES), 2, axis=1))
    expected = np.roll(forward.density(MODES).delta, 1, axis=1)
    np.testing.assert_allclose(forward.density(shifted).delta, expected, atol=1e-12)


def test_factor_one_is_the_plain_model():
    plain = Lagrangian(GRID, AMPLITUDE, 2, "tsc")
    one, other = (m.density(MODES).delta for m in (plain, model(factor=1)))
    np.testing.assert_allclose(one, other, atol=1e-13)


def test_large_scales_are_those_of_the_fine_density():
    """Their ratio is that of the windows, sinc^3 of the side, squared."""
    from cobaya_neuralbias.gravity.fourier import bin_spectrum, to_modes

    fine, coarse = (model(factor=f).density(MODES).delta for f in (1, 2))
    grids = GRID, Grid(N // 2, 100.0)
    power = [
        bin_spectrum(to_modes(d), g.shells, 3)[1]
        for d, g in zip((fine, coarse), grids, strict=True)
    ]
    windows = (np.sinc(2 / N) / np.sinc(1 / N)) ** 6
    assert power[1] * 8 / power[0] == pytest.approx(windows, rel=0.08)


def test_the_same_bits_for_any_number_of_threads():
    results = []
    for threads in (1, 2):
        forward = model(threads=threads)
        evolved = forward.density(MODES)
        results.append((evolved.delta.copy(), forward.density_vjp(evolved, np.ones((8, 8, 8)))))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_single_precision():
    double, single = (model(dtype=d).density(MODES).delta for d in ("float64", "float32"))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, atol=2e-5)
