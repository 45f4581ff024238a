"""Particles as an observer sees them: light cone, radial redshifts, fiducial distances."""

from dataclasses import replace

import numpy as np
import pytest

from cobaya_neuralbias.gravity import growth
from cobaya_neuralbias.gravity.background import Growth, scale_factors
from cobaya_neuralbias.gravity.line_of_sight import (
    EARLIEST,
    LineOfSight,
    expansion_on_light_cone,
    farthest_corner,
    fiducial_radii,
    growth_on_light_cone,
    scale_factor_at,
)
from cobaya_neuralbias.gravity.orders import ObservedLagrangian
from cobaya_neuralbias.kernels.threads import Threads

BOX, OMEGA_M, FIDUCIAL = 250.0, 0.315, 0.25
N = 12
INSIDE = [70.0, 131.0, 90.0]


@pytest.fixture(scope="module")
def grown():
    a = scale_factors(EARLIEST, 1.0)
    return Growth.integrate(a, growth.expansion_rate(1 / a - 1, OMEGA_M), OMEGA_M)


def light_cone(grown):
    return lambda distance: growth_on_light_cone(grown, distance)


def fiducial(grown):
    return lambda distance: fiducial_radii(grown, FIDUCIAL, distance)


def observed(models, sight, order=2, per_voxel=1, interpolation="local", **options):
    """ObservedLagrangian, of a function grid -> LineOfSight."""
    model = models.particles(
        N, order=order, per_voxel=per_voxel, interpolation=interpolation, **options
    )
    first, both = model.first, model.both
    return ObservedLagrangian(first, both, model.sublattices, sight(first.grid))


# Distances and growth

DISTANCES = np.array([0.0, 0.5, 30.0, 400.0, 1500.0, 3900.0])


def test_distance_of_a_scale_factor(grown):
    z = 1 / scale_factor_at(grown)(DISTANCES) - 1
    np.testing.assert_allclose(growth.comoving_distance(z, OMEGA_M), DISTANCES, atol=1e-4)


def test_growth_by_distance(grown):
    """Of first order in closed form; of second order in the fit, which is good to 1 per cent."""
    d1, d2, e1, e2 = growth_on_light_cone(grown, DISTANCES).T
    z = 1 / scale_factor_at(grown)(DISTANCES) - 1
    np.testing.assert_allclose(d1, growth.growth(z, OMEGA_M), rtol=1e-6)
    np.testing.assert_allclose(e1 / d1, growth.growth_rate(z, OMEGA_M), rtol=1e-6)
    ratio = growth.second_order_ratio(growth.omega_m_at(z, OMEGA_M))
    np.testing.assert_allclose(d2 / d1**2, ratio / ratio[0], rtol=2e-3)
    # of a fit, dln D2/dln a = 2 Omega_m^(6/11)
    expected = 2 * growth.omega_m_at(z, OMEGA_M) ** (6 / 11)
    np.testing.assert_allclose(e2 / d2, expected, rtol=1e-2)


def test_fiducial_distances(grown):
    factor = fiducial_radii(grown, FIDUCIAL, DISTANCES)
    z = 1 / scale_factor_at(grown)(DISTANCES[1:]) - 1
    assert factor[0] == pytest.approx(1, abs=1e-5)
    expected = growth.comoving_distance(z, FIDUCIAL) / DISTANCES[1:]
    np.testing.assert_allclose(factor[1:], expected, rtol=1e-6)
    same = fiducial_radii(grown, OMEGA_M, DISTANCES)
    np.testing.assert_allclose(same, 1, atol=1e-5)


@pytest.mark.parametrize(
    ("observer", "distance"),
    [([0, 0, 0], 3**0.5), ([0.5, 0.5, 0.5], 0.75**0.5), ([2, 0.5, 0.5], 4.5**0.5)],
)
def test_farthest_corner(observer, distance):
    assert farthest_corner(np.array(observer) * BOX, BOX) == pytest.approx(distance * BOX)


# Particles, against the equations by vectors in Mpc/h


def by_vectors(grid, sublattices, displacements, observer, coefficients, radii=None):
    """Where particles are seen [Mpc/h], (s, 3, n, n, n), and where they start."""
    side, sites = grid.voxel_side, np.indices(grid.shape)
    places, starts = [], []
    for s, offset in enumerate(sublattices.offsets):
        start = (sites + np.reshape(offset, (3, 1, 1, 1)) + 0.5) * side
        q = start - np.reshape(observer, (3, 1, 1, 1))
        a1, a2, e1, e2 = np.moveaxis(coefficients(np.linalg.norm(q, axis=0).ravel()), 1, 0)
        a1, a2, e1, e2 = (x.reshape(grid.shape) for x in (a1, a2, e1, e2))
        x1, x2 = (x[s] * side for x in displacements)
        r, u = q + a1 * x1 + a2 * x2, e1 * x1 + e2 * x2
        n = r / (np.sum(r**2, axis=0) ** 2 + side**4) ** 0.25
        seen = r + np.sum(u * n, axis=0) * n
        if radii:
            size = np.linalg.norm(seen, axis=0)
            seen = seen * radii(size.ravel()).reshape(grid.shape)
        places.append(seen + np.reshape(observer, (3, 1, 1, 1)))
        starts.append(start)
    return np.array(places), np.array(starts)


