"""NUTS of numpyro, MCLMC and its adjusted kin (MAMS) of blackjax, each for a given processor time.

Every one starts at the same position, is tuned by its own package's warm-up, and then keeps of each
draw the numbers that chains are judged by. Times are the processor's, of all threads.
"""

from time import process_time
from typing import Any, NamedTuple

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
from blackjax.mcmc import adjusted_mclmc_dynamic, mclmc
from numpyro.infer import NUTS

# blackjax's tuning keeps whole positions: this many a time at most, 0.3 MB each at 32^3.
MOST_TUNING_STEPS = 3000
# Of the integrator of McLachlan, blackjax's default.
GRADIENTS_A_STEP = 2
STEPS_AT_ONCE = 20
# Mean acceptance that MAMS is tuned to: that of its authors (Robnik et al. 2025).
MAMS_ACCEPTANCE = 0.9


class Chain(NamedTuple):
    """What a sampler did."""

    draws: np.ndarray  #: (samples, quantities)
    gradients: float  #: after the warm-up
    seconds: float  #: of the processor, after the warm-up
    warmup_gradients: float
    warmup_seconds: float
    notes: dict[str, Any]  #: numbers of the tuning


class Space(NamedTuple):
    """The posterior in the coordinates that a sampler moves in.

    ``position(y)`` is the flat (modes, weights) of ``y``; ``adapts``, whether the sampler is to
    learn a metric of its own there.
    """

    log_posterior: Any
    position: Any
    start: jax.Array
    n_modes: int
    adapts: bool

    @classmethod
    def whitened(cls, twin, start):
        """Modes of white noise and the weights as they are."""
        return cls(twin.log_posterior, lambda z: z, jnp.array(start), twin.n**3, True)

    @classmethod
    def of_metric(cls, twin, start, metric):
        """The coordinates in which a Gaussian, the ``metric`` of our warm-up, is round."""
        scale = jnp.sqrt(jnp.array(metric.variance))[metric.groups]
        root, mean = jnp.linalg.cholesky(jnp.array(metric.covariance)), jnp.array(metric.mean)
        n = twin.n**3

        def position(y):
            return jnp.concatenate([scale * y[:n], mean + root @ y[n:]])

        return cls(
            lambda y: twin.log_posterior(position(y)),
            position,
            jnp.array(metric.to_units(start)),
            n,
            False,
        )

    def recorder(self, mode_index):
        """Function (y, log posterior) -> log posterior, weights, some modes."""

        def record(y, log_posterior):
            z = self.position(y)
            modes, weights = z[: self.n_modes][mode_index], z[self.n_modes :]
            return jnp.concatenate([jnp.array([log_posterior]), weights, modes])

        return record


def _run_for(seconds, advance, state):
    """``advance(state) -> (state, draws, gradients)`` until the time is up; draws, sums."""
    begin, rows, gradients = process_time(), [], 0.0
    while (spent := process_time() - begin) < seconds:
        state, draws, number = advance(state)
        rows.append(np.atleast_2d(draws))
        gradients += float(number)
    return np.concatenate(rows), gradients, spent


def nuts(space, mode_index, budget, warmup_budget, seed, n_warmup, max_tree_depth):
    """numpyro's NUTS: step size and, if the space lets it, a diagonal mass of the modes and a dense
    one of the weights. A warm-up out of time ends at once, with the mean of its step sizes.
    """
    n = space.n_modes
    record = space.recorder(mode_index)

    def flat(z):
        return jnp.concatenate([z["modes"], z["weights"]])

    kernel = NUTS(
        potential_fn=lambda z: -space.log_posterior(flat(z)),
        adapt_mass_matrix=space.adapts,
        dense_mass=[("weights",)] if space.adapts else False,
        max_tree_depth=max_tree_depth,
    )
    start = {"modes": space.start[:n], "weights": space.start[n:]}
    state = kernel.init(jax.random.key(seed), n_warmup, start, (), {})
    step = jax.jit(lambda state: kernel.sample(state, (), {})).lower(state).compile()
    recorded = jax.jit(lambda state: record(flat(state.z), -state.potential_energy))
    recorded(state)
    begin, warmup_gradients, cut = process_time(), 0, None
    while int(state.i) < n_warmup:
        if cut is None and process_time() - begin > warmup_budget:
            cut = int(state.i)
            state = state._replace(i=jnp.full_like(state.i, n_warmup - 1))
        state = step(state)
        warmup_gradients += int(state.num_steps)
    warmup_seconds = process_time() - begin
    divergent, depth = [], []

    def advance(state):
        state = step(state)
        divergent.append(bool(state.diverging))
        depth.append(int(state.num_steps))
        return state, recorded(state), state.num_steps

    draws, gradients, seconds = _run_for(budget, advance, state)
    notes = {
        "step_size": float(state.adapt_state.step_size),
        "steps": float(np.median(depth)),
        "divergent": int(np.sum(divergent)),
        "warmup": n_warmup if cut is None else f"cut at {cut} of {n_warmup}",
    }
    return Chain(draws, gradients, seconds, warmup_gradients, warmup_seconds, notes)


