"""Which runs are compared with which, and which are repetitions of one another."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

# Where things lie and how a run is seeded: seeds are repetitions of one entry, and data have a version of their own.
_NOT_SETTINGS = ("seed", "results", "data", "device", "trackers")


@dataclass(frozen=True, order=True)
class Group:
    """What has to be equal for numbers to be comparable."""

    suite: str
    protocol_version: int
    tier: str
    dataset: str
    dataset_variant: str
    dataset_version: str


@dataclass(frozen=True)
class Entry:
    """Runs that differ in their seed only. note: what tells it from other entries of the method, and what was left out."""

    group: Group
    method: str
    variant: str
    runs: pd.DataFrame
    note: str = ""

    @property
    def finished(self) -> pd.DataFrame:
        """The runs that ended well, one per seed."""
        return self.runs[self.runs.status == "ok"]


def split_into_entries(runs: pd.DataFrame) -> dict[Group, list[Entry]]:
    """Sort suite runs, as `ResultStore.runs` returns them, into groups and entries. Training runs are no part of it."""
    columns = list(Group.__dataclass_fields__)
    groups: dict[Group, list[Entry]] = {}
    for (suite, protocol, *names), members in runs[runs.suite != ""].groupby(columns, sort=True):
        group = Group(str(suite), int(str(protocol)), *map(str, names))
        groups[group] = [
            entry
            for (method, variant), own in members.groupby(["method", "variant"], sort=True)
            for entry in _entries_of(group, str(method), str(variant), own)
        ]
    return groups


def _entries_of(group: Group, method: str, variant: str, runs: pd.DataFrame) -> Iterator[Entry]:
    settings = {text: _settings(text) for text in set(runs.config.astype(str))}
    keyed = runs.assign(_settings=runs.config.map(lambda text: json.dumps(settings[text], sort_keys=True)))
    by_settings = {str(key): own.drop(columns="_settings") for key, own in keyed.groupby("_settings", sort=True)}
    differing = _differing([json.loads(key) for key in by_settings])
    for key, own in by_settings.items():
        flat = json.loads(key)
        notes = [f"{name}={flat.get(name)}" for name in differing]
        newest, left_out = _newest_version(own)
        if left_out:
            notes.append(f"code {newest.method_version.iloc[0]}; older code left out: {', '.join(left_out)}")
        yield Entry(group, method, variant, _one_per_seed(newest), "; ".join(notes))


def _newest_version(runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    newest = runs.sort_values("started_at").method_version.iloc[-1]
    return runs[runs.method_version == newest], sorted(set(runs.method_version) - {newest})


def _one_per_seed(runs: pd.DataFrame) -> pd.DataFrame:
    # The same seed twice: scored from a checkpoint, or on another number of scenes. The newest that ended well counts.
    ordered = runs.assign(_ok=runs.status == "ok").sort_values(["_ok", "started_at"])
    return ordered.groupby("seed", sort=True).tail(1).drop(columns="_ok").sort_values("seed")


def _settings(text: str) -> dict[str, Any]:
    config = {key: value for key, value in json.loads(text).items() if key not in _NOT_SETTINGS}
    if "checkpoint" in config:
        config["checkpoint"] = "given"
    flat = dict(_flatten(config))
    flat.pop("dataset.root", None)
    return flat


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _differing(settings: list[dict[str, Any]]) -> list[str]:
    names = sorted({name for flat in settings for name in flat})
    return [name for name in names if any(flat.get(name) != settings[0].get(name) for flat in settings)]
