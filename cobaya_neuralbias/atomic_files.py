"""Files that neither a kill nor a full disk can damage.

A file is either replaced by a complete one, which is written under another name, flushed to disk
and then renamed (:func:`write_text`, :func:`replacing`, :func:`save_state`), or only ever appended
to (:class:`GrowingFile`). No HDF5 file is changed in place: a kill would leave it unreadable.
"""

import hashlib
import io
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from .errors import InputError

PathLike = str | os.PathLike[str]

FORMAT = 6
# HDF5 leaves the first bytes of a file to its user: here the format, and a digest of the rest.
_USER_BLOCK = 512
_TITLE = f"cobaya-neuralbias state {FORMAT} "
_BLOCK = 2**24


class DamagedError(InputError):
    """A file is not what was written; the previous state may still match its files."""


class _Disk(io.FileIO):
    """A new file that keeps its first failure in ``error``, and ignores what is written after it.

    The HDF5 library does not survive a full disk: after a failed write it cannot close the file,
    and crashes when the process ends.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while self.error is None and len(rest):
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            if self.error is None:
                return super().truncate(size)
        except OSError as error:
            self.error = error
        return self.tell() if size is None else size


@contextmanager
def _appearing(path: PathLike, keep: Path | None = None) -> Iterator[_Disk]:
    """Yield a :class:`_Disk` that becomes ``path``, complete and flushed, if nothing went wrong.

    The file that was at ``path`` goes to ``keep``, if given.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        try:
            with _Disk(temporary) as file:
                try:
                    yield file
                finally:
                    if file.error is not None:
                        raise file.error
                os.fsync(file.fileno())
            if keep is not None and path.exists():
                os.replace(path, keep)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"'{path}' could not be written ({error}); what was there before is untouched."
        ) from error


@contextmanager
def replacing(path: PathLike) -> Iterator[h5py.File]:
    """Yield a new ``h5py.File`` that becomes ``path`` once the block ends without an error.

    Raises
    ------
    InputError
        If it cannot be written; the file that was at ``path`` is then unchanged.
    """
    with _appearing(path) as disk, h5py.File(disk, "w") as file:
        yield file


def write_bytes(path: PathLike, parts: Iterable[Any]) -> None:
    """Write ``parts``, each bytes or a contiguous array, completely, or change nothing at ``path``.

    Raises
    ------
    InputError
        If they cannot be written.
    """
    with _appearing(Path(path).expanduser()) as disk:
        for part in parts:
            disk.write(part)


def write_text(path: PathLike, text: str) -> None:
    """Write a text file completely, or leave the file at ``path`` unchanged.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    write_bytes(path, [text.encode("utf-8")])


def write_json(path: PathLike, content: object) -> None:
    """Write ``content``, converted by :func:`as_json`, as :func:`write_text` does."""
    write_text(path, json.dumps(as_json(content), indent=1, allow_nan=False) + "\n")


def as_json(value: Any) -> Any:
    """``value`` in the types of JSON; a number that is not finite is null."""
    if isinstance(value, dict):
        return {str(k): as_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(v) for v in value]
    if isinstance(value, np.ndarray):
        return as_json(value.tolist())
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def check_output(file: PathLike, overwrite: bool = True) -> None:
    """InputError unless ``file`` is the name of a file in an existing folder.

    Where ``overwrite`` is False, of a file that does not exist.
    """
    path = Path(file).expanduser()
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"'{file}': expected the name of a file in an existing folder.")
    if path.exists() and not overwrite:
        raise InputError(f"'{file}' exists; it is replaced only with --force.")


def write_tree(group: h5py.Group, tree: Mapping[str, Any]) -> None:
    """Write nested dictionaries of arrays, numbers and strings."""
    for name, value in tree.items():
        if isinstance(value, dict):
            write_tree(group.create_group(name), value)
        else:
            group[name] = value


def read_tree(group: h5py.Group) -> dict[str, Any]:
    """Read what :func:`write_tree` wrote."""
    out: dict[str, Any] = {}
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            out[name] = read_tree(item)
        else:
            value = item[()]
            out[name] = value.decode() if isinstance(value, bytes) else value
    return out


def save_state(path: PathLike, tree: Mapping[str, Any]) -> None:
    """Write a run's state to ``path``; the state that was there goes to :func:`previous`."""
    image = io.BytesIO()
    with h5py.File(image, "w", userblock_size=_USER_BLOCK) as file:
        write_tree(file, tree)
    content = image.getbuffer()
    head = _TITLE + hashlib.sha256(content[_USER_BLOCK:]).hexdigest() + "\n"
    content[: len(head)] = head.encode()
    with _appearing(path, keep=previous(path)) as disk:
        disk.write(content)


