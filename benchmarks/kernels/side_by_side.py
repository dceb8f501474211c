"""Timing of several contenders in one process: one thread, alternating calls, CPU time, medians."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch


class Timing(NamedTuple):
    """Median CPU seconds of a call, and the interquartile range of the calls."""

    name: str
    median: float
    spread: float


def measure(
    contenders: Mapping[str, Callable[[], object]], rounds: int = 15, warm_up: int = 2, threads: int = 1
) -> list[Timing]:
    """Call the contenders alternately, `rounds` times each, and return their timings in the given order.

    Alternating exposes all contenders to the same machine state; CPU time excludes other processes. With several threads,
    wall-clock time is measured instead, which requires as many idle cores.
    """
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + warm_up):
        for name, call in contenders.items():
            start = clock()
            call()
            if turn >= warm_up:
                seconds[name].append(clock() - start)
    return [_timing(name, times) for name, times in seconds.items()]


def table(title: str, timings: list[Timing], absent: Mapping[str, str]) -> str:
    """Return the lines to print; ratios are relative to the first contender: above 1, the first is faster."""
    base = timings[0]
    width = max(len(name) for name in [*(timing.name for timing in timings), *absent])
    lines = [title, f"  {'':{width}}      median    spread     ratio"]
    for timing in timings:
        ratio = timing.median / base.median
        lines.append(f"  {timing.name:{width}}  {timing.median * 1e3:7.2f} ms  {timing.spread * 1e3:5.2f} ms  {ratio:8.2f}")
    lines += [f"  {name:{width}}  skipped: {reason}" for name, reason in absent.items()]
    return "\n".join(lines)


def _timing(name: str, times: list[float]) -> Timing:
    if len(times) < 2:
        return Timing(name, statistics.median(times), 0.0)
    low, _, high = statistics.quantiles(times, n=4)
    return Timing(name, statistics.median(times), high - low)
