"""The settings of a run that tell entries apart, taken from its configuration."""

import json
from typing import Any

from deep3dmap.core.nested import flatten
from deep3dmap.results.run_id import content_hash

# Of a run of `evaluate`: the weights that it scored.
CHECKPOINT = "checkpoint"
# Where things lie and how a run is seeded: seeds are repetitions of one entry, and data have a version of their own.
_NOT_SETTINGS = ("seed", "results", "data", "device", "trackers")


def settings_of(config: str) -> dict[str, Any]:
    """Return the settings in a configuration, given as JSON, as a flat table such as {"method.width": 8}."""
    kept = {key: value for key, value in json.loads(config).items() if key not in _NOT_SETTINGS}
    if CHECKPOINT in kept:
        kept[CHECKPOINT] = "given"
    # An empty section sets nothing.
    flat = {key: value for key, value in flatten(kept).items() if value != {}}
    flat.pop("dataset.root", None)
    return flat


def settings_hash(config: str) -> str:
    """Return a hash that is equal for configurations with equal settings."""
    return content_hash(settings_of(config))


def differing(settings: list[dict[str, Any]]) -> list[str]:
    """Return the names of the settings that are not the same in all tables."""
    names = sorted({name for flat in settings for name in flat})
    return [name for name in names if any(flat.get(name) != settings[0].get(name) for flat in settings)]


def in_words(name: str, settings: dict[str, Any]) -> str:
    """Return one setting as it is said of an entry, such as `method.width=8`."""
    if name == CHECKPOINT:
        return "weights from a checkpoint, scored by `evaluate`" if name in settings else "trained by the benchmark"
    return f"{name}={settings.get(name)}"
