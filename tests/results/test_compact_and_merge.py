import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from stores import ENTRANTS, build_store, curve_rows, metric_rows, run_row, write_run

from deep3dmap.core.errors import UserError
from deep3dmap.results import table_files
from deep3dmap.results.compact import compact
from deep3dmap.results.detail import run_detail
from deep3dmap.results.leaderboard import leaderboard
from deep3dmap.results.merge import merge
from deep3dmap.results.store import ResultStore
from deep3dmap.results.verify import verify

PRNET, FUSION = ENTRANTS[0], ENTRANTS[3]


@pytest.fixture
def store(tmp_path):
    return build_store(tmp_path / "mine", seeds=2, scenes=3)


def fresh(store):
    return ResultStore(store.uri)


def files(store, table="runs"):
    return sorted(file.name for file in Path(store.uri, "tables", table).glob("*.parquet"))


def in_order(frame):
    return frame.sort_values(list(frame.columns[:4]), ignore_index=True)


# -- compact --------------------------------------------------------------------------------------------------------------


def test_compacting_changes_nothing_that_is_read(store):
    before = {name: in_order(getattr(fresh(store), name)()) for name in ("metrics", "curves")}
    rows, ids = leaderboard(fresh(store), metric="all"), fresh(store).finished_ids()
    runs = fresh(store).runs(newest_only=False)
    done = compact(store)
    assert (len(files(store)), len(files(store, "metrics")), len(files(store, "curves"))) == (1, 1, 1)
    assert done.files > 30
    for name, frame in before.items():
        pd.testing.assert_frame_equal(in_order(getattr(fresh(store), name)()), frame)
    assert leaderboard(fresh(store), metric="all") == rows
    assert fresh(store).finished_ids() == ids
    pd.testing.assert_frame_equal(in_order(fresh(store).runs(newest_only=False)), in_order(runs))
    assert verify(store) == []
    assert len(run_detail(fresh(store), runs.run_id.iloc[0])["facts"]) > 20


def test_a_reader_that_was_there_before_goes_on(store):
    rows = leaderboard(store)
    compact(fresh(store))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert leaderboard(store) == rows


def test_what_comes_later_is_read_beside_segments_and_compacted_again(store):
    compact(store)
    run = write_run(store, PRNET, 9, 3)
    assert run.run_id in set(fresh(store).runs().run_id)
    assert len(fresh(store).metrics(store.runs()[lambda frame: frame.run_id == run.run_id])) == 7
    write_run(store, PRNET, 10, 3)
    compact(store)
    assert len(files(store)) == 2
    assert {9, 10} <= set(fresh(store).runs().seed)
    assert verify(store) == []


def test_a_compaction_that_was_killed_before_removing_shows_nothing_twice(store, monkeypatch):
    expected = in_order(fresh(store).metrics())
    monkeypatch.setattr(store.storage, "remove", lambda name: None)
    compact(store)
    assert len(files(store)) > 10
    pd.testing.assert_frame_equal(in_order(fresh(store).metrics()), expected)
    assert verify(store) == []


def test_a_damaged_attempt_stays_as_it_is(store):
    file = Path(store.uri, "tables", "metrics", files(store, "metrics")[0])
    file.write_bytes(file.read_bytes()[:-20])
    done = compact(store)
    assert done.damaged == (f"tables/metrics/{file.name}",)
    assert file.name in files(store, "metrics")
    assert file.name in files(store)
    assert [problem.where for problem in verify(store) if problem.kind == "damaged"] == [f"tables/metrics/{file.name}"]


def test_a_damaged_segment_is_named(store):
    compact(store)
    (name,) = files(store, "metrics")
    file = Path(store.uri, "tables", "metrics", name)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(bytes(data))
    with pytest.warns(UserWarning, match=f"{name} is damaged and left out: its content does not match its name"):
        assert fresh(store).metrics().empty
    with pytest.warns(UserWarning, match="damaged"):
        assert fresh(store).finished_ids() == set()


def test_a_run_without_its_metrics_is_not_finished_by_compacting(store):
    lost = files(store, "metrics")[0]
    Path(store.uri, "tables", "metrics", lost).unlink()
    before = fresh(store).finished_ids()
    compact(fresh(store))
    assert fresh(store).finished_ids() == before
    assert lost.rpartition("-")[0] not in before


def test_an_attempt_compacted_while_it_is_read_is_read_from_its_segment(store, monkeypatch):
    run = fresh(store).runs().iloc[[0]]
    expected, late = fresh(store).metrics(run), fresh(store)
    read = late.storage.read

    def compacted_before(name):
        monkeypatch.setattr(late.storage, "read", read)
        compact(fresh(store))
        return read(name)

    monkeypatch.setattr(late.storage, "read", compacted_before)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pd.testing.assert_frame_equal(in_order(late.metrics(run)), in_order(expected))
    assert late.storage.read is read


def test_of_segments_only_those_with_the_rows_are_decoded(store, monkeypatch):
    monkeypatch.setattr("deep3dmap.results.compact.ATTEMPTS_OF_SEGMENT", 2)
    first, last = fresh(store).runs().iloc[[0]], fresh(store).runs().iloc[[-1]]
    expected = [fresh(store).metrics(run) for run in (first, last)]
    compact(store)
    assert len(files(store, "metrics")) > 2
    decoded, decode = [], table_files.decode_table
    monkeypatch.setattr(table_files, "decode_table", lambda *args: decoded.append(args[2]) or decode(*args))
    reader = fresh(store)
    for run, rows in zip((first, last), expected):
        pd.testing.assert_frame_equal(in_order(reader.metrics(run)), in_order(rows))
    assert len(decoded) == 2


