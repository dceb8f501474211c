"""The curves of a run as JSON lines, one point each, as a run writes them while it trains."""

import json
from typing import Any


def parse_curves(text: str) -> list[dict[str, Any]]:
    """Return the points in a text; a last line cut short by a crash is left out."""
    rows = []
    for line in text.splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows
