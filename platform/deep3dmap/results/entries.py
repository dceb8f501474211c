"""Grouping of runs: which runs are comparable, and which are repetitions of one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deep3dmap.results.settings import describe_setting, find_differing, settings_of

# Number of characters shown of the hash of a method's code; enough to distinguish versions.
CODE_SHOWN = 8


@dataclass(frozen=True, order=True)
class Group:
    """The fields that must be equal for results to be comparable."""

    suite: str
    protocol_version: int
    tier: str
    dataset: str
    dataset_variant: str
    dataset_version: str


@dataclass(frozen=True)
class Entry:
    """Runs that differ only in their seed, or in the single scene that each covers.

    places: indices of the runs in the table, ordered by start time. Of several runs with the same seed and scene, the
    successful ones are included, or only the newest if none succeeded. is_whole: whether none was cut short. note: settings
    that distinguish it from other entries of the method, and versions of the code that were left out.
    """

    group: Group
    method: str
    variant: str
    places: NDArray[np.int64]
    is_whole: bool = True
    note: str = ""


class RunColumns:
    """The columns of the table of runs as arrays, each converted once."""

    def __init__(self, runs: pd.DataFrame) -> None:
        self._runs = runs
        self._found: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._found:
            self._found[name] = self._runs[name].to_numpy()
        return self._found[name]

    def __len__(self) -> int:
        return len(self._runs)

    def finished(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the subset of `places` whose runs ended with status ok."""
        return places[self["status"][places] == "ok"]


def split_into_entries(runs: pd.DataFrame) -> dict[Group, list[Entry]]:
    """Sort suite runs, as returned by `ResultStore.runs`, into groups and entries. Training runs are ignored.

    Runs that were cut short form separate entries and are never averaged with complete ones.
    """
    builder = _EntryBuilder(RunColumns(runs))
    groups: dict[Group, list[Entry]] = {}
    keys = [*Group.__dataclass_fields__, "method", "variant"]
    of_suites = np.flatnonzero(runs.suite != "")
    found: dict[Any, Any] = runs.iloc[of_suites].groupby(keys, sort=True).indices
    for key, places in found.items():
        suite, protocol, tier, dataset, data_variant, data_version, method, variant = key
        group = Group(str(suite), int(protocol), str(tier), str(dataset), str(data_variant), str(data_version))
        groups.setdefault(group, []).extend(builder.entries(group, str(method), str(variant), of_suites[places]))
    return groups


class _EntryBuilder:
    def __init__(self, columns: RunColumns) -> None:
        self.columns = columns
        self.is_whole = columns["cut_short"] == ""

    def entries(self, group: Group, method: str, variant: str, places: NDArray[np.int64]) -> list[Entry]:
        places = places[np.argsort(self.columns["started_at"][places], kind="stable")]
        settings, code = self.columns["settings_hash"], self.columns["method_version"]
        by_settings = {str(key): places[settings[places] == key] for key in sorted(set(settings[places]))}
        notes = self._notes([own[-1] for own in by_settings.values()])
        found = []
        for own, note in zip(by_settings.values(), notes):
            newest = code[own[-1]]
            if older := sorted(set(code[own]) - {newest}):
                left = ", ".join(version[:CODE_SHOWN] for version in older)
                note = "; ".join(filter(None, [note, f"code {newest[:CODE_SHOWN]}; older code left out: {left}"]))
                own = own[code[own] == newest]
            for whole in (True, False):
                kept = self._select_counted_runs(own[self.is_whole[own] == whole])
                if len(kept):
                    found.append(Entry(group, method, variant, kept, whole, note))
        return found

    def _notes(self, examples: Sequence[int]) -> list[str]:
        if len(examples) == 1:
            return [""]
        settings = [settings_of(str(self.columns["config"][place])) for place in examples]
        names = find_differing(settings)
        return ["; ".join(describe_setting(name, flat) for name in names) for flat in settings]

    def _select_counted_runs(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        seed, scene, status = (self.columns[name] for name in ("seed", "scene", "status"))
        best: dict[tuple[int, str], list[int]] = {}
        for place in places.tolist():
            key = (int(seed[place]), str(scene[place]))
            before = best.get(key, [])
            if status[place] == "ok":
                best[key] = [*(one for one in before if status[one] == "ok"), place]
            elif not before or status[before[-1]] != "ok":
                # A failed run is kept only if no run succeeded.
                best[key] = [place]
        return np.array(sorted(place for own in best.values() for place in own), np.int64)
