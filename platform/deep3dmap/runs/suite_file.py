"""The suite.yaml beside a suite's protocol, as plain data."""

from functools import cache
from typing import Any

import yaml

from deep3dmap.core.registry import suites


@cache
def read_suite_file(suite: str) -> tuple[str, dict[str, Any]]:
    """Return the path of a suite's suite.yaml and what it holds; ("", {}) where there is none."""
    file = suites.file(suite, "suite.yaml")
    return (str(file), yaml.safe_load(file.read_text()) or {}) if file else ("", {})
