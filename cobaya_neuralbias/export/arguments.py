"""The arguments of ``cobaya-neuralbias export``. Nothing that takes time is imported here."""

from collections.abc import Callable
from typing import Any


def add_export(commands: Any, clock: Callable[[], Callable[[str], None]]) -> None:
    """Add the subcommand; ``clock()`` makes the function that is told its progress."""
    parser = commands.add_parser(
        "export",
        help="initial conditions for N-body codes, and maps of density and velocity",
        description="Write the white noise of one stored sample of a run, for a code that makes "
        "initial conditions, or the mean and the standard deviation of density and velocity over "
        "its stored samples, or both. The run may still be going on.",
    )
    parser.add_argument("prefix", metavar="PREFIX", help="the `output` of the run's yaml file")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    noise = parser.add_argument_group("one sample")
    noise.add_argument(
        "--white-noise", metavar="FILE", help="write its white noise; ends in .dat, .bin or .h5"
    )
    noise.add_argument(
        "--format",
        choices=("music", "hdf5"),
        help="whatever the name of the file ends in (.dat, .bin: music; .h5: hdf5)",
    )
    noise.add_argument("--chain", metavar="K", help="number of a chain (default: the first)")
    noise.add_argument(
        "--sample",
        metavar="N",
        help="stored sample of the chain, from 1 on, or from -1, the last, backwards (default: -1)",
    )
    many = parser.add_argument_group("all samples")
    many.add_argument(
        "--maps",
        metavar="FILE",
        help="write mean and sd of density and velocity; ends in .h5 or .fits",
    )
    many.add_argument("--samples", metavar="N", help="so many of them, spread evenly")
    parser.set_defaults(run=lambda arguments: _run(arguments, clock))


def _run(a: Any, clock: Callable[[], Callable[[str], None]]) -> None:
    from ..errors import InputError
    from .commands import make_export

    for file, name, others in (
        (
            a.white_noise,
            "--white-noise",
            {"format": a.format, "chain": a.chain, "sample": a.sample},
        ),
        (a.maps, "--maps", {"samples": a.samples}),
    ):
        given = [other for other, value in others.items() if value is not None]
        if file is None and given:
            raise InputError(f"export: --{given[0]} has no meaning without {name} FILE.")
    sample = -1 if a.sample is None else a.sample
    print(
        make_export(
            a.prefix,
            a.white_noise,
            a.maps,
            form=a.format,
            chain=a.chain,
            sample=sample,
            samples=a.samples,
            overwrite=a.force,
            say=clock(),
        )
    )
