"""The version of each component in ``updated.yaml``, and resuming a run that has it or lacks it."""

import copy

import pytest
from cobaya.run import run
from cobaya.yaml import yaml_dump_file, yaml_load_file

from cobaya_neuralbias import __version__

KINDS = ("theory", "likelihood", "sampler")


@pytest.fixture
def finished(quick, tmp_path):
    """(info, path of ``updated.yaml``) of a finished run."""
    quick["output"] = str(tmp_path / "run")
    run(copy.deepcopy(quick))
    return quick, tmp_path / "run.updated.yaml"


def versions(path):
    updated = yaml_load_file(str(path))
    return {name: options["version"] for kind in KINDS for name, options in updated[kind].items()}


def test_every_component_has_the_version(finished):
    info, updated = finished
    names = {name for kind in KINDS for name in info[kind]}
    assert versions(updated) == dict.fromkeys(names, __version__)


@pytest.mark.parametrize("versioned", [True, False])
def test_resume(finished, versioned):
    """Also a run whose ``updated.yaml`` names no versions."""
    info, updated = finished
    if not versioned:
        content = yaml_load_file(str(updated))
        for kind in KINDS:
            for options in content[kind].values():
                options.pop("version")
        yaml_dump_file(str(updated), content, error_if_exists=False)
    info["sampler"]["cobaya_neuralbias.QNHMC"]["max_samples"] += 2
    run({**copy.deepcopy(info), "resume": True})
    assert set(versions(updated).values()) == {__version__}
