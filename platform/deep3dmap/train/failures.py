"""Training failures that a restart does not fix, classified by what the user can do about them."""

import traceback
from collections.abc import Iterable, Mapping

from deep3dmap.core.errors import DivergedError, UserError
from deep3dmap.train.start_watch import StartError

TRACEBACK_LINES = 30


class NoResourcesError(RuntimeError):
    """The cluster lacks the resources a run requests; the message lists the requested and the available resources."""


def status_of(error: BaseException) -> str:
    """Return the status of a run that ended with `error`, as stored in the table of runs."""
    import torch

    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, NoResourcesError):
        return "no_resources"
    return "out_of_memory" if isinstance(error, MemoryError | torch.OutOfMemoryError) else "failed"


def text_of(error: BaseException) -> str:
    """Return the text stored for an error: the message if it is meant for users, else the end of the traceback."""
    if isinstance(error, UserError | DivergedError | NoResourcesError):
        return str(error)
    lines = "".join(traceback.format_exception(error)).strip().splitlines()
    return "\n".join(lines[-TRACEBACK_LINES:])


def as_plain_data(error: BaseException) -> dict[str, str]:
    """Return an error as plain data, for a worker to return instead of raising it, which would make Ray restart the workers."""
    import torch

    kind = "MemoryError" if isinstance(error, torch.OutOfMemoryError) else type(error).__name__
    return {"failure": kind, "message": str(error) or kind}


def from_plain_data(failure: Mapping[str, str]) -> Exception:
    """Return the error described by the output of `as_plain_data`."""
    kinds: dict[str, type[Exception]] = {
        kind.__name__: kind for kind in (UserError, DivergedError, MemoryError, NoResourcesError, StartError)
    }
    return kinds.get(failure["failure"], RuntimeError)(failure["message"])


def workers_failure(error: Exception, asked: str, restarts: int) -> Exception:
    """Translate the error that Ray Train raised when it gave up. asked: the workers' reservations, in words."""
    from ray.exceptions import OutOfMemoryError
    from ray.train.v2._internal.exceptions import InsufficientClusterResourcesError, WorkerGroupStartupTimeoutError

    from deep3dmap.train.placement import describe_nodes

    cause = getattr(error, "controller_failure", None)
    if isinstance(cause, WorkerGroupStartupTimeoutError | InsufficientClusterResourcesError):
        return NoResourcesError(f"no resources: asked for {asked}; there is {describe_nodes()}, and none became free in time")
    if _any_is(getattr(error, "worker_failures", {}).values(), (OutOfMemoryError, MemoryError)):
        return MemoryError(f"a worker ran out of memory {restarts + 1} times, most recently: {error}")
    return RuntimeError(f"training failed after {restarts} restarts: {error}")


def _any_is(errors: Iterable[object], kinds: tuple[type[BaseException], ...]) -> bool:
    # A killed worker is reported as a failed health check, which contains the reason.
    reasons = [getattr(error, "health_check_failure", error) for error in errors]
    return any(isinstance(reason, kinds) for reason in reasons)
