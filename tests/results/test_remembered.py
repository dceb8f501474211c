import pytest
from stores import ENTRANTS, build_store, metric_rows, run_row

from deep3dmap.results.compact import compact
from deep3dmap.results.store import ResultStore


@pytest.fixture
def kept(tmp_path):
    """A store and a folder in which another process cached its tables."""
    store = build_store(tmp_path / "store", seeds=2, scenes=3)
    for name in ("runs", "metrics"):
        store.table(name)
    store.remember(tmp_path / "kept")
    return store, tmp_path / "kept"


def reader(store, folder):
    """Return a store that has restored its tables from the cache, and a list that collects the files it reads."""
    again, read = ResultStore(store.uri), []
    own = again.storage.read
    again.storage.read = lambda name: read.append(name) or own(name)
    again.recall(folder)
    return again, read


def test_what_was_kept_is_not_read_again(kept):
    store, folder = kept
    again, read = reader(store, folder)
    assert again.runs().equals(store.runs())
    assert again.table("metrics").equals(store.table("metrics"))
    assert not read


def test_only_what_has_come_since_is_read(kept):
    store, folder = kept
    row = run_row(ENTRANTS[0], 5)
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 3), [])
    again, read = reader(store, folder)
    assert row.run_id in set(again.runs().run_id)
    assert read == [f"tables/runs/{row.run_id}-1.parquet"]
    assert len(again.metrics()) == len(ResultStore(store.uri).metrics())


def test_files_that_are_not_those_that_were_read_are_read_again(kept):
    store, folder = kept
    (file, *_) = sorted((store.storage.local / "tables" / "runs").glob("*.parquet"))
    file.write_bytes(b"no Parquet")
    again, read = reader(store, folder)
    with pytest.warns(UserWarning, match=file.name):
        assert len(again.runs(newest_only=False)) == len(store.runs(newest_only=False)) - 1
    assert f"tables/runs/{file.name}" in read


def test_damaged_files_are_named_every_time(tmp_path):
    store = build_store(tmp_path / "store", seeds=1, scenes=2)
    (file, *_) = sorted((tmp_path / "store" / "tables" / "runs").glob("*.parquet"))
    file.write_bytes(b"no Parquet")
    for _ in range(2):
        again = ResultStore(store.uri)
        again.recall(tmp_path / "kept")
        with pytest.warns(UserWarning, match=file.name):
            assert len(again.table("runs")) == len(list(file.parent.iterdir())) - 1
        again.table("metrics")
        again.remember(tmp_path / "kept")


def test_compacted_store_is_read_anew(kept):
    store, folder = kept
    compact(ResultStore(store.uri))
    again, read = reader(store, folder)
    assert sorted(again.runs().run_id) == sorted(store.runs().run_id)
    assert read


def test_compacted_store_is_kept_with_what_its_segments_cover(kept, tmp_path):
    store, _ = kept
    compact(ResultStore(store.uri))
    first = ResultStore(store.uri)
    for name in ("runs", "metrics"):
        first.table(name)
    first.remember(tmp_path / "other")
    again, read = reader(store, tmp_path / "other")
    assert again.runs().equals(first.runs())
    assert again.covered("metrics") == first.covered("metrics")
    assert not read


def test_what_was_kept_and_is_damaged_is_not_used(kept):
    store, folder = kept
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    again, read = reader(store, folder)
    assert sorted(again.runs().run_id) == sorted(store.runs().run_id)
    assert read
