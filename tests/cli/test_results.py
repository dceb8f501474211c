import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from stores import ENTRANTS, build_store, run_row

from deep3dmap.cli import main
from deep3dmap.results.store import ResultStore


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return build_store(tmp_path_factory.mktemp("store"), seeds=2, scenes=5)


@pytest.fixture
def run(store, capsys):
    def call(*arguments, code=0, results=store.uri):
        assert main(["results", *arguments, f"results={results}"]) == code
        return capsys.readouterr()

    return call


def run_of(store, method, status="ok"):
    runs = store.runs()
    return runs[(runs.method == method) & (runs.status == status)].iloc[0]


# -- ls -------------------------------------------------------------------------------------------------------------------


def test_ls_lists_every_run_newest_first(run, store):
    lines = run("ls").out.splitlines()
    assert lines[0].split()[:4] == ["run", "suite", "tier", "method"]
    assert len(lines) == 1 + len(store.runs())
    assert max(map(len, lines)) <= 100
    assert lines[1].startswith(store.runs().run_id.iloc[0][:8])


def test_ls_of_one_suite(run):
    text = run("ls", "--suite", "indoor").out
    assert "tsdf_fusion" in text
    assert "prnet" not in text


def test_ls_as_json_unfolds_the_configuration(run, store):
    read = json.loads(run("ls", "--json").out)
    assert len(read) == len(store.runs())
    assert read[0]["config"]["trainer"]["engine"] == "auto"
    assert read[0]["started_at"].startswith("2026-01-0")


def test_ls_of_an_empty_store(run, tmp_path):
    assert "deep3dmap benchmark" in run("ls", results=tmp_path).out
    assert json.loads(run("ls", "--json", results=tmp_path).out) == []


# -- show -----------------------------------------------------------------------------------------------------------------


def test_show_by_the_start_of_an_id(run, store):
    row = run_of(store, "prnet")
    text = run("show", row.run_id[:8]).out
    assert row.run_id in text
    assert "scene_04" in text
    assert "(whole run)" in text
    pictures = [line for line in text.splitlines() if line.endswith(".png")]
    assert len(pictures) == 4
    assert all(Path(name).is_file() for name in pictures)


def test_show_of_a_failed_run_has_its_error(run, store):
    text = run("show", run_of(store, "broken_net", "failed").run_id).out
    assert "RuntimeError: shapes do not match: 3 and 4" in text
    assert "failed" in text


def test_show_as_json(run, store):
    detail = json.loads(run("show", run_of(store, "tsdf_fusion").run_id, "--json").out)
    assert set(detail) == {"facts", "config", "error", "metrics", "units", "pictures"}
    assert set(detail["metrics"]["scene_00"]) == {"f_score_5cm", "chamfer"}


def test_an_unknown_id_names_the_nearest(run, store):
    run_id = run_of(store, "prnet").run_id
    wrong = run_id[:-1] + ("0" if run_id[-1] != "0" else "1")
    assert f"did you mean '{run_id}'?" in run("show", wrong, code=2).err
    assert "results ls` lists them" in run("show", "zz", code=2).err


def test_the_start_of_several_ids_is_refused(run, tmp_path, monkeypatch):
    build_store(tmp_path, seeds=20, scenes=1)
    ids = sorted(path.name for path in (tmp_path / "artifacts").iterdir())
    shared = next(one[0] for one, other in pairwise(ids) if one[0] == other[0])
    assert "give a longer prefix" in run("show", shared, code=2, results=tmp_path).err


# -- export ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet), ("json", lambda file: pd.read_json(file))]
)
def test_export_joins_runs_and_metrics(run, store, tmp_path, ending, read):
    file = tmp_path / f"table.{ending}"
    assert f"{len(store.runs())} runs in" in run("export", str(file)).err
    table = read(file)
    assert len(table) == len(store.metrics()) + 2
    value = table[(table.metric == "chamfer") & (table.method == "tsdf_fusion")].value
    assert value.mean() == pytest.approx(0.021, rel=0.1)


def test_export_of_one_suite(run, tmp_path):
    run("export", str(tmp_path / "t.csv"), "--suite", "indoor")
    assert set(pd.read_csv(tmp_path / "t.csv").suite) == {"indoor"}


@pytest.mark.parametrize(
    ("name", "words"),
    [("table.txt", ".csv, .json, .parquet, .tex, .html"), ("no/such/folder/t.csv", "cannot write"), ("", "needs a FILE")],
)
def test_export_to_an_impossible_file(run, tmp_path, name, words):
    error = run("export", *([str(tmp_path / name)] if name else []), code=2).err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["t.csv", "t.json", "t.parquet", "t.tex", "t.html"])
def test_nothing_is_exported_of_an_empty_store_and_it_says_so(run, tmp_path, name):
    (tmp_path / "store").mkdir()
    error = run("export", str(tmp_path / name), code=2, results=tmp_path / "store").err
    assert "contains no benchmark results" in error
    assert f"deep3dmap benchmark suite=face tier=smoke results={tmp_path / 'store'}" in error
    assert error.count("\n") == 1
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["t.tex", "t.html"])
def test_no_leaderboard_is_exported_of_training_alone(run, tmp_path, name):
    store = ResultStore(str(tmp_path / "store"))
    store.write_attempt(run_row(ENTRANTS[0], 0, suite="", tier=""), [], [])
    assert "contains no benchmark results" in run("export", str(tmp_path / name), code=2, results=store.uri).err
    run("export", str(tmp_path / "t.csv"), results=store.uri)
    assert len(pd.read_csv(tmp_path / "t.csv")) == 1


