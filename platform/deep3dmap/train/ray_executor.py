"""Ray's tasks behind the standard library's executor, for work that knows nothing of Ray."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from deep3dmap.train.ray_runtime import connect


class RayExecutor(Executor):
    """Runs every call as a Ray task of one CPU, on any node of the cluster; files it reads and writes must be there for all.

    A task whose worker or node dies is run again by Ray, three times at most.
    """

    def __init__(self) -> None:
        connect()
        import ray

        self._task = ray.remote(num_cpus=1, max_retries=3)(_call)
        self._futures: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Start `fn(*args, **kwargs)`; what it raises is raised by the future, as `fn` raised it."""
        future: Future[Any] = self._task.remote(fn, args, kwargs).future()
        self._futures.append(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for what was started, or, with `cancel_futures`, forget what has not begun. Ray itself stays."""
        for future in self._futures:
            if cancel_futures:
                future.cancel()
            elif wait:
                future.exception()
        self._futures.clear()


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)
