"""Whether what a kernel leaves behind has the distribution that it should have.

All checks look at standardised coordinates: independent N(0, 1) if nothing is wrong (the
``standard`` of a target in ``known_targets``). A check returns the chance of so bad a worst number
if nothing is wrong, Bonferroni-corrected for how many numbers it looks at; tests ask for more than
``FALSE_ALARM``. Seeds are fixed, so a test that passes passes always.
"""

import numpy as np
from scipy import stats

from cobaya_neuralbias.sampling import diagnostics, hamiltonian
from cobaya_neuralbias.sampling.adaptation import Warmup

FALSE_ALARM = 1e-4  # of one check
# Coordinates that are looked at one by one, from either end.
LOOK_AT = 6
# Effective sample sizes are estimates, uncertain by a tenth or two.
ALLOWANCE = 1.2


def statistics(u):
    """(..., q) numbers of mean 0 and variance 1 if u (..., d) is independent N(0, 1).

    Some coordinates, their squares and products of neighbours; the squared distance.
    """
    d = u.shape[-1]
    some = u[..., np.unique(np.r_[: min(d, LOOK_AT), max(0, d - LOOK_AT) : d])]
    distance = ((u**2).sum(-1, keepdims=True) - d) / np.sqrt(2 * d)
    products = some[..., 1:] * some[..., :-1]
    return np.concatenate([some, (some**2 - 1) / np.sqrt(2), products, distance], axis=-1)


def _worst(z):
    return float(min(1.0, 2 * stats.norm.sf(np.max(np.abs(z))) * np.size(z)))


def chance_of_chains(rows, fewest=60):
    """The check of chains (m, n, q) of :func:`statistics`: means against their errors.

    The errors are sqrt(1 / effective samples), for the variance is known. Chains of less than
    ``fewest`` effective samples are refused: they could hide anything.
    """
    if not np.isfinite(rows).all():
        return 0.0  # divergent
    ess = diagnostics.ess(rows)
    assert np.min(ess) > fewest, f"the chains mix too slowly to tell: {ess}"
    return _worst(rows.mean((0, 1)) * np.sqrt(ess) / ALLOWANCE)


def chance_of_draws(u, others=None):
    """The check of independent draws u (n, d): moments, and Kolmogorov-Smirnov on projections.

    ``others`` (n, r) are more numbers of mean zero, whose variance is not known.
    """
    u = np.asarray(u)
    moments = statistics(u).mean(0) * np.sqrt(len(u))
    if others is not None:
        errors = others.std(0) / np.sqrt(len(others))
        moments = np.append(moments, others.mean(0) / errors)
    rng = np.random.default_rng(u.shape[-1])
    some = u[:, np.unique(np.r_[: min(u.shape[1], LOOK_AT), u.shape[1] - 1])]
    directions = rng.standard_normal((u.shape[1], 4))
    columns = np.hstack([some, u @ (directions / np.linalg.norm(directions, axis=0))])
    ks = [stats.kstest(column, "norm").pvalue for column in columns.T]
    return min(1.0, _worst(moments) * 2, min(ks) * len(ks) * 2)


def frozen(metric, step_size, dense_step_size, dense_blocks=None):
    """A tuning that has nothing to learn."""
    tuning = Warmup(0, metric, step_size, dense_step_size, 0.8, dense_blocks=dense_blocks)
    assert tuning.done and not tuning.dense_frozen
    return tuning


def conditional_of(target):
    """``conditionals(z)`` of a target whose dense coordinates are one block."""

    def conditional(position):
        def dense(w):
            value, gradient = target(np.concatenate([position[: target.n], w]))
            return value, gradient[target.n :]

        return [dense]

    return conditional


def run_chains(kernel, target, n_chains, n_steps, seed=0):
    """(n_chains, n_steps, q) statistics of chains from exact draws.

    ``kernel(rng, state) -> state`` is one transition.
    """
    out = []
    for rng in np.random.default_rng(seed).spawn(n_chains):
        state = hamiltonian.init(target, target.draw(rng, 1)[0])
        rows = []
        for _ in range(n_steps):
            state = kernel(rng, state)
            rows.append(state.position)
        out.append(statistics(target.standard(np.array(rows))))
    return np.array(out)


def one_transition(kernel, target, n_draws, momentum=False, seed=0):
    """What one transition makes of exact draws of the position, and of the momentum if it is kept.

    Returns
    -------
    u : (n_draws, d), or (n_draws, 2 d) with the momentum
    slopes : (n_draws, 1) gradient times momentum, of mean zero; None without momentum
    """
    rng = np.random.default_rng(seed)
    ends = []
    for start in target.draw(rng, n_draws):
        kept = rng.standard_normal(target.d) if momentum else None
        ends.append(kernel(rng, hamiltonian.init(target, start, kept)))
    u = target.standard(np.array([end.position for end in ends]))
    if not momentum:
        return u, None
    slopes = np.array([[end.gradient @ end.momentum] for end in ends])
    return np.hstack([u, [end.momentum for end in ends]]), slopes
