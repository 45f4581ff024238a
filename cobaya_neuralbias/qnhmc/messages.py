"""What a run says: functions of its state and options that return the words, and log nothing."""

from typing import Any

import numpy as np

from ..posterior.layout import ParameterLayout
from ..sampling.adaptation import Warmup
from .state import RunState

LOW_ACCEPTANCE = 0.2
INEXACT = (
    "INEXACT: with 'adapt: always' the metric goes on changing with the chain's own past, so the "
    "samples are not those of the posterior. For comparison only; 'adapt: warmup' is exact."
)
FIXED_WEIGHTS = (
    "The weights stay at their `ref`, also where it is a distribution: their columns of the chain "
    "are constant."
)
WEIGHT_DIVERGENCES = (
    "Divergent trajectories of the weights alone were rejected, too, so the chain stays exact. One "
    "in ten or so is normal: their step sizes are drawn from a factor of ten, and the largest are "
    "too large where the posterior is narrow."
)
CONVERGED = "Converged: R-hat - 1 was below its limits at two checks in a row."


def free_blocks(layout: ParameterLayout, metropolis_names: list[str], guided: bool) -> str:
    later = " (later in trajectories, too, where the power depends on them)" if guided else ""
    others = f", and {', '.join(metropolis_names)} by Metropolis steps{later}"
    if not metropolis_names:
        others = ""
    return (
        f"Moving {layout.n_modes} modes of the white noise and {layout.n_weights} weights by "
        f"Hamiltonian trajectories{others}."
    )


def start_of_warmup(tuning: Warmup) -> str:
    tempered = tuning.schedule.tempered_cycles
    words = f"; the likelihood counts in full after {tempered}" if tempered else ""
    return f"Warm-up: {tuning.n_cycles} cycles{words}."


def end_of_warmup(state: RunState, weights_move: bool, exact: bool, names: list[str]) -> str:
    sizes = [f"{step_size:.3g}" for step_size in state.tuning.dense_step_sizes]
    dense = f", {' and '.join(sizes)} (weights)" if weights_move else ""
    guided = f"{', '.join(names)} move in the joint trajectories, too. " if names else ""
    frozen = "All tuning is frozen." if exact else "All tuning but the preconditioner is frozen."
    return (
        f"Warm-up done after {state.costs.gradients} gradients and {state.costs.seconds:.0f} s; "
        f"step sizes {state.tuning.step_size:.3g} (joint){dense}. {carried(state)}{guided}{frozen}"
    )


def carried(state: RunState) -> str:
    """A sentence on the shells that carry others, if any."""
    fractions = state.tuning.carried_fractions
    shells = np.flatnonzero(fractions)
    if not len(shells):
        return ""
    parts = ", ".join(f"{fractions[shell]:.2g}" for shell in shells)
    return f"Shells {', '.join(map(str, shells))} carry the others, by {parts} of their motion. "


def recent_acceptance(state: RunState) -> float:
    """Mean over the last 50 joint trajectories."""
    return float(np.mean(state.acceptance[-50:])) if state.acceptance else float("nan")


