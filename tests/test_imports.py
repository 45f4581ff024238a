"""Imports run one way between the rooms, and Cobaya is known at the surface only."""

import ast
from pathlib import Path

import pytest

import cobaya_neuralbias

ROOT = Path(cobaya_neuralbias.__file__).parent
# Room (a folder, or a file at the root) -> what it may import of the package besides itself. A room
# names only rooms above it in this table, so no circle can be written down.
ALLOWED = {
    "errors": (),
    "progress": (),
    "memory_limit": (),
    "kernels": (),
    "sampling": ("kernels",),
    "component": ("errors",),
    "atomic_files": ("errors",),
    "catalogue": ("errors", "atomic_files"),
    "gravity": ("kernels",),
    "bias": ("kernels",),
    "theories": ("catalogue", "component", "errors", "gravity", "kernels", "memory_limit"),
    "likelihoods": ("bias", "catalogue", "component", "kernels"),
    "posterior": ("errors", "gravity", "kernels", "likelihoods", "sampling", "theories"),
    "runs": (
        *("atomic_files", "catalogue", "errors", "gravity", "posterior", "progress", "sampling"),
    ),
    "qnhmc": (
        *("atomic_files", "component", "errors", "kernels", "posterior", "runs", "sampling"),
    ),
    "export": (
        *("atomic_files", "errors", "gravity", "posterior", "progress", "runs", "theories"),
    ),
    "mock": ("atomic_files", "bias", "catalogue", "errors", "gravity", "posterior"),
    "report": (
        *("atomic_files", "bias", "catalogue", "errors", "gravity", "mock", "posterior"),
        *("progress", "runs", "sampling"),
    ),
    "fitting": ("atomic_files", "bias", "catalogue", "errors", "gravity", "posterior", "runs"),
    "calibration": (
        *("atomic_files", "catalogue", "errors", "fitting", "gravity", "mock", "posterior"),
        *("progress", "report", "runs", "sampling", "theories"),
    ),
    "survey": ("atomic_files", "catalogue", "errors", "gravity", "posterior"),
    "bench": (
        *("atomic_files", "catalogue", "errors", "gravity", "kernels", "memory_limit"),
        *("posterior", "progress"),
    ),
    "cli": (
        *("atomic_files", "bench", "calibration", "errors", "export", "fitting", "mock"),
        *("progress", "report", "survey"),
    ),
}
# Rooms that may import Cobaya
SURFACE = {
    *("component", "theories", "likelihoods", "posterior", "runs", "qnhmc"),
    *("mock", "fitting", "calibration", "survey", "bench"),
}
# Folders of kernels that share nothing but the files beside them
KERNEL_ROOMS = ("transforms", "particles", "halos")


def python_files(room):
    return [ROOT / f"{room}.py"] if (ROOT / f"{room}.py").exists() else (ROOT / room).rglob("*.py")


def imported(path):
    """(modules of this package, top-level names of others) that a file imports anywhere."""
    package = path.relative_to(ROOT).parts[:-1]
    inside, others = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            others.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1])
            module = ".".join(filter(None, (base, node.module)))
            inside |= {".".join(filter(None, (module, alias.name))) for alias in node.names}
    return inside, others


@pytest.mark.parametrize("room", ALLOWED)
def test_room(room):
    for path in python_files(room):
        inside, others = imported(path)
        rooms = {name.split(".")[0] for name in inside} - {"__version__", "__all__"}
        assert rooms <= {*ALLOWED[room], room}, path
        assert "cobaya" not in others or room in SURFACE, path
        # An absolute import of the package itself would escape this test.
        assert "cobaya_neuralbias" not in others, path


def test_rooms_name_only_rooms_above_them():
    above = set()
    for room, allowed in ALLOWED.items():
        assert set(allowed) <= above, room
        above.add(room)


def test_every_room_is_listed():
    files = {path.stem for path in ROOT.glob("*.py")} - {"__init__"}
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert files | folders == set(ALLOWED)


@pytest.mark.parametrize("room", KERNEL_ROOMS)
def test_kernel_rooms_share_nothing(room):
    for path in (ROOT / "kernels" / room).glob("*.py"):
        for name in imported(path)[0]:
            assert name.split(".")[1] not in set(KERNEL_ROOMS) - {room}, (path, name)


def test_this_test_sees_imports(tmp_path, monkeypatch):
    """The check itself, on a file whose imports are known."""
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "room").mkdir()
    file = tmp_path / "room" / "file.py"
    file.write_text("def f():\n    from ..other import x\n    from . import y\n    import cobaya\n")
    assert imported(file) == ({"other.x", "room.y"}, {"cobaya"})
