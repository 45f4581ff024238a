"""From the sky of the bundled box to the numbers of a report, by the commands, on a small mesh."""

import pytest
from cobaya.run import run
from cobaya.yaml import yaml_dump_file, yaml_load_file

from cobaya_neuralbias import cli
from cobaya_neuralbias.report.analysis import analyse
from cobaya_neuralbias.runs.finished import load_run


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    """What a report is made of, of a short run."""
    folder = tmp_path_factory.mktemp("survey")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        command = ["mock-survey", "bundled", "-o", "sky.h5", "--flux-limit-at", "60"]
        assert cli.main([*command, "--latitude", "10", "--mass-threshold", "5e12"]) == 0
        description = yaml_load_file("sky.yaml") | {"n_grid": 16, "bias_grid": None}
        yaml_dump_file("sky.yaml", description, error_if_exists=False)
        assert cli.main(["survey", "sky.yaml"]) == 0
        info = yaml_load_file("sky_survey.yaml")
        options = {"warmup": 30, "max_samples": 10, "store_every": 1, "max_steps": 4}
        info["sampler"]["cobaya_neuralbias.QNHMC"].update(options)
        run(info)
        return analyse(load_run("sky_survey_run"))


def test_truth_inside_of_the_survey(analysis):
    """Where it is seen, the largest waves are those of the box, as far as so short a run tells."""
    assert 0.1 < analysis.observed.mean() < 0.6
    of_mean, of_samples = analysis.r["initial"]
    assert 0.6 < of_mean[0] < 1 and of_samples[0] < 1


def test_direction_of_the_lines_of_sight(analysis):
    entry = analysis.quadrupole["line of sight"]
    assert {"value", "error", "truth"} <= set(entry) and entry["error"] > 0


def test_the_mark_has_its_words(analysis):
    mark = analysis.marks["bias"]
    assert (mark.name, mark.unit) == ("luminosity", "Lsun/h^2")
