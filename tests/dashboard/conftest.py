import pytest
from stores import build_store

from deep3dmap.results.store import ResultStore


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> ResultStore:
    """A store with two suites, failed and retried runs, curves and pictures, and a benchmark in progress."""
    store = build_store(tmp_path_factory.mktemp("dashboard"), seeds=3, scenes=6)
    store.write_trial_state("c0" * 8, "running", "prnet/wide on heads, seed 3: scored 4 of 12")
    store.write_trial_state("d0" * 8, "pending", "prnet/wide on heads, seed 4")
    return store
