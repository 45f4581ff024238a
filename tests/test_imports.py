"""Imports run one way, and Cobaya is known at the surface only (docs/developer_map.md)."""

import ast
from pathlib import Path

import pytest

import cobaya_neuralbias

ROOT = Path(cobaya_neuralbias.__file__).parent
# What each room may import of the package, besides itself.
ALLOWED = {
    "errors": set(),
    "kernels": set(),
    "sampling": set(),
    "gravity": {"kernels"},
    "bias": {"kernels"},
    "store": {"errors"},
    "catalogue": {"errors", "store"},
    "component": {"errors"},
    "costs": set(),
    "traces": set(),
    "identity": {"__version__"},
    "journal": {"store"},
    "signals": set(),
    "field_output": {
        *("errors", "gravity", "identity", "journal", "sampling", "store", "traces"),
    },
    "chains": set(),
    "options": {"component"},
    "starting": {"component", "costs", "sampling", "target"},
    "meetings": {"sampling", "traces"},
    "moving": set(),
    "run_files": {"component", "sampling"},
    "run_log": {"sampling"},
    "eisenstein_hu": {"gravity", "component"},
    "machine": set(),
    "matter_density": {"catalogue", "component", "gravity", "kernels", "machine"},
    "lpt": {"component", "gravity", "matter_density"},
    "particle_mesh": {"component", "gravity", "matter_density"},
    "halo_likelihood": {"bias", "catalogue", "component", "kernels"},
    "neural_bias": {"bias", "component", "halo_likelihood", "kernels"},
    "neyrinck": {"bias", "component", "halo_likelihood", "kernels"},
    "mock": {"__version__", "bias", "catalogue", "errors", "gravity", "report", "target"},
    "bench": {
        *("catalogue", "errors", "fitting", "gravity", "kernels", "mock", "report", "target"),
    },
    "fitting": {"bias", "catalogue", "errors", "gravity", "mock", "report", "target"},
    "target": {"gravity", "halo_likelihood", "kernels", "lpt", "particle_mesh"},
    "qnhmc": {
        *("chains", "component", "costs", "field_output", "meetings", "run_files", "run_log"),
        *("moving", "options", "sampling", "signals", "starting", "target"),
    },
}
SURFACE = {
    *("component", "eisenstein_hu", "halo_likelihood", "lpt", "neural_bias", "qnhmc", "run_files"),
    *("bench", "chains", "fitting", "matter_density", "mock", "neyrinck"),
    *("options", "particle_mesh", "starting", "target"),
}


def imported(path):
    """(rooms of this package, top-level names of others) that a file imports anywhere."""
    depth = len(path.relative_to(ROOT).parts)
    rooms, others = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            others.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.level == depth:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            rooms |= {name.split(".")[0] for name in names}
    return rooms, others


@pytest.mark.parametrize("room", ALLOWED)
def test_room(room):
    files = [ROOT / f"{room}.py"] if (ROOT / f"{room}.py").exists() else (ROOT / room).glob("*.py")
    for path in files:
        rooms, others = imported(path)
        assert rooms <= ALLOWED[room] | {room}, path
        assert "cobaya" not in others or room in SURFACE, path


def test_every_room_is_listed():
    rooms = {p.stem for p in ROOT.glob("*.py")} | {p.parent.name for p in ROOT.glob("*/*.py")}
    assert rooms - {"__init__", "cli", "report"} == set(ALLOWED)
