"""Statistics of several chains, pooled.

Each rule takes one quantity of every chain, in the order of the chains, and adds up in that order.
For a single chain it returns the quantity unchanged, to the bit.
"""

from functools import reduce
from operator import add

import numpy as np

from .moments import Moments


def total(values):
    """Sum of counts, or of sums over draws."""
    return reduce(add, values)


def total_of_known(values):
    """Sum of the arrays that are not empty, as they are for chains that have nothing to tell."""
    return total([value for value in values if np.size(value)] or values[:1])


def average(values):
    """Plain mean: for numbers that each chain has tuned, such as the logarithm of a step size."""
    return total(values) if len(values) == 1 else total(values) / len(values)


def moments(parts):
    """Moments of all draws together, from those of each chain's; dictionaries, as `to_dict` gives.

    With n = n_a + n_b draws and d = mean_b - mean_a,

        mean = mean_a + d n_b / n,   scatter = scatter_a + scatter_b + d d^T n_a n_b / n

    (Chan, Golub & LeVeque 1983, The American Statistician 37, 242).
    """
    return reduce(_both, parts)


def _both(a, b):
    count = a["count"] + b["count"]
    if not a["count"] or not b["count"]:
        return b if b["count"] else a
    shift = b["mean"] - a["mean"]
    dense = np.ndim(a["scatter"]) > np.ndim(a["mean"])
    squares = np.outer(shift, shift) if dense else shift**2
    return {
        "count": count,
        "mean": a["mean"] + shift * (b["count"] / count),
        "scatter": a["scatter"] + b["scatter"] + squares * (a["count"] * b["count"] / count),
    }


def within(parts):
    """Moments of the draws of each chain about the chain's own mean: the variance within chains.

    The ``mean`` is that of all draws. Each chain loses one degree of freedom to its mean; the
    ``count`` is one more than the degrees of freedom that are left.
    """
    parts = [part for part in parts if part["count"]] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    draws = total([part["count"] for part in parts])
    return {
        "count": draws - len(parts) + 1,
        "mean": total([part["count"] * part["mean"] for part in parts]) / draws,
        "scatter": total([part["scatter"] for part in parts]),
    }


def pool(parts, rules):
    """One dictionary from one of each chain.

    Parameters
    ----------
    parts : list of dict
    rules : dict
        Name -> one of the functions above, or the rules of a dictionary of that name.
    """
    return {
        name: pool([part[name] for part in parts], rule)
        if isinstance(rule, dict)
        else rule([part[name] for part in parts])
        for name, rule in rules.items()
    }


def pooled(parts):
    """:class:`~.moments.Moments` of all draws together."""
    first = parts[0]
    out = Moments(first.mean.shape, dense=first.scatter.ndim > first.mean.ndim)
    out.restore(moments([part.to_dict() for part in parts]))
    return out
