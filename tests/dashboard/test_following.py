import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from stores import ENTRANTS, build_store, metric_rows, run_row

from deep3dmap.dashboard import reading, server
from deep3dmap.dashboard import snapshot as snapshot_module
from deep3dmap.dashboard.following import Follower
from deep3dmap.dashboard.snapshot import Snapshot
from deep3dmap.results.across import rank_across
from deep3dmap.results.leaderboard import boards


def test_nothing_is_listed_or_read_where_nothing_has_changed(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=2)
    for folder in ("runs", "metrics", "cards"):
        os.utime(tmp_path / "tables" / folder, (1e9, 1e9))
    follower = Follower(store.uri)
    first = follower.newest()
    listed = []
    monkeypatch.setattr("os.listdir", lambda folder: listed.append(folder) or [])
    monkeypatch.setattr(follower.store.storage, "read", lambda name: listed.append(name))
    assert follower.newest() is first
    assert not listed


def test_what_comes_within_one_tick_of_the_clock_is_seen(tmp_path):
    store = build_store(tmp_path, seeds=1, scenes=2)
    follower = Follower(store.uri)
    before = follower.newest()
    folder = tmp_path / "tables" / "runs"
    at = folder.stat()
    row = run_row(ENTRANTS[0], 5)
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 2), [])
    os.utime(folder, ns=(at.st_atime_ns, at.st_mtime_ns))
    after = follower.newest()
    assert after.number == before.number + 1
    assert row.run_id in set(after.runs().run_id)


def test_boards_of_a_snapshot_are_those_of_the_store(tmp_path):
    store = build_store(tmp_path, seeds=2, scenes=3)
    snapshot = Follower(store.uri).newest()
    for group in snapshot.groups():
        names = snapshot.metric_names(group)
        assert names == [board.metric for board in boards(store, group.suite, metric="all")]
        for name in names:
            (expected,) = boards(store, group.suite, metric=name)
            assert snapshot.board(group, name).rows == expected.rows


def test_attempts_mark_the_one_of_each_run_that_counts(tmp_path):
    store = build_store(tmp_path, seeds=1, scenes=2)
    attempts = Follower(store.uri).newest().attempts()
    assert len(attempts) == len(store.runs(newest_only=False))
    counting = attempts[attempts.counts]
    assert set(zip(counting.run_id, counting.attempt)) == set(zip(store.runs().run_id, store.runs().attempt))


def test_only_boards_whose_runs_have_changed_are_made_again(tmp_path):
    store = build_store(tmp_path, seeds=2, scenes=3)
    follower = Follower(store.uri)
    before = follower.newest()
    made = {group.suite: before.board(group, before.metric_names(group)[0]) for group in before.groups()}
    row = run_row(ENTRANTS[0], 5)
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 3), [])
    after = follower.newest()
    again = {group.suite: after.board(group, after.metric_names(group)[0]) for group in after.groups()}
    assert again["indoor"] is made["indoor"]
    assert again["face"] is not made["face"]
    assert row.run_id in {run_id for one in again["face"].rows for run_id in one.run_ids}
    store.write_card("method", "tsdf_fusion", "v2", {"name": "tsdf_fusion", "card": {"is_baseline": True}})
    last = follower.newest()
    (group,) = (group for group in last.groups() if group.suite == "indoor")
    assert all(one.is_baseline for one in last.board(group, "f_score_5cm").rows)


def test_what_all_metrics_of_a_group_share_is_made_once(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=2, scenes=3)
    follower = Follower(store.uri)
    made, own = [], snapshot_module.contenders_of
    monkeypatch.setattr(snapshot_module, "contenders_of", lambda *args: made.append(1) or own(*args))
    snapshot = follower.newest()
    for group in snapshot.groups():
        for metric in snapshot.metric_names(group):
            snapshot.board(group, metric)
    assert len(made) == len(snapshot.groups()) == 2
    row = run_row(ENTRANTS[0], 5)
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 3), [])
    after = follower.newest()
    for group in after.groups():
        after.metric_names(group)
    assert len(made) == 3


