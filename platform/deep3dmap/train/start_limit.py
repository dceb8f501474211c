"""How long a startup may make no progress before the delay is reported, and before it is given up."""

import os

from deep3dmap.core.errors import UserError

# Not a field of a run's configuration, because it does not affect the run's numbers.
LIMIT = "DEEP3DMAP_START_TIMEOUT_S"
DEFAULT_S = 30.0
# A merely busy machine has been seen to take twice the limit.
GIVEN_UP_AFTER = 4


def start_limit_s() -> float:
    """Return the seconds after which a stalled startup is reported; it is given up after four times as many.

    Raises UserError unless $DEEP3DMAP_START_TIMEOUT_S is a positive number.
    """
    text = os.environ.get(LIMIT, str(DEFAULT_S))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise UserError(f"{LIMIT}={text} is not a positive number of seconds")
    return seconds
