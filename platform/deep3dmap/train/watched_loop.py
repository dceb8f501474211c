"""A training loop that does not wait indefinitely for its data."""

import os
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from deep3dmap.core.errors import UserError
from deep3dmap.frameworks import TrainLoop
from deep3dmap.frameworks.batches import Transform

# Not a field of a run's configuration: it does not affect a run's numbers, so it must not affect its id.
TIMEOUT = "DEEP3DMAP_LOADER_TIMEOUT_S"
DEFAULT_TIMEOUT_S = 600.0
_JOIN_TIMEOUT_S = 10.0


class WatchedLoop(TrainLoop):
    """The loop of a training session. Raises UserError if a batch takes more than $DEEP3DMAP_LOADER_TIMEOUT_S seconds."""

    def batches(
        self, keys: Iterable[str], transform: Transform | None = None, dataset: Any = None, per_step: int = 1
    ) -> Iterator[dict[str, Any]]:
        """Yield the batches of `TrainLoop.batches`, with the timeout."""
        return with_timeout(super().batches(keys, transform, dataset, per_step), loader_timeout_s(), self)


def loader_timeout_s() -> float:
    """Return the seconds a batch may take, 0 for no limit; raises UserError if the variable is not a number."""
    text = os.environ.get(TIMEOUT, str(DEFAULT_TIMEOUT_S))
    try:
        return float(text)
    except ValueError as error:
        raise UserError(f"{TIMEOUT}={text} is not a number of seconds") from error


def with_timeout(stream: Iterator[dict[str, Any]], seconds: float, loop: TrainLoop) -> Iterator[dict[str, Any]]:
    """Yield from `stream`; raises UserError if an item takes more than `seconds` (0 = no limit)."""
    if seconds <= 0:
        yield from stream
        return
    reader = _Reader(stream)
    try:
        while True:
            try:
                ended, error, batch = reader.next(seconds)
            except queue.Empty:
                raise UserError(
                    f"the data loader hangs: no batch for {seconds:g} s after step {loop.step}; check the storage and the code"
                    f" that reads a sample, or allow more time with {TIMEOUT}="
                ) from None
            if error is not None:
                raise error
            if ended:
                return
            yield batch
    finally:
        reader.close()


class _Reader:
    """Reads an iterator in a thread, one item per request; nothing is prefetched, so the order of operations is unchanged."""

    def __init__(self, stream: Iterator[dict[str, Any]]) -> None:
        self._stream = stream
        self._requests: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[bool, BaseException | None, Any]] = queue.SimpleQueue()
        # A daemon thread, so that a hanging read does not keep the process from exiting.
        self._thread = threading.Thread(target=self._run, daemon=True, name="batches")
        self._thread.start()
        self._waiting = False

    def next(self, seconds: float) -> tuple[bool, BaseException | None, Any]:
        """Return (ended, error, item); raises queue.Empty after `seconds`."""
        self._waiting = True
        self._requests.put(True)
        found = self._results.get(timeout=seconds)
        self._waiting = False
        return found

    def close(self) -> None:
        """Stop the thread and close the iterator; does not wait for one that hangs."""
        self._requests.put(False)
        if not self._waiting:
            self._thread.join(_JOIN_TIMEOUT_S)

    def _run(self) -> None:
        while self._requests.get():
            try:
                self._results.put((False, None, next(self._stream)))
            except StopIteration:
                self._results.put((True, None, None))
            except BaseException as error:
                self._results.put((False, error, None))
        close = getattr(self._stream, "close", None)
        if close:
            close()
