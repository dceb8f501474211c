"""Progress output during data generation: amount of work and progress, for terminals and pipes."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from deep3dmap.core.dataset import Preparation

Item = TypeVar("Item")
_MIN_ANNOUNCED_SECONDS = 5.0  # preparations of at least this many seconds are announced
_SECONDS_BETWEEN_LINES = 5.0  # seconds between progress lines when no bar can be drawn


def duration(seconds: float) -> str:
    """Format a duration for display: 8 s, 3 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def describe(preparations: Sequence[Preparation], workers: int) -> list[str]:
    """Return a line per preparation with its count, title and estimated time, plus a total if there are several."""
    lines = [
        f"{preparation.count} {preparation.title}{_format_estimate(preparation.seconds, workers)}"
        for preparation in preparations
    ]
    known = [preparation.seconds for preparation in preparations if preparation.seconds is not None]
    if len(lines) > 1 and known:
        lines.append(f"together{_format_estimate(sum(known), workers)}")
    return lines


def track_progress(items: Iterable[Item], preparation: Preparation, workers: int) -> Iterator[Item]:
    """Yield from `items` and report progress on stderr.

    Long preparations are announced first. A terminal shows a progress bar; other outputs get a line every few seconds.
    """
    long = preparation.count > 1 if preparation.seconds is None else preparation.seconds / workers >= _MIN_ANNOUNCED_SECONDS
    if long:
        print(f"making {describe([preparation], workers)[0]}", file=sys.stderr, flush=True)
    yield from (_show_bar if sys.stderr.isatty() else _print_lines)(items, preparation)


def _format_estimate(seconds: float | None, workers: int) -> str:
    if seconds is None:
        return ""
    return f", about {duration(seconds / workers)} on {workers} core{'s' if workers > 1 else ''}"


def _print_lines(items: Iterable[Item], preparation: Preparation) -> Iterator[Item]:
    start = last_printed = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last_printed >= _SECONDS_BETWEEN_LINES and number < preparation.count:
            last_printed, remaining = now, (now - start) / number * (preparation.count - number)
            line = f"{preparation.title}: {number} of {preparation.count}, about {duration(remaining)} left"
            print(line, file=sys.stderr, flush=True)


def _show_bar(items: Iterable[Item], preparation: Preparation) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield from bar.track(items, total=preparation.count, description=preparation.title)
