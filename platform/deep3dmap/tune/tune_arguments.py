"""The arguments of `deep3dmap tune`: options and search space of the sweep, and the run that is varied."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from deep3dmap.config.compose import Layer, build_section
from deep3dmap.config.overrides import as_override, split_override
from deep3dmap.core.errors import UserError, nearest
from deep3dmap.core.options import default_of
from deep3dmap.tune.options import TuneOptions

PREFIX, SPACE = "tune.", "tune.space."


@dataclass(frozen=True)
class TuneRequest:
    """Parsed arguments. space: {dotted key: text}. overrides: `key=value` of the run."""

    options: TuneOptions
    space: dict[str, Any]
    method: str
    dataset: str
    overrides: tuple[str, ...]
    results: str
    layers: tuple[Layer, ...] = ()


def parse_arguments(texts: Sequence[str]) -> TuneRequest:
    """Parse `key=value` arguments; raises UserError for an unknown key or value, suggesting the closest valid one."""
    tune_values: dict[str, Any] = {}
    space: dict[str, Any] = {}
    run_values: dict[str, Any] = {}
    for text in texts:
        key, _, written = text.removeprefix("+").partition("=")
        if key.startswith(SPACE):
            # A domain is not a valid value in Hydra's grammar.
            space[key.removeprefix(SPACE)] = written
            continue
        key, value = split_override(text)
        if key.startswith(PREFIX):
            _set(tune_values, key, value)
        else:
            run_values[key] = value
    options = build_options(tune_values)
    method, dataset = str(run_values.pop("method", "")), str(run_values.pop("dataset", ""))
    results = str(run_values.pop("results", "results"))
    overrides = tuple(as_override(key, value) for key, value in run_values.items())
    return TuneRequest(options, space, method, dataset, overrides, results)


def build_options(values: dict[str, Any]) -> TuneOptions:
    """Build the options from plain data; raises UserError for a value that is not allowed."""
    options: TuneOptions = build_section(TuneOptions, values, "tune.")
    return options


def option_lines() -> list[tuple[str, Any, str]]:
    """Return (key, default, help) of every option."""
    lines = [(PREFIX + f.name, default_of(f), f.metadata["help"]) for f in fields(TuneOptions) if f.metadata]
    for group in (f for f in fields(TuneOptions) if not f.metadata):
        kind: Any = group.type
        lines += [(f"{PREFIX}{group.name}.{f.name}", default_of(f), f.metadata["help"]) for f in fields(kind)]
    return lines


def _set(tune_values: dict[str, Any], key: str, value: Any) -> None:
    names = [name.removeprefix(PREFIX) for name, _, _ in option_lines()]
    name = key.removeprefix(PREFIX)
    if name not in names:
        raise UserError(f"unknown key '{key}'{nearest(key, [*(PREFIX + known for known in names), SPACE + 'KEY'])}")
    group, _, inner = name.partition(".")
    if inner:
        tune_values.setdefault(group, {})[inner] = value
    else:
        tune_values[group] = value
