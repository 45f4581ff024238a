"""Likelihoods, scatter, masks, boundaries and lists of catalogues, through Cobaya."""

import copy
import logging
from itertools import product

import h5py
import numpy as np
import pytest
from cobaya.log import LoggedError
from cobaya.model import get_model
from cobaya.run import run
from scipy import optimize

from cobaya_neuralbias import NeuralBias, Neyrinck, field_target
from cobaya_neuralbias.bias.scatter import NegativeBinomial
from cobaya_neuralbias.catalogue import HaloCatalogue, read_catalogue, write_catalogue

BOX, N = 250.0, 8
BINS = [2e13, 5e13, 2e14, float("inf")]
HALOS = read_catalogue("bundled", BOX).above(2e13)


def bias(info, **options):
    info["likelihood"]["bias"].update(options)
    return info


def completeness(folder, seed=0):
    """A field of n^3 numbers in [0, 1]; 0 only where there are no halos."""
    field = np.random.default_rng(seed).uniform(0.2, 1, 3 * (N,))
    empty = HALOS.counts(N) == 0
    assert empty.any()
    field[empty] = 0
    np.save(folder / "mask.npy", field)
    return str(folder / "mask.npy"), field


def point(like, seed=0):
    """(density, weights)"""
    rng = np.random.default_rng(seed)
    weights = like.default_weights + 0.1 * rng.standard_normal(len(like.default_weights))
    return rng.gamma(1.0, 1.0, 3 * (N,)) - 1, weights


def standalone(**options):
    return NeuralBias({"box_size": BOX, "mass_threshold": 2e13, **options})


def refusal(*parts, **options):
    with pytest.raises(LoggedError) as caught:
        like = standalone(**options)
        like.data_model(N)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("likelihood", "scatter", "masked", "boundary"),
    [
        *list(
            product(
                ("point_process", "counts", "binned"),
                ("poisson", "negative_binomial"),
                (False, True),
                ("periodic", "open"),
            )
        ),
        ("point_process", "exclusion", False, "periodic"),
        ("point_process", "exclusion", True, "open"),
        ("counts", "conway_maxwell", False, "periodic"),
        ("point_process", "conway_maxwell", True, "open"),
    ],
)
def test_agrees_with_cobaya(
    small_model, tmp_path, directional, likelihood, scatter, masked, boundary
):
    """The sampler's target is Cobaya's posterior, and its gradient is right, for each option."""
    bias(small_model, likelihood=likelihood, scatter=scatter, boundary=boundary)
    if likelihood == "binned":
        bias(small_model, mass_bins=BINS)
    if masked:
        bias(small_model, completeness=completeness(tmp_path)[0])
    model = get_model(small_model)
    target = field_target(model)
    like = target.likelihoods["bias"]
    n_weights = 10 if likelihood == "counts" else 20
    of_scatter = {"poisson": 0, "exclusion": 3}.get(scatter, 1)
    assert len(target.weight_names) == n_weights + of_scatter
    if scatter == "negative_binomial":
        assert target.weight_names[-1] == like.weight_names[-1] == "ln_phi"
        assert model.prior.pdf[n_weights].mean() == like.default_weights[-1] == -4
    phases = np.random.default_rng(1).standard_normal(target.grid.shape)
    weights = point(like)[1]
    value, d_phases, d_weights = target.value_and_gradient(phases, weights)
    target.theory.set_phases(phases)
    logpost = model.logposterior(dict(zip(target.weight_names, weights, strict=True))).logpost
    expected = logpost - 0.5 * np.sum(phases**2) - target.log_prior_constant
    assert value == pytest.approx(expected, rel=1e-10)
    for i, e in enumerate(np.eye(len(weights))):
        numeric = directional(lambda w: target.value_and_gradient(phases, w)[0], weights, e, 1e-6)
        assert d_weights[i] == pytest.approx(numeric, rel=1e-5, abs=1e-3)
    u = np.random.default_rng(2).standard_normal(phases.shape)
    numeric = directional(lambda x: target.value_and_gradient(x, weights)[0], phases, u, 1e-6)
    assert np.vdot(u, d_phases) == pytest.approx(numeric, rel=1e-5)


def test_sampled_over_dispersion(small):
    """ln phi moves, with the other weights, and ends in the chain."""
    bias(small, scatter="negative_binomial", likelihood="counts")
    products = run(small)[1].products()
    assert products["sample"]["ln_phi"].std() > 0


