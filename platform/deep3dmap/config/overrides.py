"""Parsing and formatting single overrides in Hydra's command-line grammar."""

from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf

from deep3dmap.core.errors import UserError

OVERLAY_SECTIONS = ("method", "dataset", "trainer", "optimizer", "schedule", "fit", "data")


def split_override(text: str) -> tuple[str, Any]:
    """Return (key, plain value) of one `key=value` override; raises UserError for invalid syntax."""
    try:
        override = OverridesParser.create().parse_override(text)
    except (OverrideParseException, HydraException) as error:
        raise UserError(f"cannot read '{text}': arguments are key=value ({str(error).splitlines()[0]})") from error
    if override.is_sweep_override():
        as_list = "" if "(" in text else f"; write a list as {text.replace('=', '=[', 1)}]"
        raise UserError(f"{text}: expected a single value{as_list}")
    value = override.value()
    return override.key_or_group, OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def as_override(key: str, value: Any) -> str:
    """Format a key and a plain value as `key=value` in Hydra's grammar."""
    return f"{key}={_literal(value)}"


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(_literal(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_literal(item)}" for key, item in value.items()) + "}"
    escaped = (
        str(value).replace("\\", "\\\\").replace("'", "\\'") if str(value).endswith("\\") else str(value).replace("'", "\\'")
    )
    return f"'{escaped}'"
