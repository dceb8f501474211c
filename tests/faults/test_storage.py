"""Temporary storage failures are retried for a bounded time; a full disk is reported at once in one clear line."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from stores import ENTRANTS, curve_rows, metric_rows, run_row

from deep3dmap.core import UserError
from deep3dmap.results import schema
from deep3dmap.results.store import ResultStore
from deep3dmap.results.verify import verify
from deep3dmap.runs.retrying_store import RetryingStore
from deep3dmap.train import retry
from deep3dmap.train.checkpoints import CheckpointFolder

FACE = ENTRANTS[0]


class Unsteady:
    """A pyarrow filesystem whose next few calls fail, like those to an object store that is being restarted."""

    def __init__(self, filesystem: Any, failures: int, error: OSError) -> None:
        self.filesystem, self.failures, self.error, self.calls = filesystem, failures, error, 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls <= self.failures:
                raise self.error
            return getattr(self.filesystem, name)(*arguments, **options)

        return call


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses in seconds, recorded instead of waited for."""
    found: list[float] = []
    monkeypatch.setattr(retry.time, "sleep", found.append)
    return found


def unsteady_store(failures: int, error: OSError) -> tuple[RetryingStore, Unsteady]:
    store = RetryingStore("mock:///bucket/results")
    for name in schema.TABLES:
        store.storage.filesystem.create_dir(store.storage.path(f"tables/{name}"))
    between = Unsteady(store.storage.filesystem, failures, error)
    store.storage.filesystem = between
    return store, between


def test_an_attempt_that_was_not_recorded_is_reported_without_a_pause(pauses: list[float]) -> None:
    store, _ = unsteady_store(0, OSError())
    assert store.attempt("0123456789abcdef", 1).empty
    with pytest.raises(FileNotFoundError):
        store.storage.read("tables/runs/none.parquet")
    assert pauses == []


def write(store: ResultStore, points: int = 5) -> None:
    run = run_row(FACE, 0)
    store.write_attempt(run, metric_rows(run, FACE, 2), curve_rows(run, points))


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), OSError("AWS Error SLOW_DOWN")], ids=str)
def test_storage_that_comes_back_gets_every_row_once(pauses: list[float], error: OSError) -> None:
    store, between = unsteady_store(4, error)
    write(store)
    assert pauses == [0.5, 1.0, 2.0, 4.0]
    # Metrics, curves and the run, without artifacts.
    assert between.calls == 4 + 3
    assert len(store.runs(newest_only=False)) == 1
    assert len(store.metrics()) == 5


def test_reading_waits_too(pauses: list[float]) -> None:
    store, between = unsteady_store(0, OSError(errno.ESTALE, "Stale file handle"))
    write(store)
    between.calls, between.failures = 0, 3
    assert len(store.runs()) == 1
    assert pauses == [0.5, 1.0, 2.0]


def test_storage_that_does_not_come_back_is_given_up(pauses: list[float]) -> None:
    store, between = unsteady_store(1000, OSError(errno.EIO, "Input/output error"))
    with pytest.raises(UserError, match=r"mock:.*cannot write: Input/output error; free space or choose another results="):
        write(store)
    assert pauses == list(retry.PAUSES_S)
    assert between.calls == len(retry.PAUSES_S) + 1
    assert 20 < sum(pauses) < 60


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_what_waiting_does_not_mend_is_told_at_once(pauses: list[float], number: int) -> None:
    store, between = unsteady_store(1000, OSError(number, os.strerror(number)))
    with pytest.raises(UserError, match=os.strerror(number)):
        write(store)
    assert (pauses, between.calls) == ([], 1)


def test_a_programming_error_is_not_tried_again(pauses: list[float]) -> None:
    def wrong() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        retry.call_with_retries(wrong)
    assert pauses == []


STATE = {"method": {"w": torch.ones(3)}, "loop": {}, "averaged": None, "ranks": []}
ABOUT = {"method": "toy", "seconds": 0.0, "metrics": {}}


def test_a_checkpoint_is_written_whole_by_storage_that_comes_back(
    tmp_path: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def unsteady(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) <= 3:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", unsteady)
    folder = CheckpointFolder(tmp_path / "checkpoints")
    folder.write(STATE, ABOUT, 1, None)
    assert pauses == [0.5, 1.0, 2.0]
    newest = folder.newest()
    assert newest is not None
    assert torch.equal(newest[1]["method"]["w"], torch.ones(3))
    assert [path.name for path in folder.folder.iterdir()] == ["step_000000001"]


def test_what_a_killed_writer_left_is_cleared_away(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    left = tmp_path / f".writing_step_000000001_{os.getpid()}"
    left.mkdir()
    (left / "state.pt").write_bytes(b"half")
    folder.write(STATE, ABOUT, 1, None)
    assert [path.name for path in tmp_path.iterdir()] == ["step_000000001"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))


def test_a_full_disk_keeps_what_it_holds_and_nothing_half_written(small_disk: Path) -> None:
    store = RetryingStore(str(small_disk))
    write(store)
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        fill(filler)
    run = run_row(FACE, 1)
    with pytest.raises(UserError, match="cannot write: No space left on device; free space or choose another results="):
        store.write_attempt(run, metric_rows(run, FACE, 2), curve_rows(run, 50))
    assert len(store.runs(newest_only=False)) == 1
    assert verify(store) == []
    assert not [path for path in small_disk.rglob(".*") if path.is_file()]
    filler.unlink()
    store.write_attempt(run, metric_rows(run, FACE, 2), curve_rows(run, 50))
    assert len(store.runs(newest_only=False)) == 2
