"""An in-memory least-recently-used cache with a limit in bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

Value = TypeVar("Value")


class MemoryCache(Generic[Value]):
    """Values by key. size: returns the bytes of a value. limit: maximum bytes kept; the last requested value is always kept."""

    def __init__(self, size: Callable[[Value], int], limit: int) -> None:
        self._size, self._limit, self._used_bytes = size, limit, 0
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._pending: dict[Hashable, Future[Value]] = {}

    def prefetch(self, key: Hashable, make: Callable[[], Value], executor: Executor) -> None:
        """Make a value in `executor` that will be requested soon; does nothing if it is cached or already being made."""
        if key not in self._values and key not in self._pending:
            self._pending[key] = executor.submit(make)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key, calling `make` if it is not cached."""
        if key not in self._values:
            pending = self._pending.pop(key, None)
            self._values[key] = make() if pending is None else pending.result()
            self._used_bytes += self._size(self._values[key])
        self._values.move_to_end(key)
        while self._used_bytes > self._limit and len(self._values) > 1:
            _, evicted = self._values.popitem(last=False)
            self._used_bytes -= self._size(evicted)
        return self._values[key]

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)
