"""Numbers of attempts: unique without a counter that writers would have to share, and in the order of time."""

import re
import secrets
import threading
import time

from deep3dmap.core.errors import UserError

_EPOCH_US = 1_577_836_800_000_000  # 2020-01-01
_RANDOM_BITS = 13
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,127}")
_lock, _last_us = threading.Lock(), 0


def new_attempt(now_us: int | None = None) -> int:
    """Return a number below 2^63: microseconds since 2020, so that the newest is the largest, and random bits after them.

    Two processes share a number only if they ask in the same microsecond and draw the same 13 bits; one process never gives
    one twice. The attempts of earlier versions were counted from 1 and are smaller than all of these.
    """
    global _last_us
    with _lock:
        _last_us = max(_last_us + 1, (time.time_ns() // 1000 if now_us is None else now_us) - _EPOCH_US)
        return (_last_us << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)


def attempt_at(started_us: int, salt: int) -> int:
    """Return the number of an attempt that was counted before, from its start and a salt, the same every time."""
    return (max(started_us - _EPOCH_US, 1) << _RANDOM_BITS) | (salt % (1 << _RANDOM_BITS))


def is_counted(attempt: int) -> bool:
    """Whether an attempt was counted from 1, as earlier versions did."""
    return attempt < 1 << _RANDOM_BITS


def check_id(run_id: str) -> str:
    """Return an id of a run; raises UserError for what is none, such as a path that would leave the store."""
    if not _ID.fullmatch(run_id):
        raise UserError(f"'{run_id}' is not a valid run id; use letters, digits, '-', '_' and '.'")
    return run_id


def attempt_name(run_id: str, attempt: int) -> str:
    """Return the name that the files of an attempt begin with."""
    return f"{run_id}-{attempt}"
