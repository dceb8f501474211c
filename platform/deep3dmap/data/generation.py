"""Parallel generation of items, with one seed per item so that the result does not depend on the number of workers.

This module does not import torch, so that worker processes can set their thread count before heavy imports.
"""

import hashlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from deep3dmap.core.dataset import Preparation
from deep3dmap.core.errors import UserError
from deep3dmap.data.preparation_progress import track_progress

Job = TypeVar("Job")
Result = TypeVar("Result")
_MIN_SECONDS_FOR_PROCESSES = 4.0  # seconds of work below which starting worker processes does not pay off


def item_seed(*words: str | int) -> int:
    """Return a 63-bit seed derived from `words` (dataset, seed, split, index, ...) only."""
    digest = hashlib.sha256("\0".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def make_items(
    make: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    title: str,
    seconds: float | None = None,
    workers: int | Executor = 1,
    quiet: bool = True,
) -> list[Result]:
    """Return `[make(job) for job in jobs]`, computed by `workers` processes or by an executor.

    `make` must be a module-level function and jobs must be picklable. `seconds` is the approximate time per job; small
    workloads run in this process. Progress is shown unless `quiet`.
    The first exception in a worker is raised here and cancels the rest; raises UserError if a worker was killed. Workers exit
    when this process exits, even if it is killed.
    """
    preparation = Preparation(title, len(jobs), None if seconds is None else seconds * len(jobs))
    if isinstance(workers, int) and preparation.seconds is not None and preparation.seconds < _MIN_SECONDS_FOR_PROCESSES:
        workers = 1
    completed = _run_jobs(make, jobs, workers)
    if jobs and not quiet:
        completed = track_progress(completed, preparation, min(workers, len(jobs)) if isinstance(workers, int) else 1)
    results = dict(completed)
    return [results[index] for index in range(len(jobs))]


def _run_jobs(make: Callable[[Job], Result], jobs: Sequence[Job], workers: int | Executor) -> Iterator[tuple[int, Result]]:
    if isinstance(workers, Executor):
        yield from _iterate_completed({workers.submit(make, job): index for index, job in enumerate(jobs)})
        return
    if workers <= 1 or len(jobs) <= 1:
        yield from ((index, make(job)) for index, job in enumerate(jobs))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_initialise_worker) as pool:
        running = {pool.submit(make, job): index for index, job in enumerate(jobs)}
        try:
            yield from _iterate_completed(running)
        except BrokenProcessPool as error:
            raise UserError("a worker process was killed, most likely because memory ran out; use fewer workers") from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _iterate_completed(running: "dict[Future[Result], int]") -> Iterator[tuple[int, Result]]:
    for future in as_completed(running):
        yield running[future], future.result()


def _initialise_worker() -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    # A killed parent cannot stop its workers, which would otherwise wait for work indefinitely.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
