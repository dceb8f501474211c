"""Making many items in parallel processes: one seed per item, so the result does not depend on the number of workers.

This module imports no torch: a worker process sets its thread count before anything heavy is loaded.
"""

import hashlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from deep3dmap.core.errors import UserError

Job = TypeVar("Job")
Made = TypeVar("Made")


def item_seed(*words: str | int) -> int:
    """Return a 63-bit seed that depends on all of `words` (dataset, seed, split, index ...) and on nothing else."""
    digest = hashlib.sha256("\0".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def make_items(
    make: Callable[[Job], Made], jobs: Sequence[Job], *, title: str, workers: int | Executor = 1, quiet: bool = True
) -> list[Made]:
    """Return `[make(job) for job in jobs]`, made by `workers` processes or by an executor.

    A progress bar is drawn on a terminal unless `quiet`. `make` is a module-level function and jobs can be pickled.
    The first exception of a worker is raised here and stops the rest; raises UserError if a worker was killed.
    """
    results: dict[int, Made] = {}
    for index, made in _progress(_run(make, jobs, workers), len(jobs), title, quiet):
        results[index] = made
    return [results[index] for index in range(len(jobs))]


def _run(make: Callable[[Job], Made], jobs: Sequence[Job], workers: int | Executor) -> Iterator[tuple[int, Made]]:
    if isinstance(workers, Executor):
        yield from _as_made({workers.submit(make, job): index for index, job in enumerate(jobs)})
        return
    if workers <= 1 or len(jobs) <= 1:
        yield from ((index, make(job)) for index, job in enumerate(jobs))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_one_thread) as pool:
        running = {pool.submit(make, job): index for index, job in enumerate(jobs)}
        try:
            yield from _as_made(running)
        except BrokenProcessPool as error:
            raise UserError("a worker process was killed, most likely for want of memory; use fewer workers") from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _as_made(running: "dict[Future[Made], int]") -> Iterator[tuple[int, Made]]:
    for future in as_completed(running):
        yield running[future], future.result()


def _one_thread() -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


def _progress(items: Iterable[tuple[int, Made]], total: int, title: str, quiet: bool) -> Iterator[tuple[int, Made]]:
    if quiet or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield from bar.track(items, total=total, description=title)
