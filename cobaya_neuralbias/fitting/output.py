"""Text and files of a fit."""

from pathlib import Path

import numpy as np

from ..atomic_files import check_output, write_text
from ..errors import InputError
from .problem import CORRELATED, verdict


def fit_text(setup, results):
    """The fits in words and tables."""
    target = setup.target
    lines = [f"Density: {setup.description}; {target.density_grid.n}^3 voxels."]
    if target.metropolis_names:
        fixed = ", ".join(f"{p} = {setup.start[p]:g}" for p in target.metropolis_names)
        lines.append(f"Fixed at their ref: {fixed}.")
    for result in results:
        lines += ["", *_result_lines(result)]
    return "\n".join(lines)


def _result_lines(result):
    problem, found = result.problem, result.fit
    what = "posterior" if result.posterior else "likelihood"
    names = ", ".join(problem.likelihoods)
    lines = [
        f"Maximum {what} of {names}: {len(problem.names)} weights, {problem.n_halos} halos, "
        f"{problem.n_voxels} voxels",
        f"  ln L = {found.log_likelihood:.4f}"
        + (f", ln prior = {result.log_prior:.4f}" if result.posterior else ""),
        f"  |gradient| = {np.linalg.norm(found.gradient):.2g}; another Newton step would gain "
        f"{found.decrement:.2g}; {found.n_evaluations} evaluations",
        *("  " + line for line in verdict(found)),
    ]
    if not problem.names:
        return lines
    width = max(map(len, problem.names))
    lines += ["", f"  {'weight':{width}s} {'value':>11s} {'error':>10s}"]
    rows = zip(problem.names, found.weights, found.errors, found.at_bound, strict=True)
    for name, value, error, bound in rows:
        text = f"{error:10.3g}" if np.isfinite(error) else "not determined by the data"
        lines.append(f"  {name:{width}s} {value:11.5g} {text}{' (at its bound)' * bool(bound)}")
    lines += [
        "",
        f"  Condition number of the Hessian with unit diagonal: {result.condition_number:.3g}",
    ]
    correlations = result.correlations()
    strong = [c for c in correlations if c[0] > CORRELATED]
    for _, r, first, second in (strong or correlations[:1])[:5]:
        lines.append(f"  Correlation of {first} and {second}: {r:+.3f}")
    if len(strong) > 5:
        lines.append(f"  ... and {len(strong) - 5} more above {CORRELATED}")
    return lines


def check_parameter_file(file):
    """:func:`~cobaya_neuralbias.atomic_files.check_output` for a file of :func:`write_fit`."""
    check_output(file)
    if Path(file).suffix == ".covmat":
        raise InputError(f"'{file}': expected another suffix, such as .yaml: .covmat is added.")


def check_scatter(value):
    """A positive number (or its digits) as a float; InputError if it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not 0 < number < np.inf:
        raise InputError(f"scatter = {value!r}, expected a positive number.")
    return number


def write_fit(file, setup, results):
    """Write the block ``params`` and, beside it, the covariance; says how to use them."""
    from cobaya.yaml import yaml_dump

    path = Path(file).expanduser()
    covmat = path.with_suffix(".covmat")
    params, names, blocks = {}, [], []
    for result in results:
        finite = np.isfinite(result.errors) & np.isfinite(result.conditional)
        rows = zip(
            result.problem.names,
            result.fit.weights.tolist(),
            result.conditional.tolist(),
            finite,
            strict=True,
        )
        for name, value, width, known in rows:
            block = {k: v for k, v in setup.params[name].items() if k in ("prior", "latex")}
            block["ref"] = value
            if known:
                # Starts are drawn one by one: with its full error each would be far off.
                block["ref"] = {"dist": "norm", "loc": value, "scale": width}
                block["proposal"] = width
            params[name] = block
        names += [n for n, known in zip(result.problem.names, finite, strict=True) if known]
        blocks.append(result.covariance[np.ix_(finite, finite)])
    size = sum(map(len, blocks))
    covariance, at = np.zeros((size, size)), 0
    for block in blocks:
        covariance[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    header = "# Bias weights at their best fit: put these into the block params of a run.\n"
    write_text(path, header + yaml_dump({"params": params}))
    rows = "\n".join(" ".join(f"{x:.16e}" for x in row) for row in covariance)
    write_text(covmat, f"# {' '.join(names)}\n{rows}\n")
    return f"'{path}': the weights, for the block params\n'{covmat}': their covariance"
