"""Retries storage operations after temporary failures, a bounded number of times, but not if storage is full or read-only."""

import errno
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
# Seconds between attempts: half a minute in total, longer than a file server takes to restart.
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
# Errors that waiting does not fix: no space, no permission, a file in place of a folder and the like.
_FINAL = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR,
}  # fmt: skip


def call_with_retries(
    action: Callable[[], Result], pauses_s: tuple[float, ...] | None = None, final: tuple[type[Exception], ...] = ()
) -> Result:
    """Return the result of `action`, retried after each pause while storage fails; raises the error of the last attempt.

    A storage failure is an OSError, or any error raised from one. final: errors that are answers, and raised at once.
    """
    for pause in PAUSES_S if pauses_s is None else pauses_s:
        try:
            return action()
        except Exception as error:
            if isinstance(error, final) or not is_temporary(error):
                raise
            time.sleep(pause)
    return action()


def is_temporary(error: BaseException) -> bool:
    """Return whether an error is a storage failure that may be temporary."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno not in _FINAL
