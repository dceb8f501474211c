"""Loading saved configurations. The files are untrusted input, so only plain data are accepted: a file cannot cause code to be
imported, or environment variables and other files to be read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from deep3dmap.config.compose import Layer
from deep3dmap.config.overrides import OVERLAY_SECTIONS, as_override
from deep3dmap.config.plain_data import check_plain
from deep3dmap.config.schema import RunConfig
from deep3dmap.core.errors import UserError, nearest
from deep3dmap.core.nested import flatten
from deep3dmap.core.secrets import HIDDEN

_SECTIONS = (*OVERLAY_SECTIONS, "inputs")
_LEFT_OUT = ("schema", "results", "defaults")


@dataclass(frozen=True)
class SavedRun:
    """A saved run. method, dataset: NAME/VARIANT. config: nested values. tuned: {dotted key: value} found by a sweep."""

    file: Path
    method: str
    dataset: str
    config: Mapping[str, Any]
    tuned: Mapping[str, Any]

    def layer(self) -> Layer:
        """Return the values as a layer, without secrets that were hidden on saving; those come from the layers below."""
        values = flatten({key: value for key, value in self.config.items() if key not in _LEFT_OUT})
        return Layer(f"file {self.file}", tuple(as_override(key, value) for key, value in values.items() if value != HIDDEN))


def read_saved(file: Path, named: str, advice: str) -> SavedRun:
    """Read a configuration written by `train --cfg --json` or a sweep.

    named: how the file was specified, such as `from=FILE`. advice: how to create such a file. Raises UserError if the file is
    missing, is not a saved configuration, or contains anything but plain values of a run.
    """
    if file.is_dir() or not file.exists():
        raise UserError(f"{named}: {'a folder, not a saved configuration' if file.is_dir() else 'no such file'}; {advice}")
    try:
        text = file.read_text()
        read = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
        choices, config, tuned = read["choices"], read.get("config", {}), read.get("tuned", {})
        saved = SavedRun(file, str(choices["method"]), str(choices["dataset"]), dict(config), dict(tuned))
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{named}: not a saved configuration ({error}); {advice}") from error
    known = {option.name for option in fields(RunConfig)} | {*_LEFT_OUT, "trained_on", "checkpoint"}
    for key, value in saved.config.items():
        if key not in known or (key in _SECTIONS and not isinstance(value, Mapping)):
            raise UserError(f"{named}: '{key}' is not a section of a run configuration{nearest(str(key), known)}")
    for key in saved.tuned:
        if str(key).partition(".")[0] not in _SECTIONS:
            raise UserError(f"{named}: '{key}' is not a run setting{nearest(str(key), _SECTIONS)}")
    check_plain(saved.config, where=named)
    check_plain(saved.tuned, where=named)
    return saved


def check_choice(choice: str, named: str, kind: str, where: str) -> None:
    """Raise UserError if a file selects a `module:Class` that is not also named on the command line.

    choice: NAME/VARIANT in the file. named: the choice on the command line, "" if none. kind: "method" or "dataset".
    """
    code = choice.partition("/")[0]
    if ":" in code and code != named.partition("/")[0]:
        raise UserError(
            f"{where}: its {kind} is the module {code}, but a file cannot select code to import; "
            f"if you trust it, add {kind}={choice}"
        )
