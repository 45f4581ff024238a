"""The command bench: what it measures and what it refuses."""

import json
import time

import numpy as np
import pytest

from cobaya_neuralbias import cli
from cobaya_neuralbias.bench.cases import CASES, tiled_catalogue
from cobaya_neuralbias.bench.timing import measure, peak_memory


def test_memory_is_that_of_what_is_kept_and_of_the_worst_moment():
    size = 1 << 20

    def build():
        kept = np.zeros(size)

        def forward():
            ones = np.ones(2 * size)
            return ones + kept[0]  # two arrays of this size for a moment

        return [forward, lambda result: result[:size] * 2]

    assert peak_memory(build) / (8 * size) == pytest.approx(5, abs=0.1)


def test_times_add_up():
    timing = measure(
        [lambda: time.sleep(0.01), lambda _: time.sleep(0.02)], 8, np.dtype("float32"), 5, threads=2
    )
    assert timing.parts[0] >= 0.01 and timing.parts[1] >= 0.02
    assert timing.total == pytest.approx(sum(timing.parts), rel=0.5)
    assert timing.units == pytest.approx(timing.total / timing.transform, rel=0.9)


def test_waiting_does_not_count_on_one_thread():
    assert measure([lambda: time.sleep(0.05)], 8, np.dtype("float64"), 3).total < 0.02


def test_tiles_hold_the_bundled_halos():
    one, eight, part = (tiled_catalogue(n) for n in (64, 128, 32))
    assert len(one) == 30868 and one.box_size == 250
    assert len(eight) == 8 * len(one) and eight.box_size == 500
    assert part.box_size == 125 and (part.position < 125).all()
    inside = (one.position < 125).all(1)
    assert np.array_equal(part.mass, one.mass[inside])
    counts = eight.counts(128)
    assert np.array_equal(counts[:64, 64:, :64], one.counts(64))


def test_command(tmp_path, capsys):
    file = tmp_path / "bench.json"
    arguments = ["bench", "--n-grid", "16", "--repeats", "2", "--json"]
    assert cli.main([*arguments, str(file)]) == 0
    text = capsys.readouterr().out
    rows = json.loads(file.read_text())
    assert [row["case"] for row in rows] == list(CASES)
    for row in rows:
        assert row["case"] in text
        assert (row["n_grid"], row["dtype"], row["threads"]) == (16, "float64", 1)
        assert row["fft_units"] > 0 or row["case"] == "pm_step"
        assert row["milliseconds"] > 0 or row["case"] == "pm_step"
        assert 3 < row["peak_fields"] < 300
    shares = {row["case"]: row["shares"] for row in rows if "shares" in row}
    assert set(shares) == {case for case in CASES if case.startswith("posterior")}
    some = ["bench", "--cases", "1lpt_cic,likelihood", "--n-grid", "8", "--repeats", "1"]
    assert cli.main([*some, "--threads", "1,2", "--dtype", "float32", "--json", "-"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(r["case"], r["threads"]) for r in rows] == [
        ("1lpt_cic", 1),
        ("likelihood", 1),
        ("1lpt_cic", 2),
        ("likelihood", 2),
    ]


YAML = """
theory:
  cobaya_neuralbias.EisensteinHu:
  cobaya_neuralbias.ParticleMesh: {n_grid: 8, box_size: 250, n_steps: 1, dtype: float32}
likelihood:
  cobaya_neuralbias.NeuralBias: {mass_threshold: 2.e13}
params:
  H0: {prior: {min: 60, max: 80}, ref: 68}
  ombh2: 0.0226576
  omch2: 0.1229984
  ns: 0.97
  sigma8: 0.81
  npe_b: 0.3
"""


def test_a_yaml_file(tmp_path, capsys):
    """Its own mesh and types; a sampled cosmology and a fixed weight do no harm."""
    file = tmp_path / "run.yaml"
    file.write_text(YAML)
    assert cli.main(["bench", str(file), "--repeats", "1", "--json", "-"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["case"] for row in rows] == ["gravity", "likelihood", "posterior"]
    for row in rows:
        assert (row["n_grid"], row["dtype"], row["threads"]) == (8, "float32", 1)
        assert row["fft_units"] > 0 and row["peak_fields"] > 20
    assert cli.main(["bench", str(file), "--n-grid", "16"]) == 2
    assert "its own case, mesh" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such.yaml"], "'no_such.yaml': no such file"),
        (["--cases", "3lpt"], "case is '3lpt'; expected some of 1lpt_cic"),
        (["--dtype", "float16"], "dtype is 'float16'; expected some of float64, float32"),
        (["--n-grid", "64,x"], "--n-grid is '64,x'; expected integers"),
        (["--n-grid", "4"], "n-grid is 4; expected an integer of at least 8"),
        (["--threads", "0"], "threads is 0; expected an integer of at least 1"),
        (["--json", "/no/such/folder/file.json"], "expected the name of a file in an existing"),
    ],
)
def test_bad_options(arguments, message, capsys):
    assert cli.main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err