def test_ranking_of_a_snapshot_is_that_of_the_tables_of_its_tier(tmp_path):
    store = build_store(tmp_path, seeds=2, scenes=4)
    for number, entrant in enumerate(ENTRANTS[:2]):
        row = run_row(entrant, 0, suite="second", run_id=f"{number:016x}")
        store.write_attempt(row, metric_rows(row, entrant, 4), [])
    snapshot = Follower(store.uri).newest()
    (face,) = (group for group in snapshot.groups() if group.suite == "face")
    expected = rank_across([board for board in boards(store, tier=face.tier) if board.group.suite in ("face", "second")])
    assert len(expected.boards) > 1
    assert snapshot.ranking(face) == expected


def test_curves_of_an_attempt_are_read_once(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=2)
    monkeypatch.setenv(reading.RESULTS_VARIABLE, store.uri)
    attempt, read = reading.snapshot().runs().iloc[[0]], []
    own = type(store).curves
    monkeypatch.setattr(type(store), "curves", lambda self, runs: read.append(1) or own(self, runs))
    first = reading.curves_of(attempt)
    assert reading.curves_of(attempt) is first
    assert first.equals(own(store, attempt))
    assert len(read) == 1


def test_all_visitors_share_one_reading(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=2)
    monkeypatch.setenv(reading.RESULTS_VARIABLE, store.uri)
    with ThreadPoolExecutor(8) as pool:
        snapshots = set(pool.map(lambda _: reading.snapshot(), range(16)))
    assert len(snapshots) == 1
    reading.read_ahead()
    assert reading.snapshot() in snapshots


def test_whoever_comes_first_does_not_wait_for_boards_that_nobody_asked_for(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=2)
    monkeypatch.setenv(reading.RESULTS_VARIABLE, store.uri)
    monkeypatch.setattr(reading, "_FIRST_PAGE", threading.Event())
    monkeypatch.setattr(reading, "WAIT_FOR_FIRST_PAGE_S", 60.0)
    made, first, board = [], threading.Event(), Snapshot.board
    monkeypatch.setattr(Snapshot, "board", lambda self, *key: made.append(key) or first.set() or board(self, *key))
    ahead = threading.Thread(target=reading.read_ahead)
    ahead.start()
    assert first.wait(30)
    ahead.join(0.5)
    assert len(made) == 1
    reading.signal_first_page()
    ahead.join(30)
    assert len(made) == len(reading.snapshot().groups()) > 1


def test_the_first_reading_of_many_files_says_what_it_does_and_what_helps(tmp_path, monkeypatch, capsys):
    store = build_store(tmp_path, seeds=1, scenes=2)
    monkeypatch.setenv(reading.RESULTS_VARIABLE, store.uri)
    reading.signal_first_page()
    reading.read_ahead()
    assert not capsys.readouterr().err
    monkeypatch.setattr(reading, "WORTH_COMPACTING", 5)
    reading.read_ahead()
    files = sum(len(list((tmp_path / "tables" / name).iterdir())) for name in ("runs", "metrics"))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Reading {files} single-attempt files")
    assert line.endswith(f"deep3dmap results compact results={store.uri}")


def test_what_the_first_reading_leaves_is_not_collected_again_and_garbage_is(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "read_ahead", lambda: 1 / 0)
    gc.disable()
    try:
        with pytest.raises(ZeroDivisionError):
            server.read()
        assert gc.get_freeze_count() > 0
        assert gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()


def test_what_a_large_store_held_is_kept_for_the_next_server(tmp_path, monkeypatch):
    store = build_store(tmp_path / "store", seeds=1, scenes=2)
    monkeypatch.setattr("deep3dmap.dashboard.following.WORTH_CACHING", 5)
    first = Follower(store.uri, tmp_path / "kept")
    first.newest()
    first.remember()
    again = Follower(store.uri, tmp_path / "kept")
    monkeypatch.setattr("deep3dmap.results.reading_files.decode_table", lambda *_: pytest.fail("read again"))
    assert again.unread == 0 < first.unread
    assert again.newest().runs().equals(first.newest().runs())