# -- verify and mistakes ----------------------------------------------------------------------------------------------------


def test_verify_of_a_whole_store(run):
    assert "all files are intact" in run("verify", "--quick").out
    assert json.loads(run("verify", "--quick", "--json").out) == {"problems": [], "set_aside": [], "unchecked": {}}


def test_verify_names_what_is_not_as_it_was_and_sets_damaged_files_aside(run, tmp_path):
    store = build_store(tmp_path, seeds=1, scenes=1)
    file = sorted(Path(store.uri, "tables", "runs").glob("*.parquet"))[0]
    file.write_bytes(b"junk")
    picture = sorted(Path(store.uri, "artifacts").rglob("*.png"))[-1]
    picture.write_bytes(b"edited")
    text = run("verify", "--quick", code=1, results=tmp_path).out
    assert f"damaged  tables/runs/{file.name}" in text
    assert f"changed  {picture.relative_to(tmp_path)}" in text
    assert "--resume" in text
    found = json.loads(run("verify", "--quick", "--json", code=1, results=tmp_path).out)["problems"]
    assert {one["kind"] for one in found} == {"damaged", "changed"}
    run("verify", "--quick", "--set-aside", code=1, results=tmp_path)
    assert not file.exists()
    assert (tmp_path / "damaged" / "tables" / "runs" / file.name).read_bytes() == b"junk"


# -- merge and compact ------------------------------------------------------------------------------------------------------


def test_merge_says_what_is_new(run, tmp_path):
    mine, theirs = build_store(tmp_path / "mine", seeds=1, scenes=1), build_store(tmp_path / "theirs", seeds=2, scenes=1)
    text = run("merge", theirs.uri, results=mine.uri).out
    assert "0 conflicts" in text
    assert len(ResultStore(mine.uri).runs()) == len(theirs.runs())
    assert json.loads(run("merge", theirs.uri, "--json", results=mine.uri).out)["new"] == 0
    assert "there is no folder" in run("merge", str(tmp_path / "nothing"), code=2, results=mine.uri).err


def test_merge_names_conflicts(run, tmp_path):
    mine = build_store(tmp_path / "mine", seeds=1, scenes=1)
    shutil.copytree(mine.uri, tmp_path / "theirs")
    picture = sorted((tmp_path / "theirs" / "artifacts").rglob("*.png"))[0]
    picture.write_bytes(b"other")
    theirs = ResultStore(str(tmp_path / "theirs"))
    row = theirs.runs()[lambda frame: frame.status == "ok"].iloc[0]
    theirs.write_attempt(replace(run_row(ENTRANTS[0], 0), run_id=row.run_id, attempt=int(row.attempt)), [], [])
    assert f"conflict: attempt {row.run_id}-{row.attempt} differs" in run("merge", theirs.uri, code=1, results=mine.uri).out


def test_compact_joins_files(run, tmp_path):
    store = build_store(tmp_path, seeds=2, scenes=1)
    before = run("ls", results=tmp_path).out
    assert "files into" in run("compact", results=tmp_path).out
    assert run("ls", results=tmp_path).out == before
    assert len(list(Path(store.uri, "tables", "runs").iterdir())) == 1
    assert "nothing to compact" in run("compact", results=tmp_path).out


def test_the_leaderboard_is_exported_as_a_page_and_as_a_table(run, tmp_path):
    run("export", str(tmp_path / "board.html"))
    run("export", str(tmp_path / "board.tex"), "--suite", "indoor")
    assert "prnet/wide" in (tmp_path / "board.html").read_text()
    assert (tmp_path / "board.tex").read_text().count(r"\toprule") == 1


def test_no_cell_of_a_spreadsheet_is_a_formula(run, tmp_path):
    store = ResultStore(str(tmp_path / "store"))
    store.write_attempt(run_row(ENTRANTS[0], 0, method="=1+1", error="@x", status="failed"), [], [])
    run("export", str(tmp_path / "t.csv"), results=store.uri)
    (row,) = pd.read_csv(tmp_path / "t.csv").to_dict("records")
    assert (row["method"], row["error"]) == ("'=1+1", "'@x")


def test_names_cannot_speak_to_the_terminal(run, tmp_path):
    store = ResultStore(str(tmp_path))
    hostile = "\x1b[2J[/bold][red]x"
    names = {"method": hostile, "dataset": "heads[/v2]", "error": hostile, "command": hostile}
    store.write_attempt(run_row(ENTRANTS[0], 0, **names, status="failed"), [], [])
    for arguments in (("ls",), ("show", store.runs().run_id[0])):
        text = run(*arguments, results=tmp_path).out
        assert "\x1b[2J" not in text
        assert "[/bold]" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list",), "--help"),
        ((), "--help"),
        (("show",), "results ls"),
        (("ls", "--suite", "fac"), "did you mean 'face'?"),
        (("ls", "tier=quick"), "the only key accepted here is results=URI"),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_do(run, arguments, words):
    error = run(*arguments, code=2).err
    assert words in error
    assert error.count("\n") == 1


def test_a_folder_that_is_not_there(run, tmp_path):
    assert "there is no folder" in run("ls", code=2, results=tmp_path / "nothing").err


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["results", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for words in ("ls", "show RUN_ID", "export FILE", "verify", "merge OTHER", "compact", "results=", "examples:"):
        assert words in text
