"""The priors of the weights: density, gradient, curvature and support, of any list of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cobaya_neuralbias.posterior.priors import WeightPriors

LOCATIONS, SCALES = st.floats(-20, 20), st.floats(0.05, 20)
# Kinds of priors, each with a point well inside its support
KINDS = {
    "norm": lambda loc, scale: (stats.norm(loc, scale), loc + 0.7 * scale),
    "uniform": lambda loc, scale: (stats.uniform(loc, scale), loc + 0.3 * scale),
    "cauchy": lambda loc, scale: (stats.cauchy(loc, scale), loc - 0.6 * scale),
    "gamma": lambda loc, scale: (stats.gamma(3.0, loc, scale), loc + 1.5 * scale),
    "beta": lambda loc, scale: (stats.beta(2.0, 3.0, loc, scale), loc + 0.4 * scale),
}


@st.composite
def weight_priors(draw):
    """(distributions, a point inside the support of all of them)"""
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5))
    pairs = [KINDS[kind](draw(LOCATIONS), draw(SCALES)) for kind in kinds]
    pdfs, point = zip(*pairs, strict=True)
    return list(pdfs), np.array(point)


@given(weight_priors())
def test_density(case):
    pdfs, weights = case
    priors = WeightPriors(pdfs)
    expected = sum(pdf.logpdf(w) for pdf, w in zip(pdfs, weights, strict=True))
    value = priors.value_and_gradient(weights)[0] + priors.constant
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)


@given(weight_priors())
def test_gradient_and_curvature(directional, case):
    """Against differences of the log density, one weight at a time."""
    pdfs, weights = case
    priors = WeightPriors(pdfs)
    gradient, curvature = priors.value_and_gradient(weights)[1], priors.curvature(weights)
    for i, pdf in enumerate(pdfs):
        low, high = pdf.interval(0.5)
        step = 0.02 * (high - low)

        def log_density(x, pdf=pdf):
            return float(pdf.logpdf(x))

        def slope(x, log_density=log_density, step=step):
            return directional(log_density, x, 1.0, step)

        expected = slope(weights[i])
        np.testing.assert_allclose(gradient[i], expected, rtol=1e-4, atol=1e-4 / (high - low))
        if pdf.dist.name in ("norm", "uniform"):
            expected = -directional(slope, weights[i], 1.0, step)
            atol = 1e-4 / (high - low) ** 2
            np.testing.assert_allclose(curvature[i], expected, rtol=1e-4, atol=atol)


@given(weight_priors(), st.floats(1e-6, 100))
def test_support(case, distance):
    """Outside of any prior's support there is no density, and inside of all of them there is."""
    pdfs, weights = case
    priors = WeightPriors(pdfs)
    assert np.isfinite(priors.value_and_gradient(weights)[0])
    np.testing.assert_array_equal(priors.bounds, [pdf.support() for pdf in pdfs])
    for i in range(len(pdfs)):
        for end, sign in zip(priors.bounds[i], (-1, 1), strict=True):
            if not np.isfinite(end):
                continue
            outside = weights.copy()
            outside[i] = end + sign * distance
            value, gradient = priors.value_and_gradient(outside)
            assert value == -np.inf and not gradient.any()
