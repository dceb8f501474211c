import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from stores import ENTRANTS, SUITES, build_store, curve_rows, metric_rows, run_row, write_pictures, write_run

from deep3dmap.core.errors import UserError
from deep3dmap.results import schema
from deep3dmap.results import store as store_module
from deep3dmap.results.compact import compact
from deep3dmap.results.leaderboard import leaderboard
from deep3dmap.results.schema import CurveRow, MetricRow, RunRow, arrow_schema, plain
from deep3dmap.results.store import ResultStore
from deep3dmap.results.verify import verify

PRNET, FUSION = ENTRANTS[0], ENTRANTS[3]


@pytest.fixture
def store(tmp_path):
    return ResultStore(str(tmp_path / "results"))


def write(store, run, metrics=None):
    store.write_attempt(run, metric_rows(run, PRNET, 2) if metrics is None else metrics, curve_rows(run, 5))
    return run


# -- what is written comes back -------------------------------------------------------------------------------------------


def test_every_column_comes_back_as_it_was(store):
    run = write(store, run_row(PRNET, 1))
    (row,) = store.runs().to_dict("records")
    row["inputs"] = list(row["inputs"])
    hashes = ("config_hash", "settings_hash", "content_hash")
    assert all(row.pop(name) for name in hashes)
    assert pd.isna(row.pop("verdict_at"))
    assert row == {name: value for name, value in plain(run).items() if name not in (*hashes, "verdict_at")}
    metrics = [MetricRow(**row) for row in store.metrics().to_dict("records")]
    curves = [CurveRow(**row) for row in store.curves().to_dict("records")]
    assert metrics == sorted(metric_rows(run, PRNET, 2), key=lambda row: (row.scene, row.metric))
    assert curves == curve_rows(run, 5)


def test_an_empty_store_has_empty_tables_with_all_columns(store):
    for frame, row_type in ((store.runs(), RunRow), (store.metrics(), MetricRow), (store.curves(), CurveRow)):
        assert frame.empty
        assert list(frame.columns) == [field.name for field in fields(row_type)]
    assert store.cards("suite") == {}
    assert store.trial_states().empty
    assert store.finished_ids() == set()
    assert verify(store) == []


def test_values_that_are_no_numbers_come_back(store):
    run = run_row(PRNET, 0)
    write(store, run, [MetricRow(run.run_id, 1, "a", "nme_68_2d", value, "%", "down") for value in (np.nan, np.inf)])
    values = store.metrics().value.to_numpy()
    assert np.isnan(values[0])
    assert np.isinf(values[1])


def test_a_status_has_to_be_one_of_the_list():
    with pytest.raises(ValueError, match="status"):
        run_row(PRNET, 0, status="great")


def test_the_newest_card_counts(store):
    for version, words in (("9", "old"), ("10", "new")):
        store.write_card("suite", "face", version, {"readme": words})
    assert store.cards("suite") == {"face": {"readme": "new"}}
    assert store.cards("method") == {}


def test_the_state_of_a_trial_is_the_last_one_written(store):
    store.write_trial_state("a", "running", "scored 1 of 2")
    store.write_trial_state("a", "ok")
    assert store.trial_states()[["run_id", "state"]].to_numpy().tolist() == [["a", "ok"]]


def test_pictures_are_found_in_all_folders_of_an_attempt(store):
    run = run_row(PRNET, 0)
    write_pictures(Path(store.artifacts_path(run.run_id, 1)), 2, 0)
    found = store.artifacts(run.run_id, 1, ".png")
    assert [Path(name).relative_to(store.artifacts_path(run.run_id, 1)).as_posix() for name in found] == [
        f"scene_0{scene}/{name}.png" for scene in (0, 1) for name in ("contact_sheet", "error")
    ]
    assert store.artifacts(run.run_id, 2, ".png") == []


# -- attempts ---------------------------------------------------------------------------------------------------------------


def test_attempts_are_given_once_and_in_the_order_of_time(store):
    given = [store.next_attempt("a") for _ in range(2000)]
    assert given == sorted(set(given))
    assert store.next_attempt("b") > given[-1] > 10**15


