"""Storage that fails for a while is tried again, a bounded number of times; storage that is full or closed is not."""

import errno
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
# Seconds between the tries: half a minute in all, longer than a file server takes to come back from a restart.
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
# Waiting makes no room, grants no right and turns no file into a folder.
_FINAL = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR,
}  # fmt: skip


def retried(action: Callable[[], Result], pauses_s: tuple[float, ...] | None = None) -> Result:
    """Return what `action` returns, tried again after each pause while storage fails; raises what the last try raised.

    A failure of storage is an OSError, or any error that was raised from one.
    """
    for pause in PAUSES_S if pauses_s is None else pauses_s:
        try:
            return action()
        except Exception as error:
            if not may_pass(error):
                raise
            time.sleep(pause)
    return action()


def may_pass(error: BaseException) -> bool:
    """Whether an error is storage's and waiting may mend it."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno not in _FINAL
