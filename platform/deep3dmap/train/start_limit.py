"""How long a start may go on without progress before it is said what it waits for, and before it is given up."""

import os

from deep3dmap.core.errors import UserError

# Not a field of a run's configuration: it decides nothing about a run's numbers.
LIMIT = "DEEP3DMAP_START_TIMEOUT_S"
DEFAULT_S = 30.0
# A machine that is merely busy has been seen to take two limits.
GIVEN_UP_AFTER = 4


def start_limit_s() -> float:
    """Seconds until a start that does not progress says what it waits for; it is given up after four times as many.

    Raises UserError if $DEEP3DMAP_START_TIMEOUT_S is no positive number.
    """
    text = os.environ.get(LIMIT, str(DEFAULT_S))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise UserError(f"{LIMIT}={text} is no positive number of seconds")
    return seconds
