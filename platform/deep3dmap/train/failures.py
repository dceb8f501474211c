"""What ends a training that no restart mends, told apart by what its user can do about it."""

import traceback
from collections.abc import Iterable, Mapping

from deep3dmap.core.errors import DivergedError, UserError
from deep3dmap.train.start_watch import StartError

TRACEBACK_LINES = 30


class NoResourcesError(RuntimeError):
    """The cluster has not what a run asks for; the message says what was asked for and what there is."""


def status_of(error: BaseException) -> str:
    """Return the status of a run that ended with `error`, as in the results' table of runs."""
    import torch

    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, NoResourcesError):
        return "no_resources"
    return "out_of_memory" if isinstance(error, MemoryError | torch.OutOfMemoryError) else "failed"


def text_of(error: BaseException) -> str:
    """Return what a row says of an error: the message where it is meant for users, else the end of the traceback."""
    if isinstance(error, UserError | DivergedError | NoResourcesError):
        return str(error)
    lines = "".join(traceback.format_exception(error)).strip().splitlines()
    return "\n".join(lines[-TRACEBACK_LINES:])


def as_plain_data(error: BaseException) -> dict[str, str]:
    """Return an error that a worker hands back instead of raising it: raising makes Ray start the workers again."""
    import torch

    kind = "MemoryError" if isinstance(error, torch.OutOfMemoryError) else type(error).__name__
    return {"failure": kind, "message": str(error) or kind}


def from_plain_data(failure: Mapping[str, str]) -> Exception:
    """Return the error that `as_plain_data` described."""
    kinds: dict[str, type[Exception]] = {
        kind.__name__: kind for kind in (UserError, DivergedError, MemoryError, NoResourcesError, StartError)
    }
    return kinds.get(failure["failure"], RuntimeError)(failure["message"])


def workers_failure(error: Exception, asked: str, restarts: int) -> Exception:
    """Translate what Ray Train raised when it gave up. asked: what the workers reserve, in words."""
    from ray.exceptions import OutOfMemoryError
    from ray.train.v2._internal.exceptions import InsufficientClusterResourcesError, WorkerGroupStartupTimeoutError

    from deep3dmap.train.placement import described_nodes

    cause = getattr(error, "controller_failure", None)
    if isinstance(cause, WorkerGroupStartupTimeoutError | InsufficientClusterResourcesError):
        return NoResourcesError(f"no resources: asked for {asked}; there is {described_nodes()}, and none came free in time")
    if _any_is(getattr(error, "worker_failures", {}).values(), (OutOfMemoryError, MemoryError)):
        return MemoryError(f"a worker ran out of memory {restarts + 1} times, the last time so: {error}")
    return RuntimeError(f"training failed after {restarts} restarts: {error}")


def _any_is(errors: Iterable[object], kinds: tuple[type[BaseException], ...]) -> bool:
    # A worker that was killed is told of by a failed health check that holds the reason.
    reasons = [getattr(error, "health_check_failure", error) for error in errors]
    return any(isinstance(reason, kinds) for reason in reasons)