@pytest.mark.parametrize("per_voxel", [1, 8])
@pytest.mark.parametrize("with_radii", [False, True])
def test_places(models, grown, per_voxel, with_radii):
    radii = fiducial(grown) if with_radii else None
    model = observed(
        models,
        lambda grid: LineOfSight.of(INSIDE, grid, light_cone(grown), radii),
        per_voxel=per_voxel,
    )
    grid, sublattices = model.grid, model.sublattices
    x1, x2 = 0.5 * np.random.default_rng(1).standard_normal((2, per_voxel, 3, N, N, N))
    seen = model.line_of_sight.observe(sublattices, x1, x2)
    expected, starts = by_vectors(grid, sublattices, (x1, x2), INSIDE, light_cone(grown), radii)
    assert np.abs(starts + seen * grid.voxel_side - expected).max() < 2e-4


def test_line_of_sight_is_a_direction(models):
    """Five voxels away from the observer all of a radial velocity is seen, to 1e-3."""
    model = observed(models, lambda grid: LineOfSight.of(INSIDE, grid, [0, 0, 1, 0]))
    sites = np.indices((N, N, N)) + 0.5 - np.reshape(INSIDE, (3, 1, 1, 1)) * N / BOX
    distance = np.linalg.norm(sites, axis=0)
    radial = (sites / distance)[None]
    seen = model.line_of_sight.observe(model.sublattices, radial)
    off = np.abs(seen - radial).max((0, 1))
    assert off[distance > 5].max() < 1e-3 < off[distance < 3].max()


def test_next_to_the_observer(models, grown):
    """Velocities do not move the observer's own particle, however fast."""
    grid = models.lagrangian(N).grid
    centre = [(5 + 0.5) * grid.voxel_side] * 3
    model = observed(models, lambda grid: LineOfSight.of(centre, grid, [0, 0, 1, 0]), order=1)
    x = np.full((1, 3, N, N, N), 3.0)
    seen = model.line_of_sight.observe(model.sublattices, x)
    np.testing.assert_array_equal(seen[0, :, 5, 5, 5], 0)
    assert np.abs(seen[0, :, 5, 5, 6]).max() < 3  # and is smooth about it


def test_plane_parallel_far_away(models):
    """The difference falls as the inverse of the distance."""
    modes = np.random.default_rng(2).standard_normal((N, N, N))
    f1, f2 = 0.5, 1.1
    for order in (1, 2):
        plane = models.particles(N, order=order, axis=1, rates=(f1, f2)).density(modes).delta
        differences = []
        for distance in (1e4, 1e6):
            observer = [BOX / 2, -distance, BOX / 2]
            far = observed(
                models,
                lambda grid, at=observer: LineOfSight.of(at, grid, [1, 1, f1, f2]),
                order=order,
            )
            differences.append(np.abs(far.density(modes).delta - plane).max())
        assert differences[1] < 2e-4 * plane.std()
        assert differences[1] == pytest.approx(differences[0] / 100, rel=0.1)


def test_snapshot_without_velocities(models):
    modes = np.random.default_rng(3).standard_normal((N, N, N))
    for options in ({}, {"per_voxel": 8}, {"per_voxel": 8, "interpolation": "fourier"}):
        model = observed(models, lambda grid: LineOfSight.of(INSIDE, grid, [1, 1, 0, 0]), **options)
        real = models.particles(N, **{"interpolation": "local", **options}).density(modes).delta
        np.testing.assert_allclose(model.density(modes).delta, real, atol=1e-12)


# The adjoint


def check_gradient(model, dtype="float64"):
    rng = np.random.default_rng(4)
    modes, direction = rng.standard_normal((2, N, N, N))
    evolved = model.density(modes)
    bar = rng.standard_normal(evolved.delta.shape)
    gradient = model.density_vjp(evolved, bar)
    step, tolerance = (1e-5, 1e-6) if dtype == "float64" else (1e-2, 1e-2)
    high, low = (model.density(modes + s * step * direction).delta for s in (1, -1))
    numerical = np.sum(bar * (high.astype(float) - low)) / (2 * step)
    assert np.sum(gradient * direction) == pytest.approx(numerical, rel=tolerance)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_density": N // 2},
        {"per_voxel": 8},
        {"per_voxel": 8, "interpolation": "fourier", "n_density": N // 2},
        {"dtype": "float32"},
    ],
)
def test_gradient(models, grown, order, options):
    sight = lambda grid: LineOfSight.of(INSIDE, grid, light_cone(grown), fiducial(grown))  # noqa: E731
    check_gradient(observed(models, sight, order, **options), options.get("dtype", "float64"))


