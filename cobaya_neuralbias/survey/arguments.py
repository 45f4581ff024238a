"""The arguments of ``survey`` and ``mock-survey``. Nothing that takes time is imported here."""

from typing import Any


def add_survey(commands: Any) -> None:
    """Add both subcommands."""
    survey = commands.add_parser(
        "survey",
        help="box, mask and yaml file of a run, from angles and redshifts",
        description="From a table of angles and redshifts, an angular mask and a radial selection "
        "make a catalogue in a box, its completeness and the yaml file that runs it (see "
        "docs/how_to/survey.md).",
    )
    survey.add_argument("yaml", metavar="YAML", help="the description of the survey")
    survey.add_argument(
        "-o", "--output", metavar="PREFIX", help="of the files, in place of the key `output`"
    )
    survey.add_argument("--force", action="store_true", help="replace files that exist")
    survey.set_defaults(run=_survey)

    mock_survey = commands.add_parser(
        "mock-survey",
        help="the sky of an observer in a periodic box of halos",
        description="Write angles, redshifts and magnitudes of the halos of a periodic box as an "
        "observer in it sees them, with the box's truth, and the description of their survey.",
    )
    mock_survey.add_argument(
        "catalogue", metavar="CATALOGUE", help="HDF5 with velocities, or `bundled`"
    )
    mock_survey.add_argument(
        "-o", "--output", metavar="FILE.h5", required=True, help="the sky; FILE.yaml is its survey"
    )
    mock_survey.add_argument(
        "--observer",
        metavar=("X", "Y", "Z"),
        nargs=3,
        type=float,
        help="in Mpc/h (default: the centre)",
    )
    limit = mock_survey.add_mutually_exclusive_group()
    limit.add_argument(
        "--flux-limit-at",
        metavar="R",
        type=float,
        help="distance to which the lightest halos are seen, in Mpc/h",
    )
    limit.add_argument(
        "--magnitude", metavar="M", type=float, help="faintest apparent magnitude (default: none)"
    )
    mock_survey.add_argument(
        "--latitude",
        metavar="B",
        type=float,
        default=0.0,
        help="galactic latitudes within it are not seen, in degrees (default: 0)",
    )
    mock_survey.add_argument(
        "--mass-threshold", metavar="M", type=float, help="of the lightest halos, in Msun/h"
    )
    mock_survey.add_argument(
        "--scatter",
        metavar="DEX",
        type=float,
        default=0.0,
        help="of the luminosity at a mass (default: 0)",
    )
    mock_survey.add_argument("--seed", metavar="N", help="of the scatter")
    mock_survey.add_argument("--force", action="store_true", help="replace files that exist")
    mock_survey.set_defaults(run=_mock_survey)


def _survey(arguments: Any) -> None:
    from .commands import make_survey

    text, files = make_survey(arguments.yaml, arguments.output, arguments.force, _messages())
    print(text)
    print(f"Catalogue and completeness: {files['catalogue']}")


def _mock_survey(arguments: Any) -> None:
    from .mock import make_mock_survey

    a = arguments
    text, _ = make_mock_survey(
        a.catalogue,
        a.output,
        observer=a.observer,
        flux_limit_at=a.flux_limit_at,
        magnitude=a.magnitude,
        latitude=a.latitude,
        mass_threshold=a.mass_threshold,
        scatter=a.scatter,
        seed=a.seed,
        force=a.force,
    )
    print(text)


def _messages() -> Any:
    """A log that says on the error output what is worth saying."""
    import logging

    log = logging.getLogger(__name__)
    if not log.handlers:
        log.addHandler(logging.StreamHandler())
        log.propagate = False
    log.setLevel(logging.INFO)
    return log
