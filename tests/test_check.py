"""The command ``check``: it says what is there, and sees a wrong gradient."""

import json

import pytest

from cobaya_neuralbias import __version__, cli
from cobaya_neuralbias.bench import machine
from cobaya_neuralbias.posterior.target import FieldTarget


@pytest.fixture
def short(monkeypatch):
    names = ["second-order theory", "the same in float32"]
    monkeypatch.setattr(machine, "MODELS", {name: machine.MODELS[name] for name in names})
    monkeypatch.setattr(machine, "SECONDS", 0.1)


def test_all_is_well(short, capsys):
    assert cli.main(["check", "--json", "-"]) == 0
    out, progress = capsys.readouterr()
    numbers = json.loads(out)
    assert numbers["sound"] and numbers["versions"]["cobaya_neuralbias"] == __version__
    assert set(numbers["gradients"]) == set(machine.MODELS)
    assert all(rate > 0 for rate in numbers["speed"].values())
    assert "gradient: second-order theory" in progress


def test_every_model(monkeypatch):
    monkeypatch.setattr(machine, "SECONDS", 0.1)
    text, numbers = machine.make_check()
    assert numbers["sound"] and "All gradients are right." in text
    assert text.count("right ") == len(machine.MODELS)


def test_a_wrong_gradient_is_seen(short, monkeypatch, capsys, tmp_path):
    """Of one part in a thousand."""
    exact = FieldTarget.modes_value_and_gradient

    def wrong(self, modes, weights):
        value, modes_bar, weights_bar = exact(self, modes, weights)
        return value, 1.001 * modes_bar, weights_bar

    monkeypatch.setattr(FieldTarget, "modes_value_and_gradient", wrong)
    with pytest.raises(SystemExit) as end:
        cli.main(["check", "--json", str(tmp_path / "check.json")])
    assert end.value.code == 1
    out = capsys.readouterr().out
    assert "WRONG  second-order theory" in out and "Some gradients are WRONG." in out
    assert not json.loads((tmp_path / "check.json").read_text())["sound"]


def test_an_error_is_part_of_the_report(short, monkeypatch):
    def broken(self, modes, weights):
        raise ValueError("no such thing")

    monkeypatch.setattr(FieldTarget, "modes_value_and_gradient", broken)
    text, numbers = machine.make_check()
    assert not numbers["sound"]
    assert "ValueError: no such thing" in text and "no such thing" in numbers["speed"]["error"]
