"""From a yaml file to its log posterior: the one place where the tools build a Cobaya model.

Cobaya is imported when a model is built, not before.
"""

import contextlib
import copy
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from .target import FieldTarget

MODEL_BLOCKS = ("theory", "likelihood", "prior", "params", "packages_path")


def read_yaml(path: str | os.PathLike, expected: str) -> dict[str, Any]:
    """The mapping in a yaml file.

    Parameters
    ----------
    path : str or Path
    expected : str, what the mapping should hold, for messages

    Raises
    ------
    InputError
        If there is no such file, or no mapping in it.
    """
    from cobaya.yaml import yaml_load_file

    if not Path(path).is_file():
        raise InputError(f"'{path}': no such file.")
    try:
        content = yaml_load_file(str(path))
    except Exception as error:  # Cobaya's own, the yaml library's, the disk's
        raise InputError(f"'{path}': unreadable ({' '.join(str(error).split())}).") from error
    if not isinstance(content, dict):
        raise InputError(f"'{path}': expected {expected}, found {type(content).__name__}.")
    return content


def model_blocks(info: dict[str, Any], path: str | os.PathLike) -> dict[str, Any]:
    """The blocks of a yaml file's content that make its model; InputError if one is missing."""
    info = {block: info[block] for block in MODEL_BLOCKS if info.get(block)}
    if missing := [block for block in ("theory", "likelihood") if block not in info]:
        raise InputError(f"'{path}': no block {missing[0]!r}: expected theory and likelihood.")
    return info


def all_parameters(info: dict[str, Any]) -> dict[str, Any]:
    """Cobaya's block of all parameters of a model's ``info``, those of the defaults included."""
    from cobaya.input import update_info

    with quiet():
        return update_info(info)["params"]


def target_of(info: dict[str, Any]) -> "FieldTarget":
    """:class:`~.target.FieldTarget` of a model's ``info``, built without a word."""
    from cobaya.model import get_model

    from .target import FieldTarget

    with quiet():
        return FieldTarget(get_model(copy.deepcopy(info), debug=logging.CRITICAL))


def build(info: dict[str, Any], path: str | os.PathLike) -> tuple[dict[str, Any], "FieldTarget"]:
    """(block of all parameters, :class:`~.target.FieldTarget`) of the content of a yaml file."""
    info = model_blocks(info, path)
    with model_errors(path):
        return all_parameters(info), target_of(info)


@contextlib.contextmanager
def model_errors(path: str | os.PathLike) -> Iterator[None]:
    """Whatever is wrong with a model becomes an InputError of one line.

    Parameters
    ----------
    path : str or Path
        The yaml file, which goes before messages that do not name it; or, ending in a space, what
        goes before all of them.
    """
    from cobaya.log import LoggedError

    try:
        yield
    except (LoggedError, ImportError, InputError) as error:
        message = " ".join(str(error).split())
        if str(path).endswith(" "):
            message = f"{path}{message}"
        elif str(path) not in message:
            message = f"'{path}': {message}"
        raise InputError(message) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No logging and no prints from the libraries inside; the logging set-up is put back after."""
    root, hook = logging.root, sys.excepthook
    level, handlers = root.level, list(root.handlers)
    disabled = root.manager.disable
    try:
        logging.disable(logging.CRITICAL)
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.setLevel(level)
        root.handlers[:] = handlers
        sys.excepthook = hook
