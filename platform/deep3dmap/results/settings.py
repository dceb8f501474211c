"""The settings in a run's configuration that distinguish entries."""

import json
from typing import Any

from deep3dmap.core.nested import flatten
from deep3dmap.results.run_id import content_hash

# Set for runs of `evaluate`: the weights that were scored.
CHECKPOINT = "checkpoint"
# Locations, devices and seeds: seeds are repetitions of one entry, and data are versioned separately.
_NOT_SETTINGS = ("seed", "results", "data", "device", "trackers")


def settings_of(config: str) -> dict[str, Any]:
    """Return the settings of a JSON configuration as a flat dict such as {"method.width": 8}."""
    kept = {key: value for key, value in json.loads(config).items() if key not in _NOT_SETTINGS}
    if CHECKPOINT in kept:
        kept[CHECKPOINT] = "given"
    # Drop empty sections.
    flat = {key: value for key, value in flatten(kept).items() if value != {}}
    flat.pop("dataset.root", None)
    return flat


def settings_hash(config: str) -> str:
    """Return a hash of the settings of a configuration."""
    return content_hash(settings_of(config))


def find_differing(settings: list[dict[str, Any]]) -> list[str]:
    """Return the names of the settings that are not equal in all dicts."""
    names = sorted({name for flat in settings for name in flat})
    return [name for name in names if any(flat.get(name) != settings[0].get(name) for flat in settings)]


def describe_setting(name: str, settings: dict[str, Any]) -> str:
    """Return one setting as shown in notes, such as `method.width=8`."""
    if name == CHECKPOINT:
        return "weights from a checkpoint, scored by `evaluate`" if name in settings else "trained by the benchmark"
    return f"{name}={settings.get(name)}"
