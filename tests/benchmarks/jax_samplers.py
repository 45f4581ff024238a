"""Effective samples a second of this package's sampler and of others, on one posterior, in one run.

    python tests/benchmarks/jax_samplers.py --n-grid 32 --minutes 10 [--samplers nuts,mclmc-metric]
                                            [--json FILE]

First ``cobaya_neuralbias.QNHMC`` through Cobaya, as in ``yaml/quickstart.yaml``; then, one after
the other, numpyro's NUTS, blackjax's MCLMC and adjusted MCLMC (MAMS), on the JAX twin of the model
(``jax_twin.py``). All start at one position, the end of our warm-up (and of ``--settle-minutes``
more); the others are tuned by their own warm-ups from there. All run in float64 on one thread.
Each of the others has two variants: in the whitened modes and the weights as they are, and
(``-metric``) in coordinates in which the Gaussian that our warm-up learned is round.

Seconds are the processor's, of all threads, which do not count other work on the machine. An
effective sample size below ``MEASURABLE`` is no measurement: the rate is then an upper bound, made
with that number and marked "<".
"""

import argparse
import json
import os

# One thread; read when JAX and numpy are imported.
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"

import sys
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import scipy.fft
from cobaya.run import run
from cobaya.yaml import yaml_load_file

from cobaya_neuralbias.runs.traces import PER_SAMPLE, random_modes
from cobaya_neuralbias.sampling import diagnostics

sys.path.insert(0, str(Path(__file__).parent))
import jax
import jax_kernels
import jax_twin
from jax_kernels import Chain, Space

ROOT = Path(__file__).parents[2]
SAMPLER = "cobaya_neuralbias.QNHMC"
MEASURABLE = 20.0
NAMES = ("field median", "worst shell", "weights median", "worst weight")


def ours(n_grid, settling, seconds, seed):
    """The quick start on a mesh of ``n_grid``^3 for some time after its warm-up.

    Parameters
    ----------
    settling : float, seconds between the warm-up and the start of the clock, not looked at

    Returns
    -------
    Chain, the sampler, and the position at which the clock started
    """
    info = yaml_load_file(str(ROOT / "yaml" / "quickstart.yaml"))
    info["theory"]["cobaya_neuralbias.LPT"]["n_grid"] = n_grid
    times, begun = [], {}

    def after_sample(sampler):
        times.append(process_time())
        if not begun and times[-1] - times[0] >= settling:
            begun.update(
                time=times[-1],
                sample=len(times),
                position=sampler.state.current.position.copy(),
                costs=replace(sampler.state.costs),
            )
        if begun and times[-1] - begun["time"] > seconds:
            sampler.max_samples = len(sampler.collection)

    info["sampler"][SAMPLER] |= {
        "max_samples": 10**9,
        "callback_function": after_sample,
        "callback_every": 1,
        "seed": seed,
    }
    with tempfile.TemporaryDirectory() as folder:
        info["output"] = str(Path(folder) / "quickstart")
        begin = process_time()
        _, sampler = run(info)
        traces = sampler.field_run.output.traces()
    draws = np.column_stack([np.asarray(traces[name], dtype=float) for name in PER_SAMPLE])
    # Cobaya's log posterior has the constants of the priors, those of the others do not; they have
    # the whole ln L.
    target = sampler.target
    reference = sum(like.log_reference(target.grid.n) for like in target.likelihoods.values())
    draws[:, 0] += sampler.state.current.log_density + reference - draws[-1, 0]
    spent = sampler.state.costs - begun["costs"]
    chain = Chain(
        draws[begun["sample"] :],
        spent.gradient_equivalents,
        times[-1] - begun["time"],
        sampler.state.warmup_costs.gradient_equivalents,
        times[0] - begin,
        {
            "step_size": sampler.state.tuning.step_size,
            "acceptance": float(np.mean(traces["trajectories/acceptance"])),
            "divergent": int(sampler.state.n_divergent),
            "gradients": spent.gradients,
            "weight_evaluations": spent.weight_evaluations,
            "cost_of_one": spent.weight_cost,
        },
    )
    return chain, sampler, begun["position"]


def judge(chain, n_weights, mode_shell, drawn):
    """Numbers of effective samples by name, R-hats, and what the draws say of the posterior.

    Parameters
    ----------
    chain : Chain, its draws: log posterior, weights, modes
    mode_shell, drawn : (n_modes,) shell of each mode; whether it is of the random set
    """
    draws = chain.draws[None]
    ess, rhat = diagnostics.ess_bulk(draws), diagnostics.rhat(draws)
    # What never moved has NaN
    ess, rhat = np.nan_to_num(ess, nan=0.0), np.nan_to_num(rhat, nan=np.inf)
    weights, modes = ess[1 : 1 + n_weights], ess[1 + n_weights :]
    shells = [np.median(modes[mode_shell == s]) for s in np.unique(mode_shell)]
    values = (np.median(modes[drawn]), min(shells), np.median(weights), min(weights))
    return {
        "samples": len(chain.draws),
        "gradients": chain.gradients,
        "seconds": chain.seconds,
        "ms_per_gradient": 1e3 * chain.seconds / chain.gradients,
        "warmup_gradients": chain.warmup_gradients,
        "warmup_seconds": chain.warmup_seconds,
        "ess": dict(zip(NAMES, map(float, values), strict=True)),
        "rhat_field": float(np.quantile(rhat[1 + n_weights :], 0.95, method="higher")),
        "rhat_weights": float(rhat[1 : 1 + n_weights].max()),
        "notes": chain.notes,
    }