def test_a_damaged_segment_is_named_to_who_reads_one_run(store):
    compact(store)
    (name,) = files(store, "metrics")
    run = fresh(store).runs().iloc[[0]]
    file = Path(store.uri, "tables", "metrics", name)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(bytes(data))
    with pytest.warns(UserWarning, match=f"{name} is damaged and left out: its content does not match its name"):
        assert fresh(store).metrics(run).empty


def test_a_table_that_cannot_be_read_in_peace_is_no_empty_table(store, monkeypatch):
    def gone(name):
        raise FileNotFoundError(name)

    late = fresh(store)
    monkeypatch.setattr(late.storage, "read", gone)
    with pytest.raises(UserError, match="its files kept changing while they were being read; try again"):
        late.runs()


def test_few_files_are_left_alone(store):
    before = files(store)
    assert compact(store, min_files=1000).files == 0
    assert files(store) == before


def test_two_compactions_do_not_meet(store):
    with store.lease(["compact"]):
        done = compact(fresh(store))
    assert done.refused
    assert len(files(store)) > 10


# -- merge ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def other(tmp_path):
    other = ResultStore(str(tmp_path / "theirs"))
    for seed in (1, 2):
        write_run(other, PRNET, seed, 3)
    other.write_card("suite", "other", "1", {"readme": "theirs"})
    return other


def test_merging_is_the_union_of_both(store, other):
    before = len(store.runs(newest_only=False))
    done = merge(store, other)
    assert (done.new, done.known, done.conflicts, done.renumbered) == (2, 0, [], {})
    assert len(fresh(store).runs(newest_only=False)) == before + 2
    assert set(other.runs().attempt) <= set(fresh(store).runs(newest_only=False).attempt)
    run = other.runs().iloc[0]
    assert len(fresh(store).artifacts(run.run_id, run.attempt, ".png")) == 4
    assert "other" in fresh(store).cards("suite")
    assert verify(store) == []


def test_merging_again_changes_nothing(store, other):
    merge(store, other)
    names = {table: files(store, table) for table in ("runs", "metrics", "curves", "files")}
    done = merge(store, other)
    assert (done.new, done.known, done.files, done.conflicts) == (0, 2, 0, [])
    assert {table: files(store, table) for table in names} == names


def test_a_merge_that_was_killed_is_completed_by_the_next(store, other, monkeypatch):
    write = store.storage.write

    def killed(name, data):
        if name.startswith("artifacts/"):
            raise OSError("killed")
        write(name, data)

    monkeypatch.setattr(store.storage, "write", killed)
    with pytest.raises(OSError, match="killed"):
        merge(store, other)
    monkeypatch.setattr(store.storage, "write", write)
    assert merge(fresh(store), other).new == 2
    run = other.runs().iloc[0]
    assert len(fresh(store).artifacts(run.run_id, run.attempt, ".png")) == 4
    assert verify(store) == []


def test_merging_does_not_finish_a_run_without_its_metrics(store, other):
    Path(other.uri, "tables", "metrics", files(other, "metrics")[0]).unlink()
    done, before = fresh(other).finished_ids(), fresh(store).finished_ids()
    merge(store, fresh(other))
    assert fresh(store).finished_ids() - before <= done


def test_copying_is_a_union_too(store, other):
    before = len(store.runs(newest_only=False))
    shutil.copytree(other.uri, store.uri, dirs_exist_ok=True)
    assert len(fresh(store).runs(newest_only=False)) == before + 2
    assert verify(store) == []


def test_counted_attempts_that_differ_are_both_kept(tmp_path):
    """Regression: attempt 1 had the same file name in both stores, so copying replaced a finished row with a failed one."""
    mine, theirs = ResultStore(str(tmp_path / "mine")), ResultStore(str(tmp_path / "theirs"))
    ok = run_row(PRNET, 0)
    failed = replace(ok, status="failed", error="boom", train_s=1.0)
    mine.write_attempt(ok, metric_rows(ok, PRNET, 2), curve_rows(ok, 4))
    theirs.write_attempt(failed, [], [])
    done = merge(mine, theirs)
    (new,) = done.renumbered.values()
    assert done.new == 1
    assert fresh(mine).runs().status.tolist() == ["ok"]
    every = fresh(mine).runs(newest_only=False)
    assert sorted(every.status) == ["failed", "ok"]
    assert new.rpartition("-")[2] in set(every.attempt.astype(str))
    assert merge(mine, theirs).new == 0
    assert len(fresh(mine).runs(newest_only=False)) == 2


def test_an_attempt_that_differs_under_its_own_number_is_a_conflict(store, tmp_path):
    theirs = ResultStore(str(tmp_path / "theirs"))
    shutil.copytree(store.uri, theirs.uri)
    row = store.runs().iloc[0]
    run = replace(run_row(PRNET, 0), run_id=row.run_id, attempt=int(row.attempt), train_s=99.0)
    theirs.write_attempt(run, [], [])
    done = merge(store, theirs)
    assert done.new == 0
    assert any(f"attempt {row.run_id}-{row.attempt} differs" in text for text in done.conflicts)
    assert 99.0 not in set(fresh(store).runs().train_s)


def test_stores_of_segments_are_merged(store, other):
    compact(store)
    compact(other)
    assert merge(store, fresh(other)).new == 2
    assert verify(store) == []


def test_a_store_is_not_merged_with_itself(store):
    with pytest.raises(UserError, match="itself"):
        merge(store, fresh(store))
