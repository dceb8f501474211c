"""Check of the plugins installed on the server, in a separate process because methods may import anything."""

import json
import subprocess
import sys
from typing import Any

from deep3dmap.core.errors import UserError

TIMEOUT_S = 300


def findings() -> list[dict[str, Any]]:
    """Return the findings of `deep3dmap doctor`: dicts with `what`, `works`, `detail` and `remedy`.

    Raises UserError if the command fails or takes too long.
    """
    command = [sys.executable, "-m", "deep3dmap.cli", "doctor", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        found: list[dict[str, Any]] = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"`deep3dmap doctor` did not finish within {TIMEOUT_S} s") from error
    except ValueError as error:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise UserError(f"`deep3dmap doctor --json` failed: {last}") from error
    return found