@pytest.mark.parametrize("options", [{}, {"per_voxel": 8}, {"factor": 2}])
@pytest.mark.parametrize("with_radii", [False, True])
def test_gradient_of_a_mesh(models, grown, options, with_radii):
    model = models.mesh(N, **options)
    coefficients = 1, 0, 0, 1 / model.growth.inertia_last
    radii = fiducial(grown) if with_radii else None
    sight = LineOfSight.of(INSIDE, model.grid, coefficients, radii)
    check_gradient(replace(model, line_of_sight=sight))


def test_transposed(models, grown):
    """The kernel's adjoint by dot products with its derivative, next to the observer too."""
    model = observed(
        models, lambda grid: LineOfSight.of(INSIDE, grid, light_cone(grown), fiducial(grown))
    )
    rng = np.random.default_rng(5)
    x1, x2, v1, v2, bar = rng.standard_normal((5, 1, 3, N, N, N))
    see = lambda s: model.line_of_sight.observe(model.sublattices, x1 + s * v1, x2 + s * v2)  # noqa: E731
    derivative = (see(1e-6) - see(-1e-6)) / 2e-6
    bars = x1.copy(), x2.copy()
    model.line_of_sight.observe_vjp(model.sublattices, *bars, bar)
    # site by site: no particle sees another
    left = np.sum(derivative * bar, axis=1)
    right = np.sum(bars[0] * v1 + bars[1] * v2, axis=1)
    np.testing.assert_allclose(left, right, atol=1e-7)


# Whatever is seen


@pytest.mark.parametrize("observer", [INSIDE, [-300.0, 20.0, 500.0]])
def test_mass_is_kept(models, grown, observer):
    sight = lambda grid: LineOfSight.of(observer, grid, light_cone(grown), fiducial(grown))  # noqa: E731
    modes = np.random.default_rng(6).standard_normal((N, N, N))
    delta = observed(models, sight, per_voxel=8).density(modes).delta
    assert abs(delta.mean()) < 1e-12 and delta.std() > 0.1


def test_threads_change_nothing(models, grown):
    modes = np.random.default_rng(7).standard_normal((N, N, N))
    sight = lambda grid, n: LineOfSight.of(  # noqa: E731
        INSIDE, grid, light_cone(grown), threads=Threads(n)
    )
    one, three = (
        observed(models, lambda grid, n=n: sight(grid, n)).density(modes).delta for n in (1, 3)
    )
    np.testing.assert_array_equal(one, three)


def test_no_number_stays_one(models, grown):
    """A trajectory that has run away is to be rejected, not to end the process."""
    model = observed(models, lambda grid: LineOfSight.of(INSIDE, grid, light_cone(grown)))
    modes = np.random.default_rng(8).standard_normal((N, N, N))
    for wrong in (np.nan, 1e200):
        modes[1, 2, 3] = wrong
        evolved = model.density(modes)
        model.density_vjp(evolved, np.ones(evolved.delta.shape))


def test_particles_in_real_space(models, grown):
    """Places and velocities without what the observer makes of them."""
    modes, rates = np.random.default_rng(9).standard_normal((N, N, N)), (0.5, 1.1)
    real = models.particles(N, interpolation="local").particles(modes, rates)
    model = observed(
        models, lambda grid: LineOfSight.of(INSIDE, grid, [1, 1, *rates], fiducial(grown))
    )
    for one, other in zip(model.particles(modes, rates), real, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_velocities_on_the_light_cone(models, grown):
    """v = a H dx/dln a, of the time of each distance."""
    modes = np.random.default_rng(10).standard_normal((N, N, N))
    expansion = lambda distance: expansion_on_light_cone(grown, distance)  # noqa: E731
    model = observed(
        models,
        lambda grid: LineOfSight.of(INSIDE, grid, light_cone(grown), expansion=expansion),
        order=1,
    )
    x, rate = model.particles(modes, None)
    first, _ = model.first.displacement(modes)
    sites = (np.indices((N, N, N)) + 0.5) * model.grid.voxel_side
    distance = np.linalg.norm(sites - np.reshape(INSIDE, (3, 1, 1, 1)), axis=0)
    z = 1 / scale_factor_at(grown)(distance) - 1
    d, f = growth.growth(z, OMEGA_M), growth.growth_rate(z, OMEGA_M)
    np.testing.assert_allclose(x[0], d * first, atol=1e-6)
    hubble = growth.expansion_rate(z, OMEGA_M) / (1 + z)
    np.testing.assert_allclose(rate[0], hubble * f * d * first, atol=1e-6)
