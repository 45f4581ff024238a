"""Compiled code on disk, shared by processes that may all compile at once.

Numba renames each of its files into place, first an index, then the code that it points to. Two
processes that compile different signatures of one function at the same time may give both the same
name, and one that reads between the two files may find old code under a new index. So here they are
read and written under a lock of the operating system, which dies with whoever holds it.

Without such locks a process alone does as numba does, and several ranks keep nothing.
"""

import logging
import os
import threading
from contextlib import contextmanager
from functools import cache

import numba
from numba.core.caching import FunctionCache

try:
    import fcntl
except ImportError:  # not a Unix system
    fcntl = None

_MPI_VARIABLES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS")
SEVERAL_RANKS = any(os.environ.get(name, "1") not in ("", "1") for name in _MPI_VARIABLES)

_in_process = threading.RLock()
_holds = set()


def _open(folder, name):
    os.makedirs(folder, exist_ok=True)
    return os.open(os.path.join(folder, f"neuralbias.{name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)


@contextmanager
def locked(folder, exclusive):
    """Hold the lock of a folder of compiled code; yields whether that is safe to use.

    May be taken again inside.
    """
    with _in_process:
        if folder in _holds:
            yield True
            return
        descriptor = None
        try:
            descriptor = _open(folder, "files")
            fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            safe = True
        except (OSError, AttributeError):  # no such locks: not this file system, not this machine
            safe = not SEVERAL_RANKS
        try:
            _holds.add(folder)
            yield safe
        finally:
            _holds.discard(folder)
            if descriptor is not None:
                os.close(descriptor)


class SharedCache(FunctionCache):
    """Numba's cache of one function, under the lock of its folder."""

    said = False  #: that this process compiles

    def load_overload(self, signature, target_context):
        found = None
        if os.path.isdir(self.cache_path):
            with locked(self.cache_path, exclusive=False) as safe:
                found = super().load_overload(signature, target_context) if safe else None
        if found is None and not SharedCache.said:
            SharedCache.said = True
            logging.getLogger("cobaya_neuralbias").info(
                "Compiling, which takes about a minute; kept in %s for the next time.",
                self.cache_path,
            )
        return found

    def save_overload(self, signature, data):
        with locked(self.cache_path, exclusive=True) as safe:
            if safe:
                super().save_overload(signature, data)


@cache
def lock_folder():
    """Where :func:`one_compiles` keeps its lock: one folder, whichever room a kernel is in."""
    return FunctionCache(lock_folder.__wrapped__).cache_path


_compiling = threading.local()


@contextmanager
def one_compiles():
    """Around what compiles most of a model: of several processes, one goes first.

    Those that come meanwhile wait until it is through, and find its code on disk. They then go on
    all at once: nobody waits for more than one.
    """
    if numba.config.DISABLE_JIT or getattr(_compiling, "now", False):
        yield
        return
    descriptor = None
    _compiling.now = True
    try:
        try:
            descriptor = _open(lock_folder(), "first")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        except (OSError, AttributeError):  # no locks: everybody compiles
            pass
        yield
    finally:
        _compiling.now = False
        if descriptor is not None:
            os.close(descriptor)
