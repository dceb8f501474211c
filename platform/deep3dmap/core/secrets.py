"""Keeping keys, tokens and passwords out of tables, logs and pictures."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

HIDDEN = "(hidden)"
# Minimum length of a secret that is replaced in text; shorter ones could match ordinary words.
_SHORTEST = 8
_NAME = re.compile(
    r"(?:^|[._\-\s])(?:\w*_)?(?:tokens?|secrets?|passwords?|passwd|passphrase|credentials?|auth|api_?key|access_?key"
    r"|account_?key|private_?key|secret_?key|license_?key|key)(?:_?id)?$",
    re.IGNORECASE,
)
_USER_OF_URL = re.compile(r"(?<=://)[^/\s@]+:[^/\s@]+(?=@)")
_ARGUMENT = re.compile(r"(?P<name>[\w.\-]+)=(?P<value>[^\s&?]+)")


def is_secret(name: str) -> bool:
    """Return whether the name of an option or variable indicates that its value is confidential."""
    return _NAME.search(name) is not None


def hide(tree: Any, name: str = "") -> Any:
    """Return plain data with strings under secret names, and secrets from the environment, replaced by a placeholder."""
    if isinstance(tree, Mapping):
        return {key: hide(value, str(key)) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [hide(value, name) for value in tree]
    if not isinstance(tree, str):
        return tree
    return HIDDEN if tree and is_secret(name) else hide_in_text(tree)


def hide_in_text(text: str, config: Mapping[str, Any] | None = None) -> str:
    """Remove secrets from a text: those in the environment and the configuration, `secret=...` and `user:password@`."""
    values = {*_of_environment(), *(value for value in _under_secret_names(config or {}) if len(value) >= _SHORTEST)}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    text = _USER_OF_URL.sub(HIDDEN, text)
    return _ARGUMENT.sub(lambda found: f"{found['name']}={HIDDEN}" if is_secret(found["name"]) else found[0], text)


def _of_environment() -> Iterator[str]:
    return (value for name, value in os.environ.items() if is_secret(name) and len(value) >= _SHORTEST)


def _under_secret_names(tree: Any, name: str = "") -> Iterator[str]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _under_secret_names(value, str(key))
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _under_secret_names(value, name)
    elif isinstance(tree, str) and tree and is_secret(name):
        yield tree
