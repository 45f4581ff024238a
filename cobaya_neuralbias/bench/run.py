"""All cases on all meshes, and the table of their times."""

import os
from itertools import product

import numpy as np

from ..errors import InputError
from .cases import CASES, DTYPES, STEPS, Setup, catalogue_file, of_yaml
from .timing import measure, peak_memory

COLUMNS = (
    f"{'case':36s}{'n_grid':>7s}{'dtype':>9s}{'threads':>8s}{'FFT units':>11s}{'ms':>9s}"
    f"{'forward':>9s}{'vjp':>9s}{'peak fields':>13s}"
)


def check(cases, n_grids, dtypes, threads, repeats):
    """InputError if an argument is not one of those expected."""
    for name, values, allowed in (("case", cases or (), CASES), ("dtype", dtypes, DTYPES)):
        for value in values:
            if value not in allowed:
                raise InputError(
                    f"bench: {name} is '{value}'; expected some of {', '.join(allowed)}."
                )
    numbers = [("n-grid", n, 8) for n in n_grids] + [("threads", n, 1) for n in threads]
    for name, value, least in [*numbers, ("repeats", repeats, 1)]:
        if value < least:
            raise InputError(f"bench: {name} is {value}; expected an integer of at least {least}.")


def rows_of(cases, n_grids, dtypes, threads, repeats):
    """One dictionary a case, mesh, dtype and number of threads; see :func:`.make_bench`."""
    rows = []
    for n_grid in n_grids:
        with catalogue_file(n_grid) as catalogue:
            for dtype, number in product(dtypes, threads):
                for case in cases or CASES:
                    rows.append(_row(case, catalogue, n_grid, dtype, number, repeats))
    return rows


def _row(case, catalogue, n_grid, dtype, threads, repeats):
    kind, theory, gravity, bias = CASES[case]

    def setup(**more):
        return Setup(catalogue, n_grid, dtype, threads, theory, {**gravity, **more}, bias)

    if kind == "step":
        few, many = (
            measure(setup(n_steps=n).gravity(), n_grid, dtype, repeats, threads) for n in STEPS
        )
        steps = STEPS[1] - STEPS[0]
        parts = [(b - a) / steps for a, b in zip(few.parts, many.parts, strict=True)]
        total, units = (many.total - few.total) / steps, (many.units - few.units) / steps
    else:
        timing = measure(getattr(setup(), kind)(), n_grid, dtype, repeats, threads)
        parts, total, units = timing.parts, timing.total, timing.units
    method = "gravity" if kind == "step" else kind
    peak = peak_memory(lambda: getattr(setup(), method)())
    row = _numbers(case, n_grid, dtype, threads, parts, total, units, peak)
    if kind == "posterior":
        names, functions = zip(*setup().pieces(), strict=True)
        pieces = measure(list(functions), n_grid, dtype, repeats, threads)
        row["shares"] = {
            name: part / timing.total for name, part in zip(names, pieces.parts, strict=True)
        }
    return row


def _numbers(case, n_grid, dtype, threads, parts, total, units, peak):
    row = {
        "case": case,
        "n_grid": n_grid,
        "dtype": dtype,
        "threads": threads,
        "fft_units": units,
        "milliseconds": 1e3 * total,
        "peak_fields": peak / (n_grid**3 * np.dtype(dtype).itemsize),
    }
    if len(parts) == 2:
        row["forward"], row["vjp"] = (1e3 * part for part in parts)
    return row


def rows_of_yaml(path, repeats):
    """One dictionary for gravity, likelihoods and log posterior of a yaml file's model."""
    if repeats < 1:
        raise InputError(f"bench: repeats is {repeats}; expected an integer of at least 1.")
    rows, timed = [], of_yaml(path)
    theory = timed.target.theory
    for case, method in (
        ("gravity", "gravity"),
        ("likelihood", "likelihood_alone"),
        ("posterior", "posterior"),
    ):
        options = theory.n_grid, theory.dtype, theory.threads
        timing = measure(getattr(timed, method)(), *options[:2], repeats, theory.threads)
        peak = peak_memory(lambda method=method: getattr(of_yaml(path), method)())
        rows.append(_numbers(case, *options, timing.parts, timing.total, timing.units, peak))
    return rows


def table(rows):
    """The rows for people."""
    transform = {
        (row["n_grid"], row["dtype"]): row["milliseconds"] / row["fft_units"] for row in rows
    }
    lines = [COLUMNS]
    for row in rows:
        parts = "".join(f"{row[key]:9.2f}" if key in row else " " * 9 for key in ("forward", "vjp"))
        lines.append(
            f"{row['case']:36s}{row['n_grid']:7d}{row['dtype']:>9s}{row['threads']:8d}"
            f"{row['fft_units']:11.1f}{row['milliseconds']:9.2f}{parts}{row['peak_fields']:13.1f}"
        )
    for row in rows:
        if "shares" in row:
            shares = ", ".join(f"{name} {share:.0%}" for name, share in row["shares"].items())
            what = f"{row['case']}, {row['n_grid']}^3, {row['dtype']}, threads {row['threads']}"
            lines.append(f"{what}: {shares}")
    units = ", ".join(f"{ms:.2f} ms at {n}^3 {dtype}" for (n, dtype), ms in transform.items())
    lines.append(
        f"An FFT unit is one scipy.fft.rfftn on one thread: {units}; {os.cpu_count()} CPUs."
    )
    return "\n".join(lines)