def shifts(chain, reference, n_weights):
    """How far the means are from those of the ``reference``: of the log posterior, and of the
    farthest weight (by significance), in standard deviations of the reference, with errors.
    """

    def moments(draws):
        ess = np.maximum(np.nan_to_num(diagnostics.ess_bulk(draws[None])), 1)
        return draws.mean(0), draws.std(0), ess

    columns = slice(0, 1 + n_weights)
    mean, _, ess = moments(chain.draws[:, columns])
    expected, sigma, expected_ess = moments(reference.draws[:, columns])
    shift, error = (mean - expected) / sigma, np.sqrt(1 / ess + 1 / expected_ess)
    farthest = 1 + int(np.argmax(np.abs(shift[1:]) / error[1:]))
    return {
        "log_posterior": [float(shift[0]), float(error[0])],
        "weight": [float(shift[farthest]), float(error[farthest])],
    }


def rate(ess, cost, scale=1.0):
    """Text of ess / cost times ``scale``, with "<" if there is too little to measure."""
    return f"{'<' if ess < MEASURABLE else ''}{scale * max(ess, MEASURABLE) / cost:.3g}"


def compare_gradients(target, twin, start, repeats=30):
    """Milliseconds of the processor of both, turn by turn, beside a transform; and how they agree.

    Their medians, and relative differences of the log posterior and of the gradient (norms).
    """
    twin_gradient = jax.jit(jax.value_and_grad(twin.log_posterior))
    value, gradient = target.flat(start)
    # The twin has the whole ln L.
    value += sum(like.log_reference(target.grid.n) for like in target.likelihoods.values())
    other_value, other_gradient = jax.block_until_ready(twin_gradient(start))
    field = start[: twin.n**3].reshape(3 * (twin.n,)).copy()
    cases = {
        "ours": lambda: target.flat(start),
        "twin": lambda: jax.block_until_ready(twin_gradient(start)),
        "rfftn": lambda: scipy.fft.rfftn(field),
    }
    times, wall = {name: [] for name in cases}, {name: [] for name in cases}
    for _ in range(repeats):
        for name, function in cases.items():
            begin, begin_wall = process_time(), perf_counter()
            function()
            times[name].append(process_time() - begin)
            wall[name].append(perf_counter() - begin_wall)
    return {
        "milliseconds": {name: 1e3 * float(np.median(t)) for name, t in times.items()},
        "wall_milliseconds": {name: 1e3 * float(np.median(t)) for name, t in wall.items()},
        "log_posterior_difference": abs(float(other_value) / value - 1),
        "gradient_difference": float(
            np.linalg.norm(other_gradient - gradient) / np.linalg.norm(gradient)
        ),
    }


def describe(gradients):
    """What :func:`compare_gradients` found, as text."""
    times = [
        f"{name} {ms:.2f} ({gradients['wall_milliseconds'][name]:.2f})"
        for name, ms in gradients["milliseconds"].items()
    ]
    return (
        f"gradient at the start, ms of the processor (of the wall's clock): {', '.join(times)}\n"
        f"relative difference of the twin: {gradients['log_posterior_difference']:.1e} in the log "
        f"posterior, {gradients['gradient_difference']:.1e} in its gradient"
    )


def table(results):
    """Rates of every sampler, ours over theirs, and warnings, as text."""
    lines = []
    for title, cost, scale in (
        ("effective samples a minute of processor time", "seconds", 60),
        ("effective samples per 1000 gradients", "gradients", 1000),
    ):
        lines.append(f"\n{title}\n{'':14}" + "".join(f"{name:>16}" for name in NAMES))
        for name, result in results.items():
            rates = [rate(result["ess"][q], result[cost], scale) for q in NAMES]
            lines.append(f"{name:14}" + "".join(f"{text:>16}" for text in rates))
    lines.append(f"\nqnhmc over the other, a second\n{'':14}" + "".join(f"{n:>16}" for n in NAMES))
    for name, result in results.items():
        if name != "qnhmc":
            ratios = [ratio_text(results["qnhmc"], result, q) for q in NAMES]
            lines.append(f"{name:14}" + "".join(f"{text:>16}" for text in ratios))
    lines.append(
        f"\n{'':14}{'samples':>9}{'gradients':>11}{'CPU s':>8}{'ms/grad':>9}{'warm-up':>9}{'s':>7}"
        f"{'R-hat field':>13}{'weights':>9}{'shift lnP':>16}{'of a weight':>16}"
    )
    for name, r in results.items():
        shift = ["", ""]
        if "shifts" in r:
            shift = [f"{s:+.2f} +- {e:.2f}" for s, e in r["shifts"].values()]
        lines.append(
            f"{name:14}{r['samples']:9d}{r['gradients']:11.0f}{r['seconds']:8.0f}"
            f"{r['ms_per_gradient']:9.2f}{r['warmup_gradients']:9.0f}{r['warmup_seconds']:7.0f}"
            f"{r['rhat_field']:13.3f}{r['rhat_weights']:9.3f}{shift[0]:>16}{shift[1]:>16}"
        )
        lines.append(" " * 14 + "  " + ", ".join(f"{k} {_short(v)}" for k, v in r["notes"].items()))
    return "\n".join(lines)