def previous(path: PathLike) -> Path:
    """The file where :func:`save_state` keeps the state before the last."""
    path = Path(path)
    return path.with_name(path.name + ".previous")


def load_state(path: PathLike) -> dict[str, Any]:
    """What :func:`save_state` was given.

    Raises
    ------
    DamagedError
        If any bit of the file differs from what was written.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DamagedError(f"'{path}' cannot be read: {error}.") from error
    if not content.startswith(_TITLE.encode()):
        raise DamagedError(
            f"'{path}' is not a whole state of this version: it starts with "
            f"{content[: len(_TITLE)]!r}, expected {_TITLE!r}."
        )
    digest = content[len(_TITLE) : _USER_BLOCK].rstrip(b"\0\n").decode(errors="replace")
    found = hashlib.sha256(content[_USER_BLOCK:]).hexdigest()
    if digest != found:
        raise DamagedError(
            f"'{path}' is damaged: its content has the SHA-256 digest {found[:12]}..., expected "
            f"{digest[:12]}..., as written in its first line."
        )
    with h5py.File(io.BytesIO(content), "r") as file:
        return read_tree(file)


class GrowingFile:
    """A file that is only appended to, known as far as ``size`` and a checksum of its bytes.

    Bytes beyond ``size``, which a kill or a full disk may leave, are cut off when a run resumes.

    Parameters
    ----------
    path : str or Path
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.size = 0
        self.checksum = 0

    def take_in(self) -> None:
        """Flush what was appended to disk, and add it to ``size`` and ``checksum``."""
        if not self.path.exists():
            return
        with open(self.path, "rb+") as file:
            os.fsync(file.fileno())
            file.seek(self.size)
            while block := file.read(_BLOCK):
                self.checksum = zlib.crc32(block, self.checksum)
                self.size += len(block)

    def to_dict(self) -> dict[str, int]:
        return {"size": self.size, "checksum": self.checksum}

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Take the state written by :meth:`to_dict`; the file itself is not changed.

        Raises
        ------
        DamagedError
            If the file is shorter, or was changed before that point.
        """
        size, expected = int(stored["size"]), int(stored["checksum"])
        checksum, left = 0, size
        try:
            file: BinaryIO
            with open(self.path, "rb") if size else io.BytesIO() as file:
                while block := file.read(min(left, _BLOCK)):
                    checksum = zlib.crc32(block, checksum)
                    left -= len(block)
        except OSError as error:
            raise DamagedError(f"'{self.path}' cannot be read: {error}.") from error
        if left:
            raise DamagedError(
                f"'{self.path}' has {size - left} bytes, expected at least the {size} that it had "
                "when the state was written: it was cut."
            )
        if checksum != expected:
            raise DamagedError(
                f"'{self.path}' was changed: its first {size} bytes have the checksum "
                f"{checksum:08x}, expected {expected:08x}."
            )
        self.size, self.checksum = size, expected

    def cut(self) -> None:
        """Cut off the bytes beyond ``size``; a file of no bytes is removed."""
        if not self.size:
            self.path.unlink(missing_ok=True)
        elif self.path.stat().st_size > self.size:
            os.truncate(self.path, self.size)