def test_processes_are_given_different_attempts(tmp_path):
    code = "import sys; from deep3dmap.results.store import ResultStore; s = ResultStore(sys.argv[1]); "
    code += "print([s.next_attempt('a') for _ in range(500)])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, str(tmp_path)]
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    given = [number for process in started for number in eval(process.communicate()[0])]
    assert len(set(given)) == 1500


def test_writers_of_one_run_lose_nothing(store):
    """Regression: attempts were counted, so two writers used the same number and their rows were mixed up."""
    run = run_row(PRNET, 0)

    def append(value):
        attempt = ResultStore(store.uri).next_attempt(run.run_id)
        row = replace(run, attempt=attempt, train_s=value)
        store.write_attempt(row, [MetricRow(run.run_id, attempt, "a", "nme_68_2d", value, "%", "down")], [])
        return attempt

    with ThreadPoolExecutor(8) as pool:
        attempts = list(pool.map(append, map(float, range(40))))
    runs = store.runs(newest_only=False)
    assert dict(zip(runs.attempt, runs.train_s)) == dict(zip(attempts, map(float, range(40))))
    metrics = store.metrics(runs)
    assert dict(zip(metrics.attempt, metrics.value)) == dict(zip(attempts, map(float, range(40))))


@pytest.mark.parametrize(
    ("statuses", "counts"), [(("ok", "failed"), 1), (("failed", "ok"), 2), (("ok", "ok"), 2), (("failed", "diverged"), 2)]
)
def test_the_newest_finished_attempt_counts(store, statuses, counts):
    for attempt, status in enumerate(statuses, 1):
        write(store, run_row(PRNET, 0, attempt=attempt, status=status))
    assert store.runs().attempt.tolist() == [counts]
    assert len(store.runs(newest_only=False)) == len(statuses)
    assert set(store.metrics().attempt) == {counts}
    assert store.finished_ids() == ({run_row(PRNET, 0).run_id} if "ok" in statuses else set())


def test_runs_are_listed_newest_first(store):
    for seed, hours in ((0, 2), (1, 5), (2, 1)):
        run = run_row(PRNET, seed)
        write(store, replace(run, started_at=run.started_at + timedelta(hours=hours)))
    assert store.runs().seed.tolist() == [1, 0, 2]


# -- crashes, full disks, damage --------------------------------------------------------------------------------------------


def test_a_run_whose_row_is_missing_is_not_read(store):
    run = write(store, run_row(PRNET, 0))
    Path(store.uri, "tables", "runs", f"{run.run_id}-1.parquet").unlink()
    assert store.runs().empty
    assert store.metrics().empty


KILLED = """
import os, signal, sys
from pathlib import Path
from stores import ENTRANTS, curve_rows, metric_rows, run_row
from deep3dmap.results import storage
from deep3dmap.results.store import ResultStore

writes, real = [0], os.fsync
def fsync(number):
    writes[0] += 1
    if writes[0] == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    real(number)
os.fsync = fsync
run = run_row(ENTRANTS[0], 0)
ResultStore(sys.argv[1]).write_attempt(run, metric_rows(run, ENTRANTS[0], 2), curve_rows(run, 5))
"""