@pytest.mark.parametrize(("n_grid", "phi", "gain"), [(64, 0.06, 14), (10, 0.10, 710)])
def test_over_dispersion_of_the_bundled_catalogue(small_model, n_grid, phi, gain):
    """Fitted phi of counts at the true phases, and its gain over Poisson: the table of the docs."""
    theory = {"n_grid": n_grid, "phases": "bundled::truth/white_noise"}
    small_model["theory"]["cobaya_neuralbias.LPT"].update(theory)
    model = get_model(small_model)
    model.logposterior(model.prior.reference())
    delta = model.theory["cobaya_neuralbias.LPT"].get_matter_density()
    counts = read_catalogue("bundled", BOX).above(2e12).counts(n_grid).ravel()
    basis = np.vander(np.log(1.05 + delta).ravel(), 4, increasing=True)

    def poisson(w):
        log_rate = np.clip(basis @ w, -40, 40)
        rate = np.exp(log_rate)
        return np.sum(rate - counts * log_rate), basis.T @ (rate - counts)

    start = [np.log(counts.mean()), 1, 0, 0]
    expected = np.exp(basis @ optimize.minimize(poisson, start, jac=True, method="BFGS").x)
    occupied = np.flatnonzero(counts)
    halos = occupied, counts[occupied].astype(int)

    def loss(ln_phi):
        return -NegativeBinomial().log_mean_factor(expected, *halos, np.array([ln_phi]))[0]

    fitted = optimize.minimize_scalar(loss, bounds=(-12, 2), method="bounded")
    assert np.exp(fitted.x) == pytest.approx(phi, rel=0.1)
    assert expected.sum() - fitted.fun == pytest.approx(gain, rel=0.1)


# -- masks and boundaries ----------------------------------------------------------------------


def test_completeness_of_one_changes_nothing(tmp_path):
    np.save(tmp_path / "one.npy", np.ones(3 * (N,)))
    like, masked = standalone(), standalone(completeness=str(tmp_path / "one.npy"))
    delta, weights = point(like)
    ours, theirs = (x.value_and_gradient(delta, weights) for x in (masked, like))
    assert ours[0] == pytest.approx(theirs[0], rel=1e-13)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-10)


def test_completeness_by_its_definition(tmp_path):
    """S multiplies the expected halos, ln S is added for each halo."""
    spec, field = completeness(tmp_path)
    like = standalone(completeness=spec, alpha_shift=-8.0)
    full = standalone(alpha_shift=-8.0)
    delta, weights = point(like)
    unseen = (1 - field) * full.data_model(N).expected_counts(delta, weights)
    expected = full.value_and_gradient(delta, weights)[0] + unseen.sum()
    expected += np.log(field.ravel()[HALOS.voxel(N)]).sum()
    assert like.value_and_gradient(delta, weights)[0] == pytest.approx(expected, rel=1e-12)
    seen = like.data_model(N).expected_counts(delta, weights)
    np.testing.assert_allclose(seen, full.data_model(N).expected_counts(delta, weights) * field)
    # Amplitudes start at the density of the observed part.
    assert np.exp(standalone(completeness=spec).network.alpha_shift) == pytest.approx(
        len(HALOS) / BOX**3 / field.mean()
    )


def test_completeness_in_hdf5(tmp_path):
    spec, field = completeness(tmp_path)
    with h5py.File(tmp_path / "mask.h5", "w") as file:
        file["survey/mask"] = field
    like = standalone(completeness=f"{tmp_path}/mask.h5::survey/mask")
    delta, weights = point(like)
    other = standalone(completeness=spec)
    assert like.value_and_gradient(delta, weights)[0] == other.value_and_gradient(delta, weights)[0]