def _short(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def ratio_text(one, other, quantity):
    """ESS a second of ``one`` over ``other``; a bound (">") if the other could not be measured."""
    (a, b), mark = (max(r["ess"][quantity], MEASURABLE) for r in (one, other)), ""
    if other["ess"][quantity] < MEASURABLE:
        mark = ">"
    if one["ess"][quantity] < MEASURABLE:
        mark = "?" if mark else "<"
    return f"{mark}{a / one['seconds'] / (b / other['seconds']):.3g}"


def save(arguments, gradients, results):
    """Write the results so far, if a file was named."""
    if not arguments.json:
        return
    packages = ("numpy", "scipy", "numba", "cobaya", "jax", "numpyro", "blackjax")
    content = {
        "options": vars(arguments),
        "versions": {name: version(name) for name in packages},
        "gradient": gradients,
        "results": results,
    }
    Path(arguments.json).write_text(json.dumps(content, indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n-grid", type=int, default=32)
    parser.add_argument("--minutes", type=float, default=5, help="of sampling, for each sampler")
    parser.add_argument(
        "--settle-minutes",
        type=float,
        default=0,
        help="that our chain goes on for after its warm-up, before all start",
    )
    parser.add_argument(
        "--warmup-minutes",
        type=float,
        default=None,
        help="of each other's warm-up; default: half of --minutes",
    )
    parser.add_argument(
        "--samplers", default=",".join(OTHERS), help="besides ours, always the first"
    )
    parser.add_argument("--nuts-warmup", type=int, default=300, help="iterations")
    parser.add_argument("--max-tree-depth", type=int, default=10, help="of NUTS")
    parser.add_argument("--mams-steps", type=int, default=2, help="mean number in a trajectory")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="a file to write")
    arguments = parser.parse_args()
    others = [name for name in arguments.samplers.split(",") if name]
    if unknown := set(others) - set(OTHERS):
        parser.error(f"unknown samplers {sorted(unknown)}; there are {', '.join(OTHERS)}")

    budget = 60 * arguments.minutes
    warmup = budget / 2 if arguments.warmup_minutes is None else 60 * arguments.warmup_minutes
    reference, sampler, start = ours(
        *(arguments.n_grid, 60 * arguments.settle_minutes, budget, arguments.seed)
    )
    target, metric, output = sampler.target, sampler.state.tuning.metric, sampler.field_run.output
    n_weights = len(target.weight_names)
    shell, drawn = output.mode_shell, np.isin(output.mode_index, random_modes(target.grid))
    twin = jax_twin.twin_of(target)
    gradients = compare_gradients(target, twin, start)
    results = {"qnhmc": judge(reference, n_weights, shell, drawn)}
    save(arguments, gradients, results)
    for name in others:
        _, _, with_metric = name.partition("-")
        space = Space.of_metric(twin, start, metric) if with_metric else Space.whitened(twin, start)
        begin = perf_counter()
        chain = OTHERS[name](space, output.mode_index, budget, warmup, arguments)
        results[name] = judge(chain, n_weights, shell, drawn)
        results[name]["shifts"] = shifts(chain, reference, n_weights)
        save(arguments, gradients, results)
        print(f"{name}: done in {perf_counter() - begin:.0f} s", flush=True)
    print(f"\n{arguments.n_grid}^3, {n_weights} weights, {len(twin.t)} halos")
    print(describe(gradients))
    print(table(results))
    return 0


def _nuts(space, index, budget, warmup, options):
    # With a given metric there is the step size alone to learn.
    iterations = options.nuts_warmup if space.adapts else min(50, options.nuts_warmup)
    return jax_kernels.nuts(
        *(space, index, budget, warmup, options.seed, iterations, options.max_tree_depth)
    )


def _mclmc(space, index, budget, warmup, options):
    return jax_kernels.unadjusted(space, index, budget, warmup, options.seed)


def _mams(space, index, budget, warmup, options):
    return jax_kernels.adjusted(space, index, budget, warmup, options.seed, options.mams_steps)


KERNELS = {"nuts": _nuts, "mclmc": _mclmc, "mams": _mams}
OTHERS = {name + variant: kernel for name, kernel in KERNELS.items() for variant in ("", "-metric")}


if __name__ == "__main__":
    sys.exit(main())