@pytest.mark.parametrize("moment", range(1, 7))
def test_a_kill_at_any_moment_leaves_a_whole_run_or_none(tmp_path, moment):
    support = Path(__file__).parents[1] / "support"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(support), *filter(None, sys.path)])}
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(moment)]
    done = subprocess.run(command, env=environment, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    store = ResultStore(str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(store.runs()) in (0, 1)
        assert len(store.metrics()) == 5 * len(store.runs())
        assert len(store.curves()) == 5 * len(store.runs())
    assert verify(store) == []
    run = run_row(PRNET, 0, attempt=store.next_attempt(run_row(PRNET, 0).run_id))
    write(store, run)
    assert len(store.metrics()) == 5
    swept = store.storage.sweep("tables", older_than_s=-1)
    assert not list(tmp_path.rglob(".*.????????"))
    assert swept <= 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_full_disk_is_a_users_mistake_and_leaves_nothing(store, monkeypatch, code):
    def refuse(number):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UserError, match=os.strerror(code)) as caught:
        write(store, run_row(PRNET, 0))
    assert "results=" in str(caught.value)
    assert [file for file in Path(store.uri).rglob("*") if file.is_file()] == []


def damage(store, table, number=0, data=b"PAR1 junk"):
    file = sorted(Path(store.uri, "tables", table).glob("*.parquet"))[number]
    file.write_bytes(data)
    return file


@pytest.mark.parametrize("table", ["runs", "metrics", "curves", "cards", "trials"])
@pytest.mark.parametrize("data", [b"", b"junk", b"PAR1" + bytes(40) + b"PAR1"], ids=["empty", "junk", "zeros"])
def test_a_damaged_file_is_named_and_skipped(tmp_path, table, data):
    store = build_store(tmp_path, seeds=2, scenes=2)

    def read(store):
        return (
            store.cards("method")
            if table == "cards"
            else store.trial_states()
            if table == "trials"
            else getattr(store, table)()
        )

    before = len(read(store))
    file = damage(store, table, -1 if table == "cards" else 0, data)
    with pytest.warns(UserWarning, match=f"{file.name} is damaged and left out"):
        left = len(read(ResultStore(store.uri)))
    assert left <= before
    assert left > 0
    assert [problem.where for problem in verify(store) if problem.kind == "damaged"] == [f"tables/{table}/{file.name}"]


def test_a_cut_file_is_damaged(tmp_path):
    store = build_store(tmp_path, seeds=1, scenes=2)
    file = sorted(Path(store.uri, "tables", "runs").glob("*.parquet"))[0]
    damage(store, "runs", 0, file.read_bytes()[:-100])
    assert [problem.kind for problem in verify(store)].count("damaged") == 1


def test_a_run_whose_metrics_were_deleted_is_to_be_done_again(store):
    run = write(store, run_row(PRNET, 0))
    assert store.finished_ids() == {run.run_id}
    Path(store.uri, "tables", "metrics", f"{run.run_id}-1.parquet").unlink()
    assert store.finished_ids() == set()


def test_a_file_that_is_being_written_is_not_read(store):
    run = write(store, run_row(PRNET, 0))
    Path(store.uri, "tables", "runs", f".{run.run_id}-2.parquet.1a2b").write_bytes(b"half")
    Path(store.uri, "tables", "runs", f".{run.run_id}-2.parquet").write_bytes(b"half")
    assert len(store.runs(newest_only=False)) == 1
    assert verify(store) == []


def test_writing_again_replaces_no_other_attempt(store):
    first = write(store, run_row(PRNET, 0))
    before = Path(store.uri, "tables", "runs", f"{first.run_id}-1.parquet").read_bytes()
    write(store, run_row(PRNET, 0, attempt=2))
    assert Path(store.uri, "tables", "runs", f"{first.run_id}-1.parquet").read_bytes() == before


# -- two stores, many runs ------------------------------------------------------------------------------------------------


def test_copying_unites_two_stores(tmp_path):
    mine, theirs = ResultStore(str(tmp_path / "mine")), ResultStore(str(tmp_path / "theirs"))
    for store, seeds in ((mine, (0, 1)), (theirs, (1, 2))):
        for seed in seeds:
            write_run(store, PRNET, seed, 3)
    shutil.copytree(theirs.uri, mine.uri, dirs_exist_ok=True)
    united = mine.runs()
    assert sorted(united.seed) == [0, 1, 2]
    # Includes both attempts at the run that both stores have.
    assert len(mine.runs(newest_only=False)) == 4
    assert len(mine.metrics()) == 3 * 7


def test_a_thousand_runs_are_read(store, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda number: None)
    run = run_row(PRNET, 0)
    for number in range(1000):
        numbered = replace(run, run_id=f"{number:016x}")
        store.write_attempt(numbered, metric_rows(numbered, PRNET, 4), [])
    assert len(store.runs()) == 1000
    assert len(store.metrics()) == 9000
    assert len(store.finished_ids()) == 1000


def test_only_what_is_new_is_read(store, monkeypatch):
    """Regression: after adding one run to a store of a thousand, a reader read all of them again."""
    for seed in range(6):
        write(store, run_row(PRNET, seed))
    reader, read = ResultStore(store.uri), []
    real = reader.storage.read
    monkeypatch.setattr(reader.storage, "read", lambda name: read.append(name) or real(name))
    monkeypatch.setattr(store_module, "MANY_RUNS", 2)
    assert len(leaderboard(reader)) > 0
    assert len(read) == 12
    read.clear()
    assert len(leaderboard(reader)) > 0
    assert read == []
    new = write(store, run_row(PRNET, 6))
    assert leaderboard(reader)[0].seeds == 7
    assert read == [f"tables/{table}/{new.run_id}-1.parquet" for table in ("runs", "metrics")]


def test_one_attempt_is_read_alone(store, monkeypatch):
    runs = [write(store, run_row(PRNET, seed)) for seed in range(3)]
    reader, read = ResultStore(store.uri), []
    real = reader.storage.read
    monkeypatch.setattr(reader.storage, "read", lambda name: read.append(name) or real(name))
    assert reader.attempt(runs[1].run_id, 1).seed.tolist() == [1]
    assert reader.attempt(runs[1].run_id, 2).empty
    # A missing attempt is also looked up by its file name.
    assert read == [f"tables/runs/{runs[1].run_id}-{attempt}.parquet" for attempt in (1, 2)]
    compact(store)
    assert ResultStore(store.uri).attempt(runs[2].run_id, 1).seed.tolist() == [2]


def test_a_store_is_sent_to_another_process(store):
    run = write(store, run_row(PRNET, 0))
    assert store.runs().run_id.tolist() == [run.run_id]
    assert pickle.loads(pickle.dumps(store)).runs().run_id.tolist() == [run.run_id]


# -- versions of the tables, places ---------------------------------------------------------------------------------------


def test_tables_of_a_newer_version_ask_for_an_update(store):
    write(store, run_row(PRNET, 0, schema_version=schema.SCHEMA_VERSION + 1))
    with pytest.raises(UserError, match="update deep3dmap"):
        store.runs()


ADDED = {
    "runs": (
        *("scene", "cut_short", "fit_s", "render_fps", "reproduces", "verdict", "verdict_at", "settings_hash", "content_hash"),
    ),
    "curves": ("scene",),
    "metrics": (),
}


def write_first_version(folder, run, metrics, curves):
    """Write an attempt in the format of the first version of the tables."""
    for name, rows in (("metrics", metrics), ("curves", curves), ("runs", [run])):
        table = schema.to_table(rows, schema.TABLES[name]).drop_columns(list(ADDED[name]))
        place = table.column_names.index("schema_version")
        table = table.set_column(place, "schema_version", [[1] * table.num_rows])
        (folder / "tables" / name).mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / "tables" / name / f"{run.run_id}-{run.attempt}.parquet")