def test_halos_where_the_mask_is_zero(tmp_path, caplog):
    field = completeness(tmp_path)[1]
    voxel = HALOS.voxel(N)
    field.ravel()[voxel[7]] = 0
    hidden = np.count_nonzero(voxel == voxel[7])
    np.save(tmp_path / "hole.npy", field)
    spec = str(tmp_path / "hole.npy")
    write_catalogue(tmp_path / "halos.h5", HALOS)
    first = int(np.argmax(voxel == voxel[7]))
    index = tuple(int(i) for i in np.unravel_index(voxel[7], 3 * (N,)))
    x, y, z = HALOS.position[first]
    options = {"catalogue": str(tmp_path / "halos.h5"), "completeness": spec}
    refusal(
        f"halos.h5, halo {first} (from 0), at ({x:g}, {y:g}, {z:g}) Mpc/h in voxel {index}",
        *(spec, f"({hidden} such halos", "drop_masked: True"),
        **options,
    )
    like = standalone(**options, drop_masked=True)
    with caplog.at_level(logging.INFO):
        kept = like.data_model(N)
    assert f"{hidden} halos are left out" in caplog.text
    assert len(kept.t) == len(HALOS) - hidden
    assert not np.any(kept.voxel == voxel[7])
    # The file and row of a halo in the second of two files, halos below threshold counted
    order = np.random.default_rng(0).permutation(len(HALOS))
    light = np.where(np.arange(len(HALOS)) % 2, HALOS.mass, 1e12)
    for name, part in (("a.h5", order[:300]), ("b.h5", order[300:])):
        write_catalogue(tmp_path / name, HaloCatalogue(HALOS.position[part], light[part], BOX))
    seen = (voxel == voxel[7])[order] & (light[order] >= 2e13)
    row = int(np.argmax(seen))
    name = f"a.h5, halo {row} (" if row < 300 else f"b.h5, halo {row - 300} ("
    files = [str(tmp_path / "a.h5"), str(tmp_path / "b.h5")]
    refusal(name, catalogue=files, completeness=spec)


def test_unusable_completeness(tmp_path, small_model):
    def saved(field):
        np.save(tmp_path / "bad.npy", field)
        return str(tmp_path / "bad.npy")

    field = np.ones(3 * (N,))
    field[1, 2, 3] = 1.5
    refusal("bad.npy", "voxel (1, 2, 3) is 1.5", "[0, 1]", completeness=saved(field))
    field[1, 2, 3] = -0.1
    refusal("(1, 2, 3) is -0.1", completeness=saved(field))
    field[1, 2, 3] = np.nan
    refusal("(1, 2, 3)", "finite", completeness=saved(field))
    refusal("0 in every voxel", completeness=saved(np.zeros(3 * (N,))))
    refusal("4^3 voxels, expected n_grid = 8", completeness=saved(np.ones((4, 4, 4))))
    refusal("cube", completeness=saved(np.ones((4, 4, 8))))
    refusal("no such file", completeness="nowhere.npy")
    refusal("FILE::dataset", completeness="mask.txt")
    refusal("'drop_masked' is of no use without", drop_masked=True)
    # ... and in a model before any point is evaluated
    with pytest.raises(LoggedError, match=r"expected n_grid = 8"):
        get_model(bias(small_model, completeness=saved(np.ones((4, 4, 4)))))


def valid_log_likelihood(like, delta, weights):
    """Point process of the interior, with a convolution that sees no face: the direct formula."""
    kernel_weights, b = weights[:4], weights[4]
    r2 = sum((axis - 1) ** 2 for axis in np.indices((3, 3, 3)))
    u = np.log(1 + delta + like.floor)
    windows = np.lib.stride_tricks.sliding_window_view(u, (3, 3, 3))
    psi = np.logaddexp(0, np.einsum("ijkabc,abc->ijk", windows, kernel_weights[r2]) + b)
    inside = np.full(3 * (N,), -1)
    inside[1:-1, 1:-1, 1:-1] = np.arange(psi.size).reshape(psi.shape)
    place = inside.ravel()[HALOS.voxel(N)]
    t = np.log(HALOS.mass / 2e13)[place >= 0]
    log_density = like.network.log_density(psi.ravel()[place[place >= 0]], t, weights[5:])
    volume = (BOX / N) ** 3
    return log_density.sum() - volume * like.network.number_density(psi, weights[5:]).sum()


