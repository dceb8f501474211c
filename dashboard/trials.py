"""States of the trials of benchmarks and sweeps; only changed files are read again."""

import time
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import fs

from deep3dmap.core.errors import UserError
from deep3dmap.dashboard.following import FolderWatch
from deep3dmap.dashboard.look import LONGEST_NAME, one_line
from deep3dmap.results.curve_lines import parse_curves
from deep3dmap.results.parquet_files import decode
from deep3dmap.results.reading_files import DAMAGE, reason_of
from deep3dmap.results.store import ResultStore

FOLDER = "tables/trials"
# In a store with a long history, only recent trials and those that have not ended are of interest.
RECENT_S, MOST = 24 * 3600.0, 500
TAIL_BYTES = 4_000_000


@dataclass(frozen=True)
class TrialState:
    """State of a trial. state: pending, running, or how it ended. text: description. since: time of the last update."""

    run_id: str
    state: str
    text: str
    since: pd.Timestamp


class Trials:
    """The states of a store's trials."""

    def __init__(self, store: ResultStore) -> None:
        self.store = store
        self._known: dict[str, tuple[int, TrialState | None]] = {}
        self._watch = FolderWatch(store.storage.local / FOLDER) if store.storage.local else None
        self._files: list[fs.FileInfo] = []
        self.problems: dict[str, str] = {}

    def find_active(self, ended: frozenset[str]) -> list[TrialState]:
        """Return running trials, then pending ones, the newest first. ended: ids of runs that have a row in the table."""
        if self._watch is None or self._watch.has_changed():
            self._files = self._list_relevant_files(ended)
        states = [self._state(info) for info in self._files]
        kept = [one for one in states if one and one.state in ("running", "pending")]
        return sorted(kept, key=lambda one: (one.state != "running", -one.since.timestamp()))

    def find_state(self, run_id: str) -> TrialState | None:
        """Return the state of one trial, None if it is unknown."""
        (info,) = self.store.storage.filesystem.get_file_info([self.store.storage.path(f"{FOLDER}/{run_id}.parquet")])
        return self._state(info) if info.is_file else None

    def _list_relevant_files(self, ended: frozenset[str]) -> list[fs.FileInfo]:
        place = self.store.storage.path(FOLDER)
        found = self.store.storage.filesystem.get_file_info(fs.FileSelector(place, allow_not_found=True))
        files = [info for info in found if info.is_file and info.base_name.endswith(".parquet") and info.base_name[0] != "."]
        newest = time.time_ns() - RECENT_S * 1e9
        kept = [info for info in files if info.base_name.removesuffix(".parquet") not in ended or info.mtime_ns > newest]
        return sorted(kept, key=lambda info: -info.mtime_ns)[:MOST]

    def _state(self, info: fs.FileInfo) -> TrialState | None:
        before = self._known.get(info.base_name)
        if before is None or before[0] != info.mtime_ns:
            self._known[info.base_name] = before = (info.mtime_ns, self._read(info.base_name))
        return before[1]

    def _read(self, name: str) -> TrialState | None:
        self.problems.pop(name, None)
        try:
            (row,) = decode(self.store.storage.read(f"{FOLDER}/{name}")).table.to_pylist()
            return TrialState(str(row["run_id"]), str(row["state"]), str(row["text"]), pd.Timestamp(row["since"]))
        except FileNotFoundError:
            return None
        except (*DAMAGE, TypeError, pa.ArrowException) as error:
            self.problems[name] = f"{self.store.uri}/{FOLDER}/{name} is damaged and left out: {reason_of(error)}"
            return None


@cache
def trials_of(uri: str) -> Trials:
    """Return the trials of a store, shared by all visitors."""
    return Trials(ResultStore(uri))


def live_curves(store: ResultStore, run_id: str) -> pd.DataFrame:
    """Return the curves of a run that has not ended, from its working folder; empty if the store is not local.

    Columns: step, seconds, name, value, scene.
    """
    rows = []
    work = store.storage.local / "work" / run_id if store.storage.local else None
    for file in [work / "curves.jsonl", *sorted(work.glob("scenes/*/curves.jsonl"))] if work else []:
        scene = "" if file.parent == work else file.parent.name
        rows += [{**row, "scene": scene} for row in parse_curves(_tail(store, file))]
    frame = pd.DataFrame(rows, columns=["step", "seconds", "name", "value", "scene"])
    return frame.astype({"step": "int64", "seconds": "float64", "value": "float64"})


def _tail(store: ResultStore, file: Path) -> str:
    try:
        name = store.storage.path(str(file.relative_to(store.uri)))
        with open(name, "rb") as stream:
            stream.seek(max(0, file.stat().st_size - TAIL_BYTES))
            return stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except UserError as error:
        warnings.warn(str(error), stacklevel=2)
        return ""


def parse_progress(text: str) -> float | None:
    """Return the completed share of a trial from a text such as "scored 4 of 12"; None if the text has no such numbers."""
    words = one_line(text, 10 * LONGEST_NAME).rpartition(": ")[2].split()
    if len(words) >= 3 and words[-2] == "of" and words[-1].isdigit() and words[-3].isdigit() and int(words[-1]):
        return min(int(words[-3]) / int(words[-1]), 1.0)
    return None
