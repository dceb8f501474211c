"""Rejection of interpolations in values, so that building a configuration cannot read the environment or files."""

import re
from collections.abc import Mapping
from typing import Any

from deep3dmap.core.errors import UserError


def check_plain(tree: Any, key: str = "", where: str = "") -> None:
    """Raise UserError if nested data contain an interpolation such as ${oc.env:NAME}, or a key that is not a plain name.

    key: dotted key of `tree`. where: the file it was read from.
    """
    file = f"{where}: " if where else ""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            if not re.fullmatch(r"[\w.\-]+", str(name)):
                raise UserError(f"{file}'{name}' is not a valid option name")
            check_plain(value, f"{key}.{name}".lstrip("."), where)
    elif isinstance(tree, list | tuple):
        for value in tree:
            check_plain(value, key, where)
    elif isinstance(tree, str) and "${" in tree:
        raise UserError(f"{file}{key} is '{tree}', but saved values are plain data without interpolations")
