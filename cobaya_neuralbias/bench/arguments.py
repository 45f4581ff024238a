"""The arguments of ``bench`` and ``check``. Nothing that takes time is imported here."""

import json
import sys
from collections.abc import Callable
from typing import Any

from ..errors import InputError


def add_bench(commands: Any, clock: Callable[[], Callable[[str], None]]) -> None:
    """Add both subcommands; ``clock()`` makes the function that is told their progress."""
    bench = commands.add_parser(
        "bench",
        help="how long a gradient takes on this machine, and how much memory",
        description="Time the density, the likelihood and the log posterior with their gradients, "
        "in units of one Fourier transform (scipy.fft.rfftn) of the same mesh in the same run.",
    )
    bench.add_argument(
        "yaml", metavar="YAML", nargs="?", help="time its own model instead of the built-in cases"
    )
    bench.add_argument("--cases", metavar="LIST", help="some of them (default: all)")
    bench.add_argument("--n-grid", metavar="LIST", help="(default: 64)")
    bench.add_argument("--dtype", metavar="LIST", help="(default: float64)")
    bench.add_argument("--threads", metavar="LIST", help="(default: 1)")
    bench.add_argument("--repeats", metavar="N", default="20", help="turns (default: 20)")
    bench.add_argument("--json", metavar="FILE", help="write the numbers; - for standard output")
    bench.set_defaults(run=_bench)

    check = commands.add_parser(
        "check",
        help="versions, gradients and speed on this machine, for reports of mistakes",
        description="Print the versions and the machine, test gradients by differences, and time "
        "one for five seconds. The exit code is 1 if a gradient is wrong.",
    )
    check.add_argument("--json", metavar="FILE", help="write the numbers; - for standard output")
    check.set_defaults(run=lambda arguments: _check(arguments, clock))


def _check(arguments: Any, clock: Callable[[], Callable[[str], None]]) -> None:
    from ..atomic_files import check_output
    from .machine import make_check

    if arguments.json not in (None, "-"):
        check_output(arguments.json)
    text, numbers = make_check(clock())
    _show(text, numbers, arguments.json)
    if not numbers["sound"]:
        sys.exit(1)


def _bench(a: Any) -> None:
    from ..atomic_files import check_output
    from .commands import make_bench

    if a.json not in (None, "-"):
        check_output(a.json)
    if a.yaml and (a.cases or a.n_grid or a.dtype or a.threads):
        raise InputError("bench: a yaml file has its own case, mesh, dtype and threads.")
    text, rows = make_bench(
        _items(a.cases) if a.cases else None,
        _integers("--n-grid", a.n_grid or "64"),
        _items(a.dtype or "float64"),
        _integers("--threads", a.threads or "1"),
        _integers("--repeats", a.repeats)[0],
        a.yaml,
    )
    _show(text, rows, a.json)


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")]


def _integers(name: str, text: str) -> list[int]:
    try:
        return [int(item) for item in _items(text)]
    except ValueError:
        raise InputError(f"bench: {name} is '{text}'; expected integers, as in 64,128.") from None


def _show(text: str, numbers: Any, file: str | None) -> None:
    """Print the text, or, to ``-``, the numbers; and write the numbers to a file."""
    from ..atomic_files import write_json

    if file == "-":
        print(json.dumps(numbers, indent=1))
        return
    print(text)
    if file:
        write_json(file, numbers)