def test_open_boundary_is_a_valid_convolution(caplog):
    paper = {"parametrisation": "charnock2019"}
    like = standalone(boundary="open", **paper)
    delta, weights = point(like)
    weights[:5] = [0.5, 0.3, -0.2, 0.1, 0.2]  # a kernel that reaches
    with caplog.at_level(logging.INFO):
        value, delta_bar, _ = like.value_and_gradient(delta, weights)
    assert value == pytest.approx(valid_log_likelihood(like, delta, weights), rel=1e-12)
    edge = np.ones(3 * (N,), dtype=bool)
    edge[1:-1, 1:-1, 1:-1] = False
    at_edge = np.count_nonzero(edge.ravel()[HALOS.voxel(N)])
    assert f"outer 1 layers of voxels at each face do not enter, nor do the {at_edge} halos" in (
        caplog.text
    )
    # Periodic, the far face enters.
    periodic = standalone(**paper)
    assert periodic.value_and_gradient(delta, weights)[0] != pytest.approx(value)

    def interior_terms(x):
        """Sum of the terms of voxel row i = 1, which touches the face i = 0."""
        model = like.data_model(N)
        psi = model.psi(x, weights)
        return psi[1, 1:-1, 1:-1].copy()

    # The voxels next to a face see it, but nothing beyond it.
    beyond = delta.copy()
    beyond[-1] *= 0.5
    np.testing.assert_array_equal(interior_terms(beyond), interior_terms(delta))
    assert delta_bar[0].any()


def test_open_boundary_needs_an_interior():
    refusal("'boundary'", "n_grid > 8", boundary="open", kernel_size=9)


# -- mass bins -----------------------------------------------------------------------------------


def test_halos_outside_the_bins_are_left_out(caplog):
    with caplog.at_level(logging.INFO):
        like = standalone(likelihood="binned", mass_bins=[3e13, 5e13, 2e14])
    outside = np.count_nonzero((HALOS.mass < 3e13) | (HALOS.mass >= 2e14))
    assert f"{outside} of them lie outside the mass bins" in caplog.text
    model = like.data_model(N)
    assert sum(number.sum() for _, _, number in model.counts) == len(HALOS) - outside
    for b, voxel, number in model.counts:
        inside = (HALOS.mass >= like.mass_bins[b]) & (HALOS.mass < like.mass_bins[b + 1])
        expected = np.bincount(HALOS.voxel(N)[inside], minlength=N**3)
        np.testing.assert_array_equal(expected[voxel], number)
        assert expected.sum() == number.sum()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"likelihood": "poisson"}, "'likelihood' is 'poisson'; expected one of 'point_process'"),
        ({"likelihood": "binned"}, "'mass_bins' is None and 'likelihood' is 'binned'"),
        ({"mass_bins": BINS}, "'likelihood' is 'point_process'; expected likelihood: binned"),
        ({"likelihood": "binned", "mass_bins": [2e13]}, "'mass_bins' is [20000000000000.0]; exp"),
        ({"likelihood": "binned", "mass_bins": [5e13, 2e13]}, "ascending"),
        ({"likelihood": "binned", "mass_bins": [0, 5e13]}, "ascending"),
        ({"likelihood": "binned", "mass_bins": "2e13"}, "a list of at least two"),
        ({"likelihood": "binned", "mass_bins": [1e13, 5e13]}, "at least mass_threshold = 2e+13"),
        ({"likelihood": "binned", "mass_bins": [1e17, 1e18]}, "No halo lies in the mass bins"),
        ({"scatter": "gaussian"}, "'scatter' is 'gaussian'; expected one of 'poisson'"),
        (
            {"scatter": "exclusion", "likelihood": "counts"},
            "'scatter' is 'exclusion' and 'likelihood' is 'counts'; expected 'point_process'",
        ),
        (
            {"saturates": True, "parametrisation": "charnock2019"},
            "'saturates: True' and 'parametrisation: charnock2019' do not go together",
        ),
        (
            {"scatter": "conway_maxwell", "likelihood": "binned", "mass_bins": [5e13, 1e15]},
            "'conway_maxwell' and 'mass_bins' are [50000000000000.0, 1000000000000000.0]; exp",
        ),
        ({"boundary": "closed"}, "'boundary' is 'closed'"),
        ({"drop_masked": 1}, "'drop_masked' is 1; expected true or false"),
        ({"catalogue": []}, "catalogue = [], expected the name of a file or a list"),
        ({"catalogue": 3}, "catalogue = 3"),
    ],
)
def test_bad_options(options, message):
    refusal(message, **options)


# -- several catalogues --------------------------------------------------------------------------


