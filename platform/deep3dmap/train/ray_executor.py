"""A standard-library executor that runs its calls as Ray tasks, for code that does not depend on Ray."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from deep3dmap.train.ray_runtime import connect


class RayExecutor(Executor):
    """Runs every call as a one-CPU Ray task on any node of the cluster; its files must be accessible from all nodes.

    Ray reruns a task whose worker or node dies, at most three times.
    """

    def __init__(self) -> None:
        connect()
        import ray

        self._task = ray.remote(num_cpus=1, max_retries=3)(_call)
        self._futures: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Start `fn(*args, **kwargs)`; the future raises the original exception of `fn`."""
        future: Future[Any] = self._task.remote(fn, args, kwargs).future()
        self._futures.append(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the submitted calls, or cancel those not yet started if `cancel_futures`. Ray keeps running."""
        for future in self._futures:
            if cancel_futures:
                future.cancel()
            elif wait:
                future.exception()
        self._futures.clear()


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)
