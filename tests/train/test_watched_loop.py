"""Batches must arrive in time, and are otherwise unchanged."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deep3dmap.core import UserError
from deep3dmap.testing import Subject
from deep3dmap.train.watched_loop import with_timeout


class Steps:
    step = 7


def slow(items: int, seconds: float = 0.0, closed: list[str] | None = None) -> Iterator[dict[str, Any]]:
    try:
        for item in range(items):
            time.sleep(seconds)
            yield {"item": item}
    finally:
        if closed is not None:
            closed.append("closed")


def watched(stream: Iterator[dict[str, Any]], seconds: float) -> Iterator[dict[str, Any]]:
    return with_timeout(stream, seconds, Steps())  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_items_and_their_order_are_kept(seconds: float) -> None:
    assert [batch["item"] for batch in watched(slow(5), seconds)] == [0, 1, 2, 3, 4]


def test_an_item_that_does_not_come_is_an_error_that_names_the_step() -> None:
    stream = watched(slow(2, 20.0), 0.2)
    began = time.monotonic()
    with pytest.raises(UserError, match=r"no batch for 0\.2 s after step 7; .*DEEP3DMAP_LOADER_TIMEOUT_S="):
        next(stream)
    assert time.monotonic() - began < 10


def test_what_the_stream_raises_is_raised() -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield {"item": 0}
        raise KeyError("image")

    stream = watched(broken(), 30.0)
    next(stream)
    with pytest.raises(KeyError, match="image"):
        next(stream)


def test_nothing_is_read_ahead_and_leaving_closes_the_stream() -> None:
    closed: list[str] = []
    read: list[int] = []

    def counted() -> Iterator[dict[str, Any]]:
        for batch in slow(5, closed=closed):
            read.append(batch["item"])
            yield batch

    before = set(threading.enumerate())
    stream: Any = watched(counted(), 30.0)
    next(stream)
    next(stream)
    time.sleep(0.2)
    assert read == [0, 1]
    stream.close()
    assert closed == ["closed"]
    assert set(threading.enumerate()) <= before


def test_a_training_whose_data_hang_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEP3DMAP_LOADER_TIMEOUT_S", "0.5")
    subject = Subject("faulty_methods:Accident/mini", tmp_path, "toys:Dots", ("method.hang_at=6",))
    with pytest.raises(UserError, match=r"the data loader hangs: no batch for 0\.5 s after step 1"):
        subject.train("hung", 4)


def test_a_time_that_is_no_number_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEP3DMAP_LOADER_TIMEOUT_S", "soon")
    with pytest.raises(UserError, match="DEEP3DMAP_LOADER_TIMEOUT_S=soon is not a number"):
        Subject("toys:Regression/mini", tmp_path, "toys:Dots").train("run", 2)