def test_a_store_of_the_first_version_opens(tmp_path):
    old, new = run_row(PRNET, 0), run_row(PRNET, 1)
    write_first_version(tmp_path, old, metric_rows(old, PRNET, 2), curve_rows(old, 5))
    store = ResultStore(str(tmp_path))
    write(store, new)
    assert sorted(store.runs().seed) == [0, 1]
    by_seed = store.runs().set_index("seed")
    assert by_seed.settings_hash[0] == by_seed.settings_hash[1]
    assert (by_seed.scene[0], by_seed.cut_short[0], by_seed.fit_s[0], by_seed.reproduces[0]) == ("", "", 0.0, 0)
    assert pd.isna(by_seed.verdict_at[0])
    assert len(store.metrics()) == 10
    assert set(store.curves().scene) == {""}
    assert verify(store) == []
    assert {row.seeds for row in leaderboard(store)} == {2}


@pytest.mark.parametrize("change", [{"status": "grand"}, {"config": "{"}, {"run_id": "../../elsewhere"}])
def test_what_no_writer_writes_is_damage_in_an_old_file_too(tmp_path, change):
    run = run_row(PRNET, 0)
    table = schema.to_table([run], RunRow).drop_columns(list(ADDED["runs"]))
    table = table.set_column(table.column_names.index("schema_version"), "schema_version", [[1]])
    for name, value in change.items():
        table = table.set_column(table.column_names.index(name), name, [[value]])
    (tmp_path / "tables" / "runs").mkdir(parents=True)
    pq.write_table(table, tmp_path / "tables" / "runs" / f"{run.run_id}-1.parquet")
    store = ResultStore(str(tmp_path))
    write(store, run_row(PRNET, 1))
    with pytest.warns(UserWarning, match="is damaged and left out"):
        assert store.runs().seed.tolist() == [1]


