"""The command ``cobaya-neuralbias``: one subcommand a function, each importing what it needs.

To add a command, write ``_name(arguments)`` and a parser for it in :func:`build_parser`.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from . import __version__
from .bench.arguments import add_bench
from .errors import InputError
from .export.arguments import add_export
from .progress import Clock
from .survey.arguments import add_survey

USER_ERROR = 2


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line; each subcommand sets ``run``, the function to call."""
    parser = argparse.ArgumentParser(
        prog="cobaya-neuralbias",
        description="Field-level inference with a neural halo-bias model. Runs themselves are "
        "started with cobaya-run.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    report = commands.add_parser(
        "report",
        help="a page, figures and a summary of a run",
        description="Write a page (report.html), the figures and a summary of a run (all its "
        "chains together), and print the summary. The run may still be going on.",
    )
    report.add_argument("prefix", metavar="PREFIX", help="the `output` of the run's yaml file")
    report.add_argument(
        "-o", "--output", metavar="FOLDER", help="where to write (default: PREFIX_report)"
    )
    report.add_argument(
        "--compare", metavar="PREFIX", nargs="+", help="other runs, to be compared on the page"
    )
    report.set_defaults(run=_report)

    diagnose = commands.add_parser(
        "diagnose",
        help="whether a run has converged, and what its samples cost",
        description="Compare the chains of one run, or of several that sample the same posterior: "
        "R-hat, effective sample sizes, gradients for an effective sample. A run may still be "
        "going on.",
    )
    diagnose.add_argument(
        "prefix", metavar="PREFIX", nargs="+", help="the `output` of a run's yaml file"
    )
    diagnose.add_argument(
        "--json",
        metavar="FILE",
        help="write the numbers; with -, to the standard output, and the table to the error output",
    )
    diagnose.set_defaults(run=_diagnose)

    add_export(commands, Clock)

    mock = commands.add_parser(
        "mock",
        help="catalogues drawn from a model, or from the posterior of a run",
        usage="%(prog)s YAML -o FILE.h5 [--seed N] [--draw ref|prior] [--point FILE.yaml]\n"
        "                              [--set NAME=VALUE ...] [--force]\n"
        "       %(prog)s --chain PREFIX [-o FOLDER] [--seed N] [--draws N] [--keep [--force]]",
        description="Draw a halo catalogue from the model of a yaml file, and keep with it the "
        "field and the parameters it was drawn from. Or, with --chain, draw catalogues from the "
        "posterior of a run and compare them with its data.",
    )
    mock.add_argument("yaml", metavar="YAML", nargs="?", help="theory, likelihood and params")
    mock.add_argument("--chain", metavar="PREFIX", help="the `output` of a run's yaml file")
    mock.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="the catalogue to write; with --chain, the folder (default: PREFIX_predictive)",
    )
    mock.add_argument("--seed", metavar="N", help="for the same draw again")
    mock.add_argument("--force", action="store_true", help="replace catalogues that exist")
    one = mock.add_argument_group("a catalogue from YAML")
    one.add_argument(
        "--draw", choices=("ref", "prior"), help="where sampled parameters come from (default: ref)"
    )
    one.add_argument("--point", metavar="FILE.yaml", help="values of parameters, name: value")
    one.add_argument(
        "--set", metavar="NAME=VALUE", action="append", help="value of a parameter, repeatable"
    )
    many = mock.add_argument_group("catalogues from the posterior of --chain")
    many.add_argument("--draws", metavar="N", help="how many (default: 100)")
    many.add_argument("--keep", action="store_true", help="write the catalogues, too")
    mock.set_defaults(run=_mock)

    fit = commands.add_parser(
        "fit",
        help="maximum likelihood of the bias weights at a given density",
        description="Find the bias weights of a yaml file's likelihoods that fit best at a given "
        "density, from several starts, and their errors from the Hessian.",
    )
    fit.add_argument("yaml", metavar="YAML", help="theory, likelihood and params")
    _add_density(fit)
    fit.add_argument(
        "--map", action="store_true", help="maximise the posterior, with the yaml file's priors"
    )
    fit.add_argument(
        "-o",
        "--output",
        metavar="FILE.yaml",
        help="write a block params that starts a run at the optimum, and FILE.covmat",
    )
    fit.add_argument("--json", metavar="FILE", help="write the numbers")
    fit.set_defaults(run=_fit)

    compare = commands.add_parser(
        "compare",
        help="maximum likelihoods of several bias models at the same density",
        description="Fit several bias models to the same halos at the same density, and compare "
        "their maximum log-likelihoods: counts alone, and counts and masses.",
    )
    compare.add_argument("yaml", metavar="YAML", nargs="+", help="their likelihoods are the models")
    compare.add_argument(
        "--models",
        metavar="LIST",
        help="built-in models besides: neural,natural,neyrinck,power_law,linear, or none (default: "
        "all of them with one yaml file, none with several)",
    )
    _add_density(compare)
    compare.add_argument(
        "--held-out", action="store_true", help="fit to half of the box, evaluate on the other"
    )
    compare.add_argument("--json", metavar="FILE", help="write the numbers")
    compare.set_defaults(run=_compare)

    calibrate = commands.add_parser(
        "calibrate",
        help="test a set-up on catalogues whose initial conditions are known",
        usage="%(prog)s YAML -o FOLDER (--catalogues FILE ... | --mocks N [--finer F])\n"
        "                                   [--processes P] [--samples N] [--warmup N] [--seed N] "
        "[--json FILE]",
        description="Run the set-up of a yaml file on catalogues that carry their truth, or on "
        "mocks of its own model, and compare: power, correlation, coverage, weights. Runs that are "
        "finished are not repeated, others are resumed. The exit code is 2 as well after a run "
        "that failed; the others are compared.",
    )
    calibrate.add_argument("yaml", metavar="YAML", help="the input file of a run with QNHMC")
    calibrate.add_argument(
        "-o", "--output", metavar="FOLDER", required=True, help="for runs, table and figures"
    )
    truths = calibrate.add_mutually_exclusive_group(required=True)
    truths.add_argument(
        "--catalogues",
        metavar="FILE",
        nargs="+",
        help="HDF5 catalogues with truth/white_noise, or folders of *.h5",
    )
    truths.add_argument("--mocks", metavar="N", help="so many draws of the yaml file's own model")
    calibrate.add_argument(
        "--finer",
        metavar="F",
        help="modes and particles a side of the mocks over those of the runs, 1 or 2 (default: 2)",
    )
    calibrate.add_argument(
        "--processes", metavar="P", default=1, help="runs at a time (default: 1)"
    )
    calibrate.add_argument("--samples", metavar="N", help="of each run (default: the yaml file's)")
    calibrate.add_argument("--warmup", metavar="N", help="cycles (default: the yaml file's)")
    calibrate.add_argument(
        "--seed", metavar="N", help="of the first run and mock (default: the yaml file's, or 1)"
    )
    calibrate.add_argument("--json", metavar="FILE", help="write the numbers there, too")
    calibrate.set_defaults(run=_calibrate)

    add_survey(commands)
    add_bench(commands, Clock)
    return parser