def test_files_of_one_catalogue(tmp_path, caplog):
    order = np.random.default_rng(1).permutation(len(HALOS))
    files = []
    for i, part in enumerate(np.array_split(order, 3)):
        files.append(str(tmp_path / f"part{i}.h5"))
        write_catalogue(files[-1], HaloCatalogue(HALOS.position[part], HALOS.mass[part], BOX))
    like = standalone()
    with caplog.at_level(logging.INFO):
        joined = standalone(catalogue=files)
    assert f"{len(HALOS)} of {len(HALOS)} halos in '{files[0]} + {files[1]}" in caplog.text
    delta, weights = point(like)
    expected = like.value_and_gradient(delta, weights)[0]
    assert joined.value_and_gradient(delta, weights)[0] == pytest.approx(expected, rel=1e-12)
    refusal("are the same file", catalogue=[files[0], files[1], files[0]])
    (tmp_path / "link.h5").symlink_to(files[0])
    refusal("are the same file", catalogue=[files[0], str(tmp_path / "link.h5")])
    twice = order[4]
    position, mass = np.vstack([[1.0, 2, 3], HALOS.position[twice]]), [1e14, HALOS.mass[twice]]
    write_catalogue(tmp_path / "more.h5", HaloCatalogue(position, mass, BOX))
    refusal(
        f"halo 4 (from 0) of '{files[0]}' and halo 1 (from 0) of '{tmp_path / 'more.h5'}'",
        "(pairs like it: 1)",
        catalogue=[files[0], str(tmp_path / "more.h5")],
    )


def test_two_tracers_in_one_run(small, tmp_path):
    """Their own weights by the prefix, chi2 columns by their names, readable by getdist."""
    from getdist.mcsamples import loadMCSamples

    light = HALOS.mass < 5e13
    for name, part in (("light", light), ("heavy", ~light)):
        write_catalogue(
            tmp_path / f"{name}.h5", HaloCatalogue(HALOS.position[part], HALOS.mass[part], BOX)
        )
    small["likelihood"] = {
        "light": {
            "class": "cobaya_neuralbias.NeuralBias",
            "catalogue": str(tmp_path / "light.h5"),
            "mass_threshold": 2e13,
            "likelihood": "binned",
            "mass_bins": [2e13, 3e13, 5e13],
            "scatter": "negative_binomial",
            "parameter_prefix": "light_",
        },
        "heavy": {
            "class": "cobaya_neuralbias.NeuralBias",
            "catalogue": str(tmp_path / "heavy.h5"),
            "mass_threshold": 5e13,
            "parameter_prefix": "heavy_",
        },
    }
    prefix = str(tmp_path / "chains" / "two")
    run(small, output=prefix)
    samples = loadMCSamples(prefix, no_cache=True, settings={"ignore_rows": 0})
    names = samples.getParamNames().list()
    assert {"chi2__light", "chi2__heavy", "light_ln_phi", "heavy_npe_b"} <= set(names)
    assert "heavy_ln_phi" not in names
    values = samples.getParams()
    total = values.chi2__light + values.chi2__heavy
    np.testing.assert_allclose(total, values.chi2, rtol=1e-6, atol=1e-4)
    assert values.light_ln_phi.std() > 0


def test_threads(caplog):
    """Said once, in the log; the same bits; all but positive integers are refused."""
    with caplog.at_level(logging.INFO):
        one = standalone()
        assert "threads" not in caplog.text
        two = standalone(threads=2)
    assert caplog.text.count("2 threads share the loops over voxels") == 1
    density, weights = point(one)
    expected = one.value_and_gradient(density, weights)
    for like in (two, copy.deepcopy(two)):
        for ours, theirs in zip(like.value_and_gradient(density, weights), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for cls in (NeuralBias, Neyrinck):
        for wrong in (0, -1, 1.5, True, "two", None):
            with pytest.raises(LoggedError, match="Option 'threads'"):
                cls({"box_size": BOX, "mass_threshold": 2e13, "threads": wrong})


def test_exclusion_does_not_reach_over_the_faces_of_an_open_box():
    """Not even of a kernel of one voxel, which needs no neighbours itself."""
    options = {"kernel_size": 1, "multipoles": [0], "boundary": "open"}
    outer = np.ones((N, N, N), bool)
    outer[1:-1, 1:-1, 1:-1] = False
    assert standalone(**options).data_model(N).completeness is None or np.all(
        standalone(**options).data_model(N).completeness > 0
    )
    seen = standalone(**options, scatter="exclusion").data_model(N).completeness
    np.testing.assert_array_equal(seen.reshape(N, N, N) == 0, outer)