def test_parquet_files_have_the_documented_columns(store):
    run = run_row(PRNET, 0)
    run = replace(run, artifacts_uri=store.artifacts_path(run.run_id, 1))
    write_pictures(Path(run.artifacts_uri), 1, 0)
    write(store, run)
    for name, row_type in schema.TABLES.items():
        read = pq.read_table(Path(store.uri, "tables", name, f"{run.run_id}-1.parquet"))
        assert read.schema.equals(arrow_schema(row_type), check_metadata=False)


def test_times_are_in_utc(store):
    write(store, run_row(PRNET, 0))
    assert str(store.runs().started_at.dt.tz) == "UTC"


def test_a_store_may_be_named_by_a_uri(tmp_path, store):
    write(store, run_row(PRNET, 0))
    assert len(ResultStore(f"file://{store.uri}").runs()) == 1


def test_a_store_need_not_be_a_folder():
    store = ResultStore("mock:///bucket/results")
    for name in schema.TABLES:
        store.storage.filesystem.create_dir(store.storage.path(f"tables/{name}"))
    run = write(store, run_row(PRNET, 0))
    assert store.storage.local is None
    assert store.runs().run_id.tolist() == [run.run_id]
    assert len(store.metrics()) == 5
    assert store.artifacts(run.run_id, 1, ".png") == []


def test_copies_made_by_hand_do_not_count_as_attempts(store):
    run = write(store, run_row(PRNET, 0))
    folder = Path(store.uri, "tables", "runs")
    shutil.copy(folder / f"{run.run_id}-1.parquet", folder / f"{run.run_id}-1 (copy).parquet")
    assert len(store.runs(newest_only=False)) == 1


@pytest.mark.parametrize("uri", ["nonsense://bucket/results", "s3:/"])
def test_an_impossible_uri_is_a_users_mistake_or_a_folder(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "://" in uri:
        with pytest.raises(UserError, match="results=nonsense"):
            ResultStore(uri)
    else:
        assert ResultStore(uri).runs().empty


def test_nothing_is_imported_that_takes_long():
    code = "import sys; import deep3dmap.results.store, deep3dmap.results.leaderboard, deep3dmap.results.export; "
    code += "print([name for name in ('torch', 'ray', 'scipy.stats') if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_made_up_store_is_the_same_every_time(tmp_path):
    one, other = (build_store(tmp_path / name, seeds=2, scenes=2) for name in ("one", "other"))
    columns = ["run_id", "scene", "metric"]
    metrics = [store.metrics().drop(columns="attempt").sort_values(columns, ignore_index=True) for store in (one, other)]
    pd.testing.assert_frame_equal(*metrics)
    assert set(one.cards("suite")) == set(SUITES)
    assert FUSION.name in set(one.runs().method)


def test_cards_that_are_the_same_are_not_read_again(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        store.write_card("method", name, "1", {"title": name})
    files = sorted(Path(store.uri, "tables/cards").iterdir())
    for file in files:
        os.utime(file, ns=(10**18, 10**18))
    read: list[str] = []
    whole = store.storage.read
    monkeypatch.setattr(store.storage, "read", lambda name: read.append(name) or whole(name))
    assert set(store.cards("method")) == {"a", "b"}
    assert len(read) == 2
    assert store.cards("suite") == {}
    assert len(read) == 2
    store.write_card("method", "b", "1", {"title": "new"})
    assert store.cards("method") == {"a": {"title": "a"}, "b": {"title": "new"}}
    assert read[2:] == [f"tables/cards/{files[1].name}"]
    # A file written a moment ago may change again within one tick of the clock, so it is read again.
    store.cards("method")
    assert len(read) == 4
    files[0].unlink()
    assert set(store.cards("method")) == {"b"}
