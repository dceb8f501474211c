"""A training loop that does not wait for ever for its data."""

import os
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from deep3dmap.core.errors import UserError
from deep3dmap.frameworks import TrainLoop
from deep3dmap.frameworks.batches import Transform

# Not a field of a run's configuration: it decides nothing about a run's numbers, so it must not decide its id.
TIMEOUT = "DEEP3DMAP_LOADER_TIMEOUT_S"
DEFAULT_TIMEOUT_S = 600.0
_GOODBYE_S = 10.0


class WatchedLoop(TrainLoop):
    """The loop of a training session. A batch that does not come in $DEEP3DMAP_LOADER_TIMEOUT_S seconds is a UserError."""

    def batches(
        self, keys: Iterable[str], transform: Transform | None = None, dataset: Any = None, per_step: int = 1
    ) -> Iterator[dict[str, Any]]:
        """Yield what `TrainLoop.batches` yields."""
        return in_time(super().batches(keys, transform, dataset, per_step), loader_timeout_s(), self)


def loader_timeout_s() -> float:
    """Seconds a batch may take, 0 for any time; raises UserError if the variable is no number."""
    text = os.environ.get(TIMEOUT, str(DEFAULT_TIMEOUT_S))
    try:
        return float(text)
    except ValueError as error:
        raise UserError(f"{TIMEOUT}={text} is no number of seconds") from error


def in_time(stream: Iterator[dict[str, Any]], seconds: float, loop: TrainLoop) -> Iterator[dict[str, Any]]:
    """Yield from `stream`; raises UserError when an item takes more than `seconds` (0 = any time)."""
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
                    f"the data loader hangs: no batch came for {seconds:g} s after step {loop.step}; look at the storage and"
                    f" the code that reads a sample, or allow more with {TIMEOUT}="
                ) from None
            if error is not None:
                raise error
            if ended:
                return
            yield batch
    finally:
        reader.close()


class _Reader:
    """Reads an iterator in a thread, one item whenever it is asked for one: nothing is read ahead, so nothing changes order."""

    def __init__(self, stream: Iterator[dict[str, Any]]) -> None:
        self._stream = stream
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._read: queue.SimpleQueue[tuple[bool, BaseException | None, Any]] = queue.SimpleQueue()
        # A daemon: a thread that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, daemon=True, name="batches")
        self._thread.start()
        self._waiting = False

    def next(self, seconds: float) -> tuple[bool, BaseException | None, Any]:
        """Return (at the end, error, item); raises queue.Empty if it takes longer."""
        self._waiting = True
        self._wanted.put(True)
        found = self._read.get(timeout=seconds)
        self._waiting = False
        return found

    def close(self) -> None:
        """Close the iterator, unless it hangs."""
        self._wanted.put(False)
        if not self._waiting:
            self._thread.join(_GOODBYE_S)

    def _run(self) -> None:
        while self._wanted.get():
            try:
                self._read.put((False, None, next(self._stream)))
            except StopIteration:
                self._read.put((True, None, None))
            except BaseException as error:
                self._read.put((False, error, None))
        close = getattr(self._stream, "close", None)
        if close:
            close()
