"""Training curves as JSON lines, one point per line, as written during training."""

import json
from typing import Any


def parse_curves(text: str) -> list[dict[str, Any]]:
    """Return the points in a text, skipping lines that are not valid JSON, such as a last line truncated by a crash."""
    rows = []
    for line in text.splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows
