"""Reading the suite.yaml next to a suite's protocol."""

from functools import cache
from typing import Any

import yaml

from deep3dmap.core.registry import suites


@cache
def read_suite_file(suite: str) -> tuple[str, dict[str, Any]]:
    """Return the path and the content of a suite's suite.yaml; ("", {}) if it does not exist."""
    file = suites.file(suite, "suite.yaml")
    return (str(file), yaml.safe_load(file.read_text()) or {}) if file else ("", {})
