"""Bias weights of a run: posterior against prior, and halos against the number of weights."""

import numpy as np

from ..sampling.diagnostics import equal_lengths, ess_bulk, rhat

# Posterior over prior standard deviation above which the data say little about a weight
WIDE = 0.8
# A posterior mean fewer posterior standard deviations than this from the end of the prior's
# support: a Gaussian that the end cuts off at most 0.6 sigma from its maximum.
AT_BOUND = 1.5
# Of a prior without a standard deviation, and of the posterior then, half this interval is taken.
CENTRAL = (0.16, 0.84)


def moments(run, names=None):
    """Name -> mean, std, effective samples, R-hat, standard deviation of the prior, and a mark.

    Of the weights, or of the sampled parameters ``names``.
    ``mark`` is "prior" where the posterior is about as wide as the prior, "bound" where it lies at
    an end of the prior's support, else empty.
    """
    names = run.weight_names if names is None else names
    columns = run.columns(names)
    values, draws = np.concatenate(columns), equal_lengths(columns)
    sampled = list(run.target.model.parameterization.sampled_params())
    sizes, rhats = ess_bulk(draws), rhat(draws)
    out = {}
    for i, name in enumerate(names):
        pdf = run.target.model.prior.pdf[sampled.index(name)]
        std = values[:, i].std(ddof=min(1, len(values) - 1))
        prior_std, ratio = against_prior(pdf, values[:, i])
        out[name] = {
            "mean": values[:, i].mean(),
            "std": std,
            "ess": sizes[i],
            "rhat": rhats[i],
            "prior_std": prior_std,
            "std_over_prior": ratio,
            "mark": mark(pdf, values[:, i], ratio),
        }
    return out


def against_prior(pdf, values):
    """(width of the prior, posterior width over it): standard deviations or, where the prior has
    none, half the widths of the central 68 per cent.
    """
    width = float(pdf.std())
    if np.isfinite(width):
        return width, values.std(ddof=min(1, len(values) - 1)) / width
    low, high = pdf.ppf(CENTRAL)
    a, b = np.quantile(values, CENTRAL)
    return (high - low) / 2, (b - a) / (high - low)


def mark(pdf, values, ratio):
    """ "prior", "bound" or "" of a weight's samples (n,)."""
    if ratio > WIDE:
        return "prior"
    ends = [end for end in pdf.interval(1) if np.isfinite(end)]
    distance = min((abs(values.mean() - end) for end in ends), default=np.inf)
    moved = values.std() > 0
    return "bound" if moved and distance < AT_BOUND * values.std() else ""


def halos_for_weights(run):
    """Likelihood -> ``halos`` that it compares, sampled ``weights`` of its own."""
    out = {}
    for name, like in run.likelihoods.items():
        model = like.data_model(run.density_grid.n)
        sampled = [weight for weight in like.weight_names if weight in run.weight_names]
        out[name] = {"halos": model.n_compared, "weights": len(sampled)}
    return out
