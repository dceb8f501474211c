import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from stores import ENTRANTS, build_store, metric_rows, run_row, write_method, write_suites

from deep3dmap.cli import main
from deep3dmap.cli.leaderboard import print_leaderboard
from deep3dmap.results.store import ResultStore


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return build_store(tmp_path_factory.mktemp("store"), seeds=2, scenes=5)


@pytest.fixture
def run(store, capsys):
    def call(*arguments, code=0):
        assert main(["leaderboard", f"results={store.uri}", *arguments]) == code
        return capsys.readouterr()

    return call


def test_tables_fit_a_hundred_columns_and_say_what_matters(run):
    text = run().out
    assert max(map(len, text.splitlines())) <= 100
    for words in ("face · tier quick · heads/quick", "indoor · tier quick", "lower is better", "higher is better", "baseline"):
        assert words in text
    lines = text.splitlines()
    first = next(line for line in lines if line.startswith("1  prnet/wide"))
    assert "image, box" in first
    assert next(line for line in lines if line.startswith("-  broken_net/default"))
    assert "prnet/mini: 1 failed run, diverged: step 31" in text
    assert "broken_net/default: 1 failed run, failed: RuntimeError: shapes do not match: 3 and 4" in text


def test_long_names_and_a_gpu_still_fit(tmp_path, capsys):
    store = ResultStore(str(tmp_path))
    write_suites(store)
    inputs = ("images", "depths", "intrinsics", "world_from_camera")
    for number, name in enumerate(("a_method_with_a_very_long_name_indeed", "short")):
        entrant = replace(ENTRANTS[3], name=name, inputs=inputs)
        write_method(store, name, inputs, is_baseline=True)
        row = replace(run_row(ENTRANTS[3], 0), method=name, run_id=f"{number:016x}", inputs=list(inputs))
        row = replace(row, peak_ram_mb=112_345.0, peak_gpu_mb=81_920.0, train_s=123_456.0)
        store.write_attempt(row, metric_rows(row, entrant, 4), [])
    print_leaderboard(store)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert "112345+81920" in text
    assert "poses" in text
    assert "world_from" not in text


def test_one_suite_is_shown_when_asked_for(run):
    text = run("--suite", "indoor").out
    assert "indoor · tier" in text
    assert "face · tier" not in text


def test_all_metrics_are_shown_when_asked_for(run):
    text = run("--suite", "face", "--all-metrics").out
    assert [name in text for name in ("nme_68_2d in", "pose_mae in degrees", "nme_68_2d_mean_of_bins in")] == [True] * 3


def test_one_metric_is_shown_when_asked_for(run):
    text = run("--metric", "chamfer").out
    assert "chamfer in m, lower is better" in text
    assert "face" not in text


def test_ranks_across_tables(run):
    text = run("--across", "--suite", "face", "--metric", "pose_mae").out
    assert "1.00  prnet/wide" in text
    read = json.loads(run("--across", "--format", "json").out)
    assert read["names"] == []
    assert "mean_face/default" in read["left_out"]
    assert "--format table and json" in run("--across", "--format", "csv", code=2).err


def test_json_is_for_programs(run):
    read = json.loads(run("--format", "json", "--tier", "quick").out)
    assert [row["rank"] for row in read["suites"]["indoor"]] == [1, 2]


def test_csv_and_latex(run):
    assert len(list(csv.DictReader(io.StringIO(run("--format", "csv", "--dataset", "rooms").out)))) == 2
    assert r"\toprule" in run("--format", "latex").out


