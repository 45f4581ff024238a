"""Bias weights against their priors, and against the number of halos."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from cobaya_neuralbias import NeuralBias
from cobaya_neuralbias.catalogue import read_catalogue
from cobaya_neuralbias.report.summary_text import as_text
from cobaya_neuralbias.report.weights import against_prior, halos_for_weights, mark, moments


def test_width_against_that_of_the_prior(rng):
    values = rng.standard_normal(4000)
    for pdf, width in (
        (stats.norm(3, 2), 2),
        (stats.uniform(-5, 10), 10 / np.sqrt(12)),
        (stats.truncnorm(-1, 1, 0, 3), stats.truncnorm(-1, 1, 0, 3).std()),
    ):
        prior, ratio = against_prior(pdf, values)
        assert np.isclose(prior, width) and np.isclose(ratio, 1 / width, rtol=0.05)
    # A Cauchy prior has no standard deviation: quantiles are compared.
    cauchy = stats.cauchy(0, 1)
    assert np.isclose(against_prior(cauchy, cauchy.rvs(8000, random_state=1))[1], 1, rtol=0.1)
    assert against_prior(cauchy, 0.1 * values)[1] < 0.1


@pytest.mark.parametrize(
    "pdf, values, expected",
    [
        (stats.norm(0, 1), lambda z: 0.95 * z, "prior"),
        (stats.norm(0, 1), lambda z: 0.3 * z + 2, ""),
        (stats.uniform(0, 1), lambda z: stats.norm.cdf(z), "prior"),
        (stats.uniform(0, 10), lambda z: np.abs(z), "bound"),
        (stats.uniform(-10, 10), lambda z: -0.1 * np.abs(z), "bound"),
        (stats.uniform(0, 10), lambda z: 0.3 * z + 1.5, ""),
        (stats.expon(0, 10), lambda z: 0.2 * np.abs(z), "bound"),
        (stats.uniform(0, 10), lambda z: np.zeros(z.size), ""),
    ],
)
def test_marks(pdf, values, expected):
    z = np.random.default_rng(0).standard_normal(3000)
    values = values(z)
    assert mark(pdf, values, against_prior(pdf, values)[1]) == expected


def stub(chains, names, pdfs):
    parameterization = SimpleNamespace(sampled_params=lambda: dict.fromkeys(["other", *names]))
    prior = SimpleNamespace(pdf=[stats.norm(0, 1), *pdfs])
    model = SimpleNamespace(parameterization=parameterization, prior=prior)
    return SimpleNamespace(
        weight_names=names,
        columns=lambda wanted: [chain[:, [names.index(n) for n in wanted]] for chain in chains],
        target=SimpleNamespace(model=model),
    )


def test_each_weight_meets_its_own_prior(rng):
    chains = [rng.standard_normal((200, 2)) for _ in range(2)]
    result = moments(stub(chains, ["a", "b"], [stats.norm(0, 10), stats.norm(0, 1)]))
    assert list(result) == ["a", "b"]
    assert np.isclose(result["a"]["std_over_prior"], 0.1, rtol=0.1) and not result["a"]["mark"]
    assert result["b"]["prior_std"] == 1 and result["b"]["mark"] == "prior"


def test_halos_for_weights_counts_what_is_compared():
    """Those above the threshold, but in no mass bin, are not."""
    bins = {"likelihood": "binned", "mass_threshold": 1e13, "mass_bins": [2e13, 5e13, 2e14]}
    like = NeuralBias({"box_size": 250.0, **bins})
    run = SimpleNamespace(
        likelihoods={"bias": like},
        weight_names=["beta_b", "other"],
        density_grid=SimpleNamespace(n=4),
    )
    mass = read_catalogue("bundled", 250.0).mass
    halos = np.count_nonzero((mass >= 2e13) & (mass < 2e14))
    assert halos_for_weights(run) == {"bias": {"halos": halos, "weights": 1}}


def test_lines_of_the_text(summary):
    for weight in summary["weights"].values():
        weight.update(ess=400.0, mark="")
    summary["halos_for_weights"]["bias"] = {"halos": 600, "weights": 20}
    text = as_text(summary)
    assert "say little" not in text and "end of the prior" not in text and "a weight" not in text
    summary["weights"]["npe_b"]["mark"] = "bound"
    summary["weights"]["npe_w1"]["mark"] = "prior"
    summary["halos_for_weights"]["bias"]["halos"] = 599
    text = as_text(summary)
    assert "note     the data say little about 'npe_w1'" in text
    assert "note     'npe_b' at the end of the prior" in text
    assert "note     599 halos for 20 sampled weights (bias)" in text
    (row,) = [line for line in text.splitlines() if line.startswith("  npe_w1 ")]
    assert row.endswith("as wide as the prior")


@pytest.fixture
def summary(report_of_finished):
    return copy.deepcopy(report_of_finished[2])
