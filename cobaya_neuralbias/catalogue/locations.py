"""The file of a catalogue; that of the package has the name ``bundled``."""

import os
from pathlib import Path

from ..errors import InputError

BUNDLED = "bundled"
_BUNDLED_FILE = Path(__file__).parents[1] / "data" / "nbody_250mpch_64.h5"


def resolve(path: str | os.PathLike[str]) -> Path:
    """The existing file that ``path`` stands for, as a Path.

    ``path`` may be ``FILE::NAME``, or ``bundled``.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise InputError(f"Expected the name of a file or '{BUNDLED}', got {path!r}.")
    file = _BUNDLED_FILE if path == BUNDLED else Path(os.path.expanduser(split_table(path)[0]))
    if file.is_dir():
        raise InputError(f"{path}: this is a folder, expected a file.")
    if not file.is_file():
        raise InputError(f"{path}: no such file (looked in {Path.cwd()}).")
    return file


def split_table(path: str | os.PathLike[str]) -> tuple[str, str | None]:
    """(FILE, NAME) of ``FILE::NAME``; NAME is None for a mere file."""
    text = os.fspath(path)
    file, separator, name = text.rpartition("::")
    if not separator or not file or not name or os.path.exists(os.path.expanduser(text)):
        return text, None
    return file, name