def test_what_stands_apart_says_why(tmp_path, capsys):
    store = ResultStore(str(tmp_path))
    write_suites(store)
    for seed in range(2):
        row = run_row(ENTRANTS[0], seed)
        store.write_attempt(row, metric_rows(row, ENTRANTS[0], 8), [])
    cut = run_row(ENTRANTS[0], 2, cut_short="cut short at step 94 of 180", steps=94)
    store.write_attempt(cut, metric_rows(cut, ENTRANTS[0], 8), [])
    few = run_row(ENTRANTS[2], 0)
    store.write_attempt(few, metric_rows(few, ENTRANTS[2], 2), [])
    most = run_row(ENTRANTS[1], 0)
    store.write_attempt(most, [row for row in metric_rows(most, ENTRANTS[1], 8) if row.scene != "scene_07"], [])
    print_leaderboard(store)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert any(line.startswith("1 prnet/mini") and " 2? 8 " in line for line in lines)
    assert any("prnet/wide" in line and " 7/8 " in line for line in lines)
    assert "prnet/mini: seed 2: cut short at step 94 of 180" in text
    assert "prnet/wide: not scored on scene_07" in text
    assert "mean_face/default: too few scenes to be ranked; not scored on scene_02" in text
    assert "fewer than three seeds: provisional" in text


def test_hostile_names_are_printed_as_they_are(tmp_path, capsys):
    store = ResultStore(str(tmp_path))
    row = run_row(ENTRANTS[0], 0, dataset="heads[/v2]", tier="[red]", method="\x1b[31mred")
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 2), [])
    print_leaderboard(store)
    text = capsys.readouterr().out
    assert "heads[/v2]" in text
    assert "tier [red]" in text
    assert "\x1b[31m" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--suite", "fac"), "did you mean 'face'?"),
        (("--tier", "qick"), "did you mean 'quick'?"),
        (("--dataset", "romms/quick"), "did you mean 'rooms'?"),
        (("--metric", "chamfr"), "did you mean 'chamfer'?"),
        (("--format", "xml"), "--help"),
        (("suite=face",), "the only key accepted here is results=URI"),
        (("results=",), "the only key accepted here is results=URI"),
        (("results=/no/such/folder",), "there is no folder"),
        (("results=nonsense://bucket",), "results=nonsense"),
        (("--nonsense",), "--help"),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_do(run, arguments, words):
    error = run(*arguments, code=2).err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [(), ("--suite", "face"), ("--all-metrics",), ("--metric", "chamfer")])
def test_an_empty_store_says_what_to_run(tmp_path, capsys, arguments):
    assert main(["leaderboard", f"results={tmp_path}", *arguments]) == 0
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    assert "deep3dmap benchmark suite=" in text


def test_an_empty_store_is_an_empty_object(tmp_path, capsys):
    assert main(["leaderboard", f"results={tmp_path}", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"suites": {}}


def test_a_damaged_file_is_named_in_one_line_and_the_rest_is_shown(tmp_path, capsys):
    store = build_store(tmp_path, seeds=2, scenes=2)
    file = sorted(Path(store.uri, "tables", "metrics").glob("*.parquet"))[0]
    file.write_bytes(b"junk")
    assert main(["leaderboard", f"results={store.uri}"]) == 0
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert f"{file.name} is damaged and left out" in shown.err
    assert "prnet" in shown.out


def test_it_runs_as_a_command_without_torch_and_ray(store):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-X", "importtime", "-m", "deep3dmap.cli", "leaderboard", f"results={store.uri}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "prnet/wide" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pandas" in imported
    assert not imported & {"torch", "ray"}


def test_a_long_reading_says_what_would_help(run, monkeypatch):
    assert not run().err
    monkeypatch.setattr("deep3dmap.results.compact.WORTH_COMPACTING", 5)
    read = run("--format", "csv")
    (line,) = read.err.splitlines()
    assert "files of single attempts" in line
    assert "deep3dmap results compact results=" in line
    assert read.out.startswith("suite,")


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["leaderboard", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for words in ("results=", "--format", "deep3dmap leaderboard --suite face --all-metrics"):
        assert words in text


def test_help_loads_no_tables():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-X", "importtime", "-m", "deep3dmap.cli", "leaderboard", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"pandas", "pyarrow", "scipy", "rich", "torch", "ray"}
