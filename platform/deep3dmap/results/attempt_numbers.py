"""Attempt numbers: chronological, and unique without a counter shared between writers."""

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
    """Return a new attempt number below 2^63: microseconds since 2020 followed by random bits, so newer attempts are larger.

    Two processes collide only if they call this in the same microsecond and draw the same 13 bits; a single process never
    returns the same number twice. Earlier versions counted attempts from 1, so their numbers are smaller than all of these.
    """
    global _last_us
    with _lock:
        _last_us = max(_last_us + 1, (time.time_ns() // 1000 if now_us is None else now_us) - _EPOCH_US)
        return (_last_us << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)


def attempt_at(started_us: int, salt: int) -> int:
    """Return the number for an attempt that was counted from 1, derived deterministically from its start and a salt."""
    return (max(started_us - _EPOCH_US, 1) << _RANDOM_BITS) | (salt % (1 << _RANDOM_BITS))


def is_counted(attempt: int) -> bool:
    """Return whether an attempt was counted from 1, as in earlier versions."""
    return attempt < 1 << _RANDOM_BITS


def check_id(run_id: str) -> str:
    """Return a run id unchanged; raises UserError if it is invalid, such as a path that leads out of the store."""
    if not _ID.fullmatch(run_id):
        raise UserError(f"'{run_id}' is not a valid run id; use letters, digits, '-', '_' and '.'")
    return run_id


def attempt_name(run_id: str, attempt: int) -> str:
    """Return the prefix of an attempt's file names."""
    return f"{run_id}-{attempt}"
