"""What a leaderboard row says beside its value: cost, failures, what is missing, notes."""

from typing import Any

import numpy as np

from deep3dmap.results.cells import EntryCells
from deep3dmap.results.entries import Entry, RunColumns
from deep3dmap.results.schema import ENDED_EARLY

NAMED_SCENES = 6


def costs(entry: Entry, runs: RunColumns, scenes: int) -> dict[str, Any]:
    """Return the costs of an entry's finished runs; where each run covers one scene, those of one seed are added up."""
    names = ("train_s", "fit_s", "reconstruct_s", "seconds", "steps", "peak_ram_mb", "peak_gpu_mb", "parameters")
    finished = runs.finished(entry.places)
    if not len(finished):
        return dict.fromkeys(names)
    seeds, slot = np.unique(runs["seed"][finished], return_inverse=True)
    is_added = bool((runs["scene"][finished] != "").any())
    column = {name: runs[name][finished].astype(np.float64) for name in names if name != "seconds"}
    column["seconds"] = column["train_s"] + column["fit_s"] + column["reconstruct_s"]
    of_seeds = {
        name: _of_seeds(column[name], slot, len(seeds), is_added) for name in ("train_s", "fit_s", "reconstruct_s", "seconds")
    }
    means = {name: float(values.mean()) for name, values in of_seeds.items()}
    return {
        "train_s": means["train_s"],
        "fit_s": means["fit_s"] / scenes if scenes else None,
        "reconstruct_s": means["reconstruct_s"] / scenes if scenes else None,
        "seconds": means["seconds"],
        "steps": int(column["steps"].max()),
        "peak_ram_mb": float(column["peak_ram_mb"].max()),
        "peak_gpu_mb": float(column["peak_gpu_mb"].max()),
        "parameters": int(column["parameters"].max()),
    }


def failures(entry: Entry, runs: RunColumns) -> tuple[int, str]:
    """Return how many runs did not end well, and the last line of the newest one's error."""
    status = runs["status"][entry.places]
    bad = entry.places[status != "ok"]
    if not len(bad):
        return 0, ""
    last = bad[-1]
    line = (str(runs["error"][last]).strip().splitlines() or [""])[-1]
    failed = int(sum(one not in ("ok", *ENDED_EARLY) for one in status))
    return failed, f"{runs['status'][last]}: {line}".removesuffix(": ")


def missing_scenes(entry: Entry, runs: RunColumns) -> set[str]:
    """Return the scenes that the entry's runs of one scene each were about, whether they ended well or not."""
    return set(runs["scene"][entry.places]) - {""}


def what_is_wrong(metric: str, cells: EntryCells, scenes: list[str], entry: Entry, runs: RunColumns) -> str:
    """Return why an entry with finished runs has no value; empty where it has one."""
    if cells.is_finite or not len(runs.finished(entry.places)):
        return ""
    bad = [scenes[place] for place in np.flatnonzero((cells.known & ~np.isfinite(cells.values)).any(0))]
    if not bad:
        return f"no {metric}"
    where = f" on {len(bad)} of {int(cells.covered.sum())} scenes ({named(bad)})" if bad != [""] else ""
    return f"{metric} is not finite{where}"


def notes(entry: Entry, runs: RunColumns) -> str:
    """Return what tells the entry apart, what was left out, and where its runs were cut short."""
    found = [entry.note]
    if not entry.is_whole:
        found += sorted({f"seed {runs['seed'][place]}: {runs['cut_short'][place]}" for place in entry.places})
    return "; ".join(filter(None, found))


def named(scenes: list[str] | tuple[str, ...]) -> str:
    """Return a list of scenes in words, the first few by name."""
    more = len(scenes) - NAMED_SCENES
    return ", ".join(scenes[:NAMED_SCENES]) + (f" and {more} more" if more > 0 else "")


def _of_seeds(values: Any, slot: Any, seeds: int, is_added: bool) -> Any:
    """Return (seeds,) sums of the runs of each seed, or the value of its last one where a run covers all scenes."""
    found = np.zeros(seeds)
    if is_added:
        np.add.at(found, slot, values)
    else:
        # Of several values assigned to one place the last one stays.
        found[slot] = values
    return found
