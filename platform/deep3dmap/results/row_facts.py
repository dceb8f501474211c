"""The fields of a leaderboard row other than its value: costs, failures, missing scenes, notes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.results.cells import EntryCells
from deep3dmap.results.entries import Entry, RunColumns
from deep3dmap.results.schema import ENDED_EARLY

NAMED_SCENES = 6
TIMES, LARGEST = ("train_s", "fit_s", "reconstruct_s"), ("steps", "peak_ram_mb", "peak_gpu_mb", "parameters")


@dataclass(frozen=True)
class Costs:
    """Costs of an entry's finished runs: times in seconds are means over seeds, the others are maxima over runs.

    Fields are None if no run has finished.
    """

    train_s: float | None = None
    fit_s: float | None = None
    reconstruct_s: float | None = None
    seconds: float | None = None
    steps: int | None = None
    peak_ram_mb: float | None = None
    peak_gpu_mb: float | None = None
    parameters: int | None = None

    def per_scene(self, scenes: int) -> dict[str, Any]:
        """Return the fields, with the times of fitting and reconstruction divided by the number of scenes."""
        found = dict(vars(self))
        for name in ("fit_s", "reconstruct_s"):
            found[name] = found[name] / scenes if scenes and found[name] is not None else None
        return found


def costs(entry: Entry, runs: RunColumns) -> Costs:
    """Return the costs of an entry's finished runs; if each run covers a single scene, times are summed per seed."""
    finished = runs.finished(entry.places)
    if not len(finished):
        return Costs()
    seeds, slot = np.unique(runs["seed"][finished], return_inverse=True)
    is_added = bool((runs["scene"][finished] != "").any())
    times = np.stack([runs[name][finished] for name in TIMES]).astype(np.float64)
    of_seeds = _aggregate_by_seed(np.concatenate([times, times.sum(0, keepdims=True)]), slot, len(seeds), is_added)
    train, fit, reconstruct, seconds = of_seeds.mean(1).tolist()
    steps, ram, gpu, parameters = (runs[name][finished].max() for name in LARGEST)
    return Costs(train, fit, reconstruct, seconds, int(steps), float(ram), float(gpu), int(parameters))


def failures(entry: Entry, runs: RunColumns) -> tuple[int, str]:
    """Return the number of failed runs, and the status and last error line of the newest run that is not ok.

    Runs that were stopped or interrupted are not counted as failed.
    """
    status = runs["status"][entry.places]
    bad = entry.places[status != "ok"]
    if not len(bad):
        return 0, ""
    last = bad[-1]
    line = (str(runs["error"][last]).strip().splitlines() or [""])[-1]
    failed = int(sum(one not in ("ok", *ENDED_EARLY) for one in status))
    return failed, f"{runs['status'][last]}: {line}".removesuffix(": ")


def missing_scenes(entry: Entry, runs: RunColumns) -> set[str]:
    """Return the scenes targeted by the entry's single-scene runs, successful or not."""
    return set(runs["scene"][entry.places]) - {""}


def explain_missing_value(metric: str, cells: EntryCells, scenes: list[str], entry: Entry, runs: RunColumns) -> str:
    """Return why an entry with finished runs has no value; empty if it has one."""
    if cells.is_finite or not len(runs.finished(entry.places)):
        return ""
    bad = [scenes[place] for place in np.flatnonzero((cells.known & ~np.isfinite(cells.values)).any(0))]
    if not bad:
        return f"no {metric}"
    where = f" on {len(bad)} of {int(cells.covered.sum())} scenes ({name_scenes(bad)})" if bad != [""] else ""
    return f"{metric} is not finite{where}"


def notes(entry: Entry, runs: RunColumns) -> str:
    """Return the entry's note, followed by where its runs were cut short."""
    found = [entry.note]
    if not entry.is_whole:
        found += sorted({f"seed {runs['seed'][place]}: {runs['cut_short'][place]}" for place in entry.places})
    return "; ".join(filter(None, found))


def name_scenes(scenes: list[str] | tuple[str, ...]) -> str:
    """Return a list of scenes in words, naming only the first few."""
    more = len(scenes) - NAMED_SCENES
    return ", ".join(scenes[:NAMED_SCENES]) + (f" and {more} more" if more > 0 else "")


def _aggregate_by_seed(values: NDArray[np.float64], slot: NDArray[np.int64], seeds: int, is_added: bool) -> NDArray[np.float64]:
    """Return (N, seeds): sums of (N, R) values over the runs of each seed if `is_added`, else the values of its last run."""
    found = np.zeros((len(values), seeds))
    if is_added:
        for own, value in zip(found, values):
            np.add.at(own, slot, value)
    else:
        # If a position is assigned several values, the last one wins.
        found[:, slot] = values
    return found
