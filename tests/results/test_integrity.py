"""Bit rot, hostile files and links are reported and skipped, and everything else is shown."""

import os
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stores import ENTRANTS, build_store, curve_rows, metric_rows, run_row, write_pictures, write_run

from deep3dmap.core.errors import UserError
from deep3dmap.results import schema
from deep3dmap.results.compact import compact
from deep3dmap.results.digest import table_digest
from deep3dmap.results.leaderboard import leaderboard
from deep3dmap.results.parquet_files import decode, encode
from deep3dmap.results.schema import MetricRow
from deep3dmap.results.storage import Storage
from deep3dmap.results.store import ResultStore
from deep3dmap.results.verify import set_aside, verify

PRNET, FUSION = ENTRANTS[0], ENTRANTS[3]


@pytest.fixture
def store(tmp_path):
    store = ResultStore(str(tmp_path / "results"))
    for seed in range(2):
        write_run(store, PRNET, seed, 3)
    return store


def file_of(store, table, number=0):
    return sorted(Path(store.uri, "tables", table).glob("*.parquet"))[number]


def kinds(store):
    return [problem.kind for problem in verify(ResultStore(store.uri))]


# -- bits -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["metrics", "runs", "curves"])
def test_no_flipped_bit_changes_what_is_read(table):
    """Regression: undetected bit flips turned `f_score_5cm` into `f_sgore_5cm` and a value of 1.01 into 1.14."""
    run = run_row(PRNET, 0)
    rows = {"metrics": metric_rows(run, PRNET, 3), "runs": [run], "curves": curve_rows(run, 5)}[table]
    written = schema.to_table(rows, schema.TABLES[table])
    data = encode(written)
    noticed = 0
    for place in range(0, len(data), 3 if table == "metrics" else 11):
        flipped = bytearray(data)
        flipped[place] ^= 1 << (place % 8)
        try:
            read = decode(bytes(flipped)).table
        except (pa.ArrowException, OSError, ValueError, KeyError):
            noticed += 1
            continue
        assert read.equals(written), f"byte {place} changed what is read"
    assert noticed > 0


def test_a_flipped_bit_in_a_column_name_stops_no_board(store):
    file = file_of(store, "metrics")
    file.write_bytes(file.read_bytes().replace(b"metric", b"metryc"))
    with pytest.warns(UserWarning, match=f"{file.name} is damaged and left out"):
        rows = leaderboard(ResultStore(store.uri))
    assert rows
    assert kinds(store)[0] == "damaged"


def test_digest_follows_the_values_not_the_layout():
    run = run_row(PRNET, 0)
    table = schema.to_table(metric_rows(run, PRNET, 4), MetricRow)
    pieces = pa.concat_tables([table.slice(0, 3), table.slice(3)])
    assert table_digest(pieces) == table_digest(table)
    assert table_digest(table.slice(0, 3)) != table_digest(table.slice(1, 3))
    assert table_digest(table.rename_columns([*table.column_names[:-1], "other"])) != table_digest(table)
    changed = metric_rows(run, PRNET, 4)
    changed[2] = replace(changed[2], value=changed[2].value + 1e-15)
    assert table_digest(schema.to_table(changed, MetricRow)) != table_digest(table)


def test_digest_tells_texts_apart_that_join_to_the_same():
    one, other = (pa.table({"a": values}) for values in (["ab", "c"], ["a", "bc"]))
    assert table_digest(one) != table_digest(other)
    assert table_digest(pa.table({"a": [["x"], []]})) != table_digest(pa.table({"a": [[], ["x"]]}))
    assert table_digest(pa.table({"a": ["", None]})) != table_digest(pa.table({"a": [None, ""]}))


# -- verify ---------------------------------------------------------------------------------------------------------------


def test_a_store_as_it_was_written_has_no_problems(store):
    assert verify(store) == []


@pytest.mark.parametrize("meanwhile", [compact, lambda store: write_run(store, PRNET, 7, 3)])
def test_what_others_do_while_it_reads_is_no_problem(store, monkeypatch, meanwhile):
    read, reads = Storage.read, []

    def slow(self, name):
        reads.append(name)
        if len(reads) == 2:
            meanwhile(ResultStore(store.uri))
        return read(self, name)

    monkeypatch.setattr(Storage, "read", slow)
    assert verify(store) == []


def test_every_file_is_read_once(store, monkeypatch):
    read, reads = Storage.read, []
    monkeypatch.setattr(Storage, "read", lambda self, name: reads.append(name) or read(self, name))
    assert verify(store) == []
    assert len(reads) == len(set(reads)) > 6


def test_an_edited_row_is_found_although_its_file_is_whole(store):
    file = file_of(store, "metrics")
    table = pq.read_table(file)
    values = table["value"].to_pylist()
    file.write_bytes(encode(table.set_column(table.column_names.index("value"), "value", [[0.1, *values[1:]]])))
    (problem,) = verify(store)
    assert (problem.kind, problem.where) == ("edited", file.stem)


def test_metrics_of_another_attempt_are_found(store):
    one, other = file_of(store, "metrics", 0), file_of(store, "metrics", 1)
    one.write_bytes(other.read_bytes())
    assert "missing" in kinds(store)


