"""The command line: what it says and how it ends."""

import subprocess
import sys

import pytest

from cobaya_neuralbias import __version__, cli


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "cobaya_neuralbias.cli", *arguments], capture_output=True, text=True
    )


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"cobaya-neuralbias {__version__}\n"


def test_help_names_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    assert "report" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["report"], ["no-such-command"], ["report", "a", "b"]])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: cobaya-neuralbias" in capsys.readouterr().err


def test_no_such_run_is_one_line_without_traceback(tmp_path):
    result = command("report", str(tmp_path / "nothing"))
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "no such run" in result.stderr and "nothing.updated.yaml" in result.stderr


def test_a_folder_is_no_prefix(tmp_path, capsys):
    (tmp_path / "chains").mkdir()
    for prefix in ("chains", "chains/"):
        assert cli.main(["report", f"{tmp_path}/{prefix}"]) == 2
        assert "is a folder" in capsys.readouterr().err


def test_import_is_light():
    code = (
        "import sys, cobaya_neuralbias.cli as cli; cli.build_parser(); "
        "heavy = {'numpy', 'cobaya', 'matplotlib', 'h5py', 'getdist'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
