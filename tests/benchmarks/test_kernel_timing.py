"""Timing of contenders: alternating calls, excluded warm-up, medians of the right clock, and a table of ratios."""

import os
from collections.abc import Callable
from unittest import mock

import pytest
import torch

# The module sets the number of threads of the process in which it measures.
with mock.patch.dict(os.environ):
    from deep3dmap.benchmarks.kernels import neighbour_search, side_by_side
    from deep3dmap.benchmarks.kernels.side_by_side import Timing, measure, table


@pytest.fixture
def threads() -> object:
    """Restore the number of threads after the measurement."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Clock:
    """A clock that advances only during calls."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def call(self, name: str, durations: list[float]) -> Callable[[], object]:
        """Return a call that takes the next of these durations, in seconds."""
        left = iter(durations)

        def run() -> None:
            self.order.append(name)
            self.now += next(left)

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, threads: object) -> Clock:
    found = Clock()
    monkeypatch.setattr(side_by_side.time, "process_time", lambda: found.now)
    return found


def test_contenders_take_turns_and_their_warm_up_does_not_count(clock: Clock) -> None:
    calls = {"one": clock.call("one", [90, 1, 4, 2, 3]), "other": clock.call("other", [90, 5, 5, 5, 5])}
    timings = measure(calls, rounds=4, warm_up=1)
    assert clock.order == ["one", "other"] * 5
    # The quartiles of 1, 2, 3, 4 are 1.25 and 3.75.
    assert timings == [Timing("one", 2.5, 2.5), Timing("other", 5.0, 0.0)]
    assert torch.get_num_threads() == 1


def test_a_single_round_has_no_spread(clock: Clock) -> None:
    assert measure({"one": clock.call("one", [3.0])}, rounds=1, warm_up=0) == [Timing("one", 3.0, 0.0)]


def test_several_threads_are_timed_by_the_clock_on_the_wall(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side.time, "perf_counter", lambda: 10 * clock.now)
    timings = measure({"one": clock.call("one", [1.0, 1.0])}, rounds=2, warm_up=0, threads=2)
    assert timings[0].median == 10
    assert torch.get_num_threads() == 2


def test_the_table_gives_ratios_to_the_first_and_says_who_is_absent() -> None:
    lines = table("A title", [Timing("native", 0.002, 0.0001), Timing("peer", 0.005, 0.0)], {"third": "No module"}).splitlines()
    assert lines[0] == "A title"
    assert lines[2].split() == ["native", "2.00", "ms", "0.10", "ms", "1.00"]
    assert lines[3].split() == ["peer", "5.00", "ms", "0.00", "ms", "2.50"]
    assert lines[4].split() == ["third", "skipped:", "No", "module"]
    assert len({line.index("ms") for line in lines[2:4]}) == 1


def test_what_takes_seconds_is_called_once_and_apart(clock: Clock) -> None:
    calls = {"quick": clock.call("quick", [1.0] * 6), "slow": clock.call("slow", [60.0])}
    found = neighbour_search.timings(calls, rounds=3)
    assert clock.order == ["quick", "slow", *["quick"] * 5]
    assert found == [Timing("quick", 1.0, 0.0), Timing("slow", 60.0, 0.0)]