@pytest.mark.parametrize(
    ("change", "kind"), [(lambda file: file.unlink(), "missing"), (lambda file: file.write_bytes(b"x"), "changed")]
)
def test_artifacts_are_checked(store, change, kind):
    picture = sorted(Path(store.uri, "artifacts").rglob("*.png"))[0]
    change(picture)
    (problem,) = verify(store)
    assert (problem.kind, problem.where) == (kind, picture.relative_to(store.uri).as_posix())


def test_missing_metrics_are_found(store):
    file_of(store, "metrics").unlink()
    assert kinds(store) == ["missing"]


def test_an_attempt_that_is_there_twice_and_differs_is_found(store):
    file = file_of(store, "runs")
    table = pq.read_table(file)
    other = table.set_column(table.column_names.index("train_s"), "train_s", [[1.0]])
    file.with_name(f"{file.stem} (copy).parquet").write_bytes(encode(other))
    assert "doubled" in kinds(store)


def test_damaged_files_are_set_aside_and_the_rest_is_shown(store):
    file = file_of(store, "runs")
    data = file.read_bytes()
    file.write_bytes(data[:-9])
    assert set_aside(store, verify(store)) == [f"damaged/tables/runs/{file.name}"]
    assert Path(store.uri, "damaged", "tables", "runs", file.name).read_bytes() == data[:-9]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(ResultStore(store.uri).runs()) == 1
    assert verify(store) == []


# -- what leads out of the store ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run_id", ["../../elsewhere", "a/b", "", ".hidden", "a\nb", "x" * 200])
def test_ids_that_are_no_ids_are_refused(store, run_id):
    for call in (
        lambda: store.next_attempt(run_id),
        lambda: store.artifacts_path(run_id, 1),
        lambda: store.write_trial_state(run_id, "running"),
        lambda: store.write_attempt(replace(run_row(PRNET, 0), run_id=run_id), [], []),
    ):
        with pytest.raises(UserError, match="is not a valid run id"):
            call()


def test_a_row_with_a_path_for_an_id_is_left_out(store):
    """Regression: a row with run_id ../../elsewhere showed pictures from outside the store."""
    table = schema.to_table([replace(run_row(PRNET, 5), run_id="../../elsewhere")], schema.RunRow)
    Path(store.uri, "tables", "runs", "hostile-1.parquet").write_bytes(encode(table))
    with pytest.warns(UserWarning, match=r"hostile-1.parquet is damaged and left out: '../../elsewhere' is not a valid run id"):
        assert len(ResultStore(store.uri).runs()) == 2


def test_links_out_of_the_store_are_not_followed(tmp_path, store):
    secret = tmp_path / "secret"
    write_pictures(secret, 1, 0)
    run = store.runs().iloc[0]
    folder = Path(store.artifacts_path(run.run_id, run.attempt))
    before = store.artifacts(run.run_id, run.attempt, ".png")
    (folder / "elsewhere").symlink_to(secret)
    (folder / "scene_00" / "link.png").symlink_to(secret / "scene_00" / "error.png")
    assert store.artifacts(run.run_id, run.attempt, ".png") == before
    with pytest.raises(UserError, match="leads out of the store"):
        store.storage.read(f"artifacts/{run.run_id}/{run.attempt}/scene_00/link.png")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd"])
def test_paths_stay_within_the_store(tmp_path, name):
    storage = Storage(str(tmp_path))
    for call in (lambda: storage.read(name), lambda: storage.write(name, b""), lambda: storage.remove(name)):
        with pytest.raises(UserError, match="not within the store"):
            call()


# -- killed writers -------------------------------------------------------------------------------------------------------


def test_what_killed_writers_left_is_swept_when_it_is_old(store):
    folder = Path(store.uri, "tables", "runs")
    (folder / ".a-1.parquet.0a1b2c3d").write_bytes(b"half")
    (folder / ".keep").write_bytes(b"somebody's")
    assert store.storage.sweep("tables") == 0
    assert store.storage.sweep("tables", older_than_s=-1) == 1
    assert (folder / ".keep").exists()


def test_who_works_in_a_store_sweeps_it(store):
    """Regression: 113 temporary files were left after 228 kills, and nothing removed them."""
    old = time.time() - 2 * 24 * 3600
    left = [Path(store.uri, place, ".a-1.0a1b2c3d") for place in ("tables/runs", "tables/metrics", "leases", "artifacts/a/1")]
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half")
        os.utime(file, (old, old))
    with store.lease(["0123456789abcdef"]):
        assert [file.exists() for file in left] == [False, False, False, True]
    compact(store)
    assert not left[3].exists()


def test_a_wrong_clock_sweeps_nothing_that_is_being_written(store, monkeypatch):
    young = Path(store.uri, "tables/runs/.a-1.parquet.0a1b2c3d")
    young.write_bytes(b"half")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 30 * 24 * 3600)
    assert store.storage.sweep("tables") == 0
    assert young.exists()


def test_a_built_store_is_whole(tmp_path):
    assert verify(build_store(tmp_path, seeds=2, scenes=2)) == []
