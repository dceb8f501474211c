"""Fields of configuration dataclasses: a default, one line of prose, and bounds from which a search space is derived."""

from dataclasses import MISSING, Field, field, fields
from typing import Any


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    log: bool = False,
    choices: tuple[Any, ...] = (),
) -> Any:
    """Declare a config field. `low`, `high`, `log` and `choices` are the bounds a sweep may draw from."""
    metadata = {"help": help, "low": low, "high": high, "log": log, "choices": choices}
    if isinstance(default, list | dict | set):
        return field(default_factory=lambda: default.copy(), metadata=metadata)
    return field(default=default, metadata=metadata)


def describe_options(config_type: type) -> list[tuple[str, str, Any, str]]:
    """Return (name, type, default, help) of every field of a config dataclass."""
    return [(f.name, _type_name(f), _default(f), f.metadata.get("help", "")) for f in fields(config_type)]


def _type_name(of: "Field[Any]") -> str:
    return of.type if isinstance(of.type, str) else getattr(of.type, "__name__", str(of.type))


def _default(of: "Field[Any]") -> Any:
    return of.default_factory() if of.default_factory is not MISSING else of.default