def duration(seconds: float) -> str:
    """A time to come, to two digits or so."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def cost_ahead(
    state: RunState, cycles: float, seconds: float, thin: int, max_samples: float
) -> str:
    """How long the run will take, from what its last cycles took.

    Parameters
    ----------
    state : RunState
    cycles, seconds : float, the cycles counted on, and the time they took
    thin : int, cycles for a sample
    max_samples : float
    """
    n_warmup = max(state.tuning.n_cycles - state.n_cycles, 0)
    samples = max_samples - state.n_samples
    rate = f"{cycles / seconds:.2g} cycles a second"
    if state.costs.seconds_gradients > 0:
        gradient = state.costs.gradients / state.costs.seconds_gradients
        rate = f"{gradient:.3g} gradients and {rate}"
    if samples == float("inf"):
        return f"Speed: {rate}."
    ahead = duration((n_warmup + samples * thin) * seconds / cycles)
    what = (
        f"the remaining {samples:.0f} samples"
        if not n_warmup
        else f"warm-up and {samples:.0f} samples"
    )
    return f"Speed: {rate}; at that, {what} take about {ahead}."


def status(state: RunState, cycles: float, seconds: float, thin: int, max_samples: float) -> str:
    """The line of a terminal: stage, gradients a second, acceptance, time left.

    Parameters
    ----------
    state : RunState
    cycles, seconds : float, the cycles since the run began or went on, and the time they took
    thin : int, cycles for a sample
    max_samples : float
    """
    tuning = state.tuning
    n_warmup = max(tuning.n_cycles - state.n_cycles, 0)
    where = (
        f"sample {state.n_samples}/{max_samples:g}"
        if tuning.done
        else f"warm-up {state.n_cycles}/{tuning.n_cycles}"
    )
    parts = [where]
    if state.costs.seconds_gradients > 0:
        rate = state.costs.gradients / state.costs.seconds_gradients
        parts.append(f"{rate:.3g} gradients/s")
    parts.append(f"acceptance {recent_acceptance(state):.2f}")
    if cycles and max_samples < float("inf"):
        ahead = n_warmup + (max_samples - state.n_samples) * thin
        parts.append(f"{duration(ahead * seconds / cycles)} left")
    return " | ".join(parts)


def stage(state: RunState, max_samples: int) -> str:
    tuning = state.tuning
    where = (
        f"sample {state.n_samples} of {max_samples:g}"
        if tuning.done
        else f"warm-up cycle {state.n_cycles} of {tuning.n_cycles}"
    )
    if tuning.likelihood_power < 1:
        where += f", likelihood to the power {tuning.likelihood_power:.2g}"
    return (
        f"{where}: {state.costs.gradients} gradients in {state.costs.seconds:.0f} s, acceptance "
        f"{recent_acceptance(state):.2f}, step {tuning.step_size:.3g}, ln posterior "
        f"{state.current.log_density:.1f}."
    )


def low_acceptance(state: RunState) -> str | None:
    """A warning where the chain nearly stands still, else None."""
    recent = recent_acceptance(state)
    if not (state.tuning.done and recent < LOW_ACCEPTANCE):
        return None
    return (
        f"The mean acceptance of the last 50 trajectories is {recent:.2f}: the chain nearly stands "
        "still, its frozen steps too long for where it is. Start anew with a longer warmup or a "
        "higher target_acceptance."
    )


def which_chains(number: int) -> str:
    return "this chain" if number == 1 else f"all {number} chains"


def check(row: np.ndarray, n_chains: int) -> str:
    return (
        f"{row[0]:.0f} samples of {which_chains(n_chains)}: R-hat - 1 is {row[-2]:.3g}, of the "
        f"widths {row[-1]:.3g} (the worst of parameters and field)."
    )


def end(state: RunState, n_weight_trajectories: int) -> str:
    alone = (
        f", {state.n_weight_divergent} of {n_weight_trajectories} of the weights alone"
        if n_weight_trajectories
        else ""
    )
    mean = np.mean(state.acceptance) if state.acceptance else float("nan")
    return (
        f"Done: {state.n_samples} samples, {state.costs.gradients} gradients, "
        f"{state.costs.weight_evaluations} weight-only evaluations, {state.costs.seconds:.0f} s; "
        f"mean acceptance {mean:.2f}; divergent: {state.n_divergent} trajectories{alone}."
    )


def divergences(state: RunState) -> str:
    return (
        f"{state.n_divergent} of {len(state.acceptance)} joint trajectories diverged after the "
        "warm-up and were rejected. One in a hundred is harmless; if more do, use a longer warmup "
        "or a higher target_acceptance."
    )


def not_converged(progress: np.ndarray) -> str:
    numbers = " and ".join(f"{value:.3g}" for value in progress[-1:, -2:].ravel()) or "?"
    return (
        f"Not converged: R-hat - 1 is {numbers}, and not below its limits at two checks in a row. "
        "Resume with more max_samples."
    )


def worst_numbers(worst: dict[str, Any], n_chains: int) -> str:
    """:func:`~.convergence.worst` in words; nothing where it is empty."""
    if not worst:
        return ""
    parts = []
    if "parameters" in worst:
        rhat, ess, name = worst["parameters"]
        parts.append(f"parameters {rhat:.2f} and {ess:.0f} ('{name}')")
    if "modes" in worst:
        parts.append("field modes {:.2f} and {:.0f}".format(*worst["modes"]))
    ebfmi = f"; E-BFMI {worst['ebfmi']:.2f}" if "ebfmi" in worst else ""
    return (
        f"Worst R-hat and fewest effective samples of {which_chains(n_chains)}: "
        f"{', '.join(parts)}{ebfmi}."
    )
