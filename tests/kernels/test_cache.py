"""Compiled code on disk, when several processes compile at once."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import cobaya_neuralbias
from cobaya_neuralbias.kernels import cache
from cobaya_neuralbias.kernels.cache import locked, one_compiles

pytest.importorskip("fcntl")
ROOT = Path(cobaya_neuralbias.__file__).parents[1]

# Each process compiles the same function for a type of its own, and takes its time between reading
# the index and writing it: without the lock they would all choose the same name for their code.
HALVES = """
    import sys, time
    from numba.core.caching import IndexDataCacheFile
    from cobaya_neuralbias.kernels.jit import jit

    save_index = IndexDataCacheFile._save_index

    def slowly(self, overloads):
        time.sleep(0.3)
        save_index(self, overloads)

    IndexDataCacheFile._save_index = slowly

    @jit
    def half(x):
        return x / 2

    for kind in sys.argv[1:]:
        print(half({"int": int, "complex": complex}[kind](3)))
    print(sum(half.stats.cache_hits.values()))
"""


def start(folder, *arguments, **variables):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(folder / "cache")}
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**environment, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


def said(process):
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return out.split()


def test_processes_that_compile_at_once(tmp_path):
    (tmp_path / "halves.py").write_text(textwrap.dedent(HALVES))
    kinds = {"int": "1.5", "complex": "(1.5+0j)"}
    processes = {kind: start(tmp_path, "halves.py", kind) for kind in kinds}
    for kind, process in processes.items():
        assert said(process) == [kinds[kind], "0"]
    assert said(start(tmp_path, "halves.py", *kinds)) == [*kinds.values(), "2"]


# The likelihood of halos at given masses calls half a dozen functions that are long
HALOS = """
    import numpy as np
    from cobaya_neuralbias.kernels.halos.halo_blocks import n_blocks
    from cobaya_neuralbias.kernels.halos import truncated_mixture

    rng = np.random.default_rng(0)
    counts = rng.poisson(0.3, 4000)
    voxel = np.flatnonzero(counts)
    first = np.concatenate([[0], np.cumsum(counts[voxel])])
    t, psi = rng.exponential(size=first[-1]), rng.standard_normal((2, counts.size))
    weights, blocks = np.linspace(-0.3, 0.3, 7), n_blocks(voxel)
    bar, values, parts = np.zeros(psi.shape), np.empty(blocks), np.empty((blocks, 7))
    total = truncated_mixture.sum_log_probability_with_vjp
    total(0, blocks, psi, voxel, first, t, weights, 0.0, bar, values, parts)
    print(sum(total.stats.cache_hits.values()), bar.tobytes().hex())
    print(values.tobytes().hex(), parts.tobytes().hex())
"""


def test_compiled_code_is_the_same_when_read_from_disk(tmp_path):
    """To the last digit: a run begun by the process that compiles goes on in one that does not."""
    (tmp_path / "halos.py").write_text(textwrap.dedent(HALOS))
    compiled, read = (said(start(tmp_path, "halos.py")) for _ in range(2))
    assert [compiled.pop(0), read.pop(0)] == ["0", "1"]
    assert compiled == read


def test_one_compiles_and_the_others_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "lock_folder", lambda: str(tmp_path))
    code = (
        "from cobaya_neuralbias.kernels import cache\n"
        f"cache.lock_folder = lambda: {str(tmp_path)!r}\n"
        "print('here', flush=True)\n"
        "with cache.one_compiles(), cache.one_compiles():\n"
        "    print('through', flush=True)\n"
        "    input()\n"
    )
    with one_compiles():
        others = [start(tmp_path, "-c", code) for _ in range(2)]
        assert [p.stdout.readline() for p in others] == 2 * ["here\n"]
        time.sleep(0.3)
        for process in others:
            os.set_blocking(process.stdout.fileno(), False)
            assert process.stdout.readline() == ""
            os.set_blocking(process.stdout.fileno(), True)
    # Both at once: neither waits for the other, which waits for us.
    assert [p.stdout.readline() for p in others] == 2 * ["through\n"]
    for process in others:
        process.communicate("\n", timeout=60)


def test_lock_ends_with_its_owner(tmp_path):
    code = (
        "from cobaya_neuralbias.kernels.cache import locked\n"
        f"with locked({str(tmp_path)!r}, exclusive=True):\n"
        "    print('mine', flush=True)\n"
        "    input()\n"
    )
    process = start(tmp_path, "-c", code)
    assert process.stdout.readline() == "mine\n"
    process.kill()
    process.communicate()
    with locked(str(tmp_path), exclusive=True) as safe, locked(str(tmp_path), exclusive=True):
        assert safe


@pytest.mark.parametrize("several", [False, True])
def test_without_locks(tmp_path, monkeypatch, several):
    """A process alone trusts itself; of several ranks, none does."""

    def refused(*_):
        raise OSError("no locks here")

    monkeypatch.setattr(cache.fcntl, "flock", refused)
    monkeypatch.setattr(cache, "SEVERAL_RANKS", several)
    with locked(str(tmp_path), exclusive=True) as safe:
        assert safe is not several
    monkeypatch.setattr(cache, "lock_folder", lambda: str(tmp_path))
    with one_compiles():
        pass