def _add_density(parser):
    """The options of fits: which density, and how many searches."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--density",
        metavar="WHICH",
        help="truth: the catalogue's own phases, evolved by the yaml file's theory; nbody: the "
        "final density in the catalogue's file; FILE::dataset or FILE.npy: a density contrast",
    )
    where.add_argument("--phases", metavar="FILE::dataset", help="white noise, evolved likewise")
    where.add_argument("--chain", metavar="PREFIX", help="the last stored sample of a run")
    parser.add_argument("--starts", metavar="N", default=4, help="searches (default: 4)")
    parser.add_argument("--seed", metavar="N", default=0, help="of the starts (default: 0)")
    parser.add_argument(
        "--scatter", metavar="S", default=0.1, help="of the starts in each weight (default: 0.1)"
    )


def _report(arguments):
    from .report.commands import make_report

    a = arguments
    text, folder = make_report(a.prefix, a.output, Clock(), a.compare or ())
    print(text)
    print(f"Page, figures and summary: {folder / 'report.html'}")


def _diagnose(arguments):
    from .atomic_files import as_json
    from .report.commands import make_diagnosis

    to_stdout = arguments.json == "-"
    text, numbers = make_diagnosis(arguments.prefix, None if to_stdout else arguments.json)
    if to_stdout:
        print(text, file=sys.stderr)
        print(json.dumps(as_json(numbers), indent=1))
    else:
        print(text)


def _mock(arguments):
    a = arguments
    if (a.yaml is None) == (a.chain is None):
        raise InputError("mock: expected either a yaml file or --chain PREFIX.")
    others = {"--draws": a.draws, "--keep": a.keep}
    if a.chain is not None:
        others = {"--draw": a.draw, "--point": a.point, "--set": a.set}
        if not a.keep:
            others["--force"] = a.force
    if given := [name for name, value in others.items() if value]:
        kind = "a yaml file" if a.chain is None else "--chain" + (" without --keep" * (not a.keep))
        raise InputError(f"mock: {given[0]} has no meaning with {kind}.")
    if a.chain is not None:
        from .report.commands import make_predictive

        n_draws = 100 if a.draws is None else a.draws
        text, folder = make_predictive(a.chain, a.output, n_draws, a.seed, a.keep, a.force)
        print(text)
        print(f"Figures and numbers: {folder}")
        return
    from .mock.commands import make_mock, parameter_values

    if a.output is None:
        raise InputError("mock: expected -o FILE.h5, the catalogue to write.")
    values = parameter_values(a.set or (), a.point)
    text, _ = make_mock(a.yaml, a.output, a.seed, a.draw or "ref", values, a.force)
    print(text)


def _fit(arguments):
    from .fitting.commands import make_fit

    a = arguments
    text, _ = make_fit(
        a.yaml,
        density=a.density,
        phases=a.phases,
        chain=a.chain,
        posterior=a.map,
        n_starts=a.starts,
        seed=a.seed,
        scatter=a.scatter,
        output=a.output,
        json_file=a.json,
    )
    print(text)


def _compare(arguments):
    from .fitting.commands import make_comparison

    a = arguments
    models = None
    if a.models is not None:
        models = [] if a.models == "none" else [name.strip() for name in a.models.split(",")]
    text, _ = make_comparison(
        a.yaml,
        models=models,
        density=a.density,
        phases=a.phases,
        chain=a.chain,
        held_out=a.held_out,
        n_starts=a.starts,
        seed=a.seed,
        scatter=a.scatter,
        json_file=a.json,
    )
    print(text)


def _calibrate(arguments):
    from .calibration.commands import make_calibration

    a = arguments
    if a.finer is not None and a.mocks is None:
        raise InputError("calibrate: --finer has no meaning with --catalogues.")
    try:
        text, numbers = make_calibration(
            a.yaml,
            a.output,
            catalogues=a.catalogues,
            mocks=a.mocks,
            finer=2 if a.finer is None else a.finer,
            processes=a.processes,
            samples=a.samples,
            warmup=a.warmup,
            seed=a.seed,
            json_file=a.json,
            say=Clock(),
        )
    except KeyboardInterrupt:
        raise InputError("calibrate: interrupted; the same command goes on from here.") from None
    print(text)
    print(f"\nTable, figures and runs: {a.output}")
    if numbers["failed"]:
        sys.stdout.flush()
        raise InputError(f"calibrate: these runs failed: {', '.join(numbers['failed'])}.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: the program's own).

    Returns
    -------
    int
        Exit code: 0, or 2 after a mistake of the user's, explained in one line on stderr.
    """
    arguments = build_parser().parse_args(argv)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has had enough; Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except InputError as error:
        print(f"cobaya-neuralbias: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
