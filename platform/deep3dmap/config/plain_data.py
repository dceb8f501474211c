"""Values that are what they say: no interpolation is left in them, so that building a configuration reads nothing else."""

import re
from collections.abc import Mapping
from typing import Any

from deep3dmap.core.errors import UserError


def check_plain(tree: Any, key: str = "", where: str = "") -> None:
    """Raise UserError if nested data hold an interpolation such as ${oc.env:NAME}, or a key that is no plain name.

    key: the dotted key of `tree`. where: the file it comes from.
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
        raise UserError(f"{file}{key} is '{tree}', but saved values are plain, and nothing in them is resolved")
