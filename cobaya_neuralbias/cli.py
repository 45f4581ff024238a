"""The command ``cobaya-neuralbias``: one subcommand a function, each importing what it needs.

To add a command, write ``_name(arguments)`` and a parser for it in :func:`build_parser`.
"""

import argparse
import os
import sys

from . import __version__
from .errors import InputError

USER_ERROR = 2


def build_parser():
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
        help="figures and a summary of a run",
        description="Write the figures and a summary of a run (all its chains together), and "
        "print the summary. The run may still be going on.",
    )
    report.add_argument("prefix", metavar="PREFIX", help="the `output` of the run's yaml file")
    report.add_argument(
        "-o", "--output", metavar="FOLDER", help="where to write (default: PREFIX_report)"
    )
    report.set_defaults(run=_report)
    return parser


def _report(arguments):
    from .report import make_report

    text, folder = make_report(arguments.prefix, arguments.output)
    print(text)
    print(f"Figures and summary: {folder}")


def main(argv=None):
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
