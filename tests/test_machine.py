"""The memory that a process may use, with and without control groups."""

import os

import pytest

from cobaya_neuralbias.memory_limit import memory_limit

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
V1, V2 = "sys/fs/cgroup/memory/{}memory.limit_in_bytes", "sys/fs/cgroup/{}memory.max"


def limit(tmp_path, groups, **limits):
    """With the text of /proc/self/cgroup and of some files, named by their path."""
    for path, text in {"proc/self/cgroup": groups, **limits}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return memory_limit(tmp_path)


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        ("0::/\n", {V2.format(""): "1000000\n"}, 1000000),
        ("0::/\n", {V2.format(""): "max\n"}, PHYSICAL),
        ("0::/a/b\n", {V2.format("a/b/"): "max\n", V2.format("a/"): "2000\n"}, 2000),
        ("0::/a/b\n", {V2.format("a/b/"): "500\n", V2.format("a/"): "2000\n"}, 500),
        ("3:cpu:/x\n2:memory:/x\n0::/\n", {V1.format("x/"): "3000\n"}, 3000),
        ("2:cpu,memory:/of/host\n", {V1.format(""): "4000\n"}, 4000),
        ("2:memory:/\n", {V1.format(""): "9223372036854771712\n"}, PHYSICAL),
        ("2:memory:/elsewhere\n", {}, PHYSICAL),
        ("2:cpu:/\n", {V1.format(""): "10\n"}, PHYSICAL),
    ],
)
def test_the_least_limit_counts(tmp_path, groups, limits, expected):
    assert limit(tmp_path, groups, **limits) == expected


def test_without_control_groups(tmp_path):
    assert memory_limit(tmp_path) == PHYSICAL


def test_of_this_process():
    assert 0 < memory_limit() <= PHYSICAL