def _tuning_steps(space, warmup_budget, gradients_a_step):
    """Steps that fit into the warm-up, by the time of a gradient."""
    gradient = jax.jit(jax.value_and_grad(space.log_posterior))
    jax.block_until_ready(gradient(space.start))
    begin = process_time()
    for _ in range(5):
        jax.block_until_ready(gradient(space.start))
    one = (process_time() - begin) / 5
    return int(min(MOST_TUNING_STEPS, warmup_budget / (gradients_a_step * one)))


def unadjusted(space, mode_index, budget, warmup_budget, seed):
    """blackjax's MCLMC, L and step size (and a diagonal metric) by its own tuning. It has no
    acceptance step, so it draws from a distribution that is off by its step size.
    """
    record = space.recorder(mode_index)
    tune_key, init_key, run_key = jax.random.split(jax.random.key(seed), 3)
    kernel = mclmc.build_kernel()
    # The default fractions: 0.1 + 0.1 (+ 0.03 with a metric) + 0.1 of the steps are for tuning.
    n_steps = 3 * _tuning_steps(space, warmup_budget, GRADIENTS_A_STEP)
    begin = process_time()
    state, tuned, n_tuning = blackjax.mclmc_find_L_and_step_size(
        mclmc_kernel=kernel,
        num_steps=n_steps,
        state=mclmc.init(space.start, space.log_posterior, init_key),
        rng_key=tune_key,
        logdensity_fn=space.log_posterior,
        diagonal_preconditioning=space.adapts,
    )
    jax.block_until_ready(state)
    warmup_seconds = process_time() - begin

    def one(state, key):
        state, info = kernel(
            key, state, space.log_posterior, tuned.inverse_mass_matrix, tuned.L, tuned.step_size
        )
        return state, (record(state.position, state.logdensity), info.energy_change)

    def several(carry):
        state, key = carry
        key, now = jax.random.split(key)
        state, out = jax.lax.scan(one, state, jax.random.split(now, STEPS_AT_ONCE))
        return (state, key), *out

    compiled = jax.jit(several).lower((state, run_key)).compile()
    errors = []

    def advance(carry):
        carry, draws, energy_change = compiled(carry)
        errors.append(energy_change)
        return carry, draws, GRADIENTS_A_STEP * STEPS_AT_ONCE

    draws, gradients, seconds = _run_for(budget, advance, (state, run_key))
    notes = {
        "step_size": float(tuned.step_size),
        "L": float(tuned.L),
        "energy_variance_a_dimension": float(np.var(np.concatenate(errors)) / len(space.start)),
    }
    return Chain(draws, gradients, seconds, GRADIENTS_A_STEP * int(n_tuning), warmup_seconds, notes)


def adjusted(space, mode_index, budget, warmup_budget, seed, n_steps):
    """blackjax's adjusted MCLMC (MAMS): trajectories of ``n_steps`` steps in the mean, accepted or
    rejected; step size (and a diagonal metric) by its own tuning.
    """
    record = space.recorder(mode_index)
    tune_key, init_key, run_key = jax.random.split(jax.random.key(seed), 3)
    kernel = adjusted_mclmc_dynamic.build_kernel(
        integration_steps_fn=adjusted_mclmc_dynamic.make_random_trajectory_length_fn(True)
    )
    # 0.1 of the steps, twice, and 0.1 for the metric, are for tuning: less than a third.
    n_tuning = 3 * _tuning_steps(space, warmup_budget, GRADIENTS_A_STEP * n_steps)
    begin = process_time()
    state, tuned, n_tuned = blackjax.adjusted_mclmc_find_L_and_step_size(
        mclmc_kernel=kernel,
        logdensity_fn=space.log_posterior,
        num_steps=n_tuning,
        state=adjusted_mclmc_dynamic.init(space.start, space.log_posterior, init_key),
        rng_key=tune_key,
        target=MAMS_ACCEPTANCE,
        diagonal_preconditioning=space.adapts,
        target_num_integration_steps=float(n_steps),
    )
    jax.block_until_ready(state)
    warmup_seconds = process_time() - begin

    def one(state, key):
        state, info = kernel(
            key,
            state,
            space.log_posterior,
            tuned.step_size,
            inverse_mass_matrix=tuned.inverse_mass_matrix,
            integration_steps_params=(tuned.L / tuned.step_size,),
        )
        row = record(state.position, state.logdensity)
        return state, (row, info.num_integration_steps, info.acceptance_rate)

    def several(carry):
        state, key = carry
        key, now = jax.random.split(key)
        state, out = jax.lax.scan(one, state, jax.random.split(now, STEPS_AT_ONCE))
        return (state, key), *out

    compiled = jax.jit(several).lower((state, run_key)).compile()
    rates = []

    def advance(carry):
        carry, draws, steps, acceptance = compiled(carry)
        rates.append(acceptance)
        return carry, draws, GRADIENTS_A_STEP * steps.sum()

    draws, gradients, seconds = _run_for(budget, advance, (state, run_key))
    notes = {
        "step_size": float(tuned.step_size),
        "steps": float(tuned.L / tuned.step_size),
        "acceptance": float(np.mean(np.concatenate(rates))),
    }
    return Chain(draws, gradients, seconds, GRADIENTS_A_STEP * int(n_tuned), warmup_seconds, notes)
