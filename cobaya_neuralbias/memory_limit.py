"""The memory of the machine, or the part of it that a container or a batch job is given."""

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["memory_limit"]


def memory_limit(root: str | Path = "/") -> int | None:
    """Bytes of memory that this process may use, None if unknown.

    The least of the physical memory and of the limits of the control groups of the process, of
    either version: containers and batch systems set them.

    Parameters
    ----------
    root : folder in which ``proc`` and ``sys`` are
    """
    limits = list(_control_group_limits(Path(root)))
    try:
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # not known on every system
        pass
    return min(limits, default=None)


def _control_group_limits(root: Path) -> Iterator[int]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:  # version 2
            mount, file = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            mount, file = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        # Limits of the groups above hold too. In a container the name may be the host's: then there
        # is no such folder, and the group is the one at the top.
        folder = mount / group.lstrip("/")
        for place in (folder, *folder.parents):
            if not place.is_relative_to(mount):
                break
            try:
                limit = (place / file).read_text().strip()
            except OSError:
                continue
            if limit.isdigit():  # else "max"
                yield int(limit)
