from deep3dmap.benchmarks.store import chaos, speed
from deep3dmap.results.compact import compact
from deep3dmap.results.store import ResultStore


def test_figures_are_of_a_store_that_holds_what_they_say(tmp_path):
    store = ResultStore(str(tmp_path))
    with speed.without_fsync():
        speed.write_runs(store, range(50), 4, 2)
    assert len(store.metrics()) == 50 * 4 * 2
    assert speed.read_board(store.uri) == 10
    compact(store)
    assert speed.read_board(store.uri) == 10
    figures = speed.measure_action("board", store.uri)
    assert figures["rows"] == 10
    assert 0 < figures["wall"] < 60


def test_a_store_that_is_broken_on_purpose_loses_nothing(tmp_path):
    """A part of `make chaos`: writers, drivers and nodes are killed, clocks are wrong and disks refuse writes."""
    found = chaos.run_chaos(tmp_path, appends=150, writers=4, seed=1, limit_s=120)
    assert found.is_whole, found
    assert found.appends >= 20
    assert found.kills > 3
    assert found.leases > 0
    assert found.refused > 0
