"""Scoring the saved predictions of runs again with the current metrics."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from deep3dmap.config.open_dataset import missing_data
from deep3dmap.core.dataset import Split
from deep3dmap.core.errors import UserError
from deep3dmap.core.protocol import Protocol
from deep3dmap.core.reconstruction import Reconstruction
from deep3dmap.core.reconstruction_files import ABOUT_FILE
from deep3dmap.core.registry import suites
from deep3dmap.core.scene_names import folder_name
from deep3dmap.results.attempt_numbers import attempt_name
from deep3dmap.results.reproduction import cells_of_attempt
from deep3dmap.results.storage import Storage
from deep3dmap.results.store import ResultStore
from deep3dmap.results.verify import Problem
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.runs.staleness import Freshness

# Saved meshes have single precision, which can move this share of points across a threshold.
TOLERANCE = 1e-3
Cells = Mapping[tuple[str, str], float]


def rescore(store: ResultStore, freshness: Freshness) -> list[Problem]:
    """Return a problem for every fresh run whose saved predictions now have different scores.

    Views and samples are not saved, so their metrics are skipped. No data are generated: a run whose test data are missing is
    counted in `freshness.unchecked`.
    """
    splits: dict[str, Split | None] = {}
    found = []
    for row, plan in freshness.fresh:
        key = f"{plan.suite} {plan.dataset} {plan.config['dataset']} {plan.config['data']}"
        if key not in splits:
            splits[key] = _split(plan)
        split = splits[key]
        if split is None:
            freshness.count_unchecked(
                f"predictions on {plan.dataset}/{plan.dataset_variant}, whose test data are not generated"
            )
        elif problem := _compare_scores(store, row, suites.load(plan.suite)(), split):
            found.append(problem)
    return found


def _split(plan: RunPlan) -> Split | None:
    dataset = plan.open_dataset()
    try:
        return None if missing_data(dataset, ["test"]) else suites.load(plan.suite)().scenes(dataset.split("test"))
    except UserError:
        return None


def _compare_scores(store: ResultStore, row: Any, protocol: Protocol, split: Split) -> Problem | None:
    run_id, attempt = str(row.run_id), int(row.attempt)
    before = cells_of_attempt(store, run_id, attempt)
    with _artifact_folder(store, run_id, attempt) as folder:
        try:
            after = _values(protocol, split, folder, {scene for _, scene in before})
        except UserError as error:
            return Problem("rescored", attempt_name(run_id, attempt), f"its saved predictions cannot be scored: {error}")
    differing = {cell: value for cell, value in after.items() if not _is_same(before.get(cell), value)}
    if not differing:
        return None
    (metric, scene), value = next(iter(sorted(differing.items())))
    where = f"{metric} of {scene}" if scene else metric
    message = f"{len(differing)} of {len(after)} values have changed, such as {where}: {value:.6g}, was "
    was = before.get((metric, scene))
    return Problem("rescored", attempt_name(run_id, attempt), message + ("missing" if was is None else f"{was:.6g}"))


def _values(protocol: Protocol, split: Split, folder: Path, scored: set[str]) -> Cells:
    """Return {(metric, scene): value} for the scenes that were scored and saved, in the order of the split."""
    evaluation, found = protocol.begin(), dict[tuple[str, str], float]()
    is_complete = "samples" not in protocol.card.task.wanted
    for index in range(len(split)):
        scene = split.name(index)
        scene_folder = folder / folder_name(scene)
        if scene not in scored:
            continue
        if not (scene_folder / ABOUT_FILE).is_file():
            is_complete = False
            continue
        reconstruction, truth = Reconstruction.load(scene_folder), split[index]
        # Rendered views are not saved, and pooled metrics would differ without them.
        is_complete = is_complete and not evaluation.queries(reconstruction, truth)
        for metric, value in evaluation.add(scene, reconstruction, None, truth).items():
            found[metric, scene] = float(value)
    if is_complete and found:
        found |= {(metric, ""): float(value) for metric, value in evaluation.finish().items()}
    return found


def _is_same(before: float | None, after: float) -> bool:
    if before is None or pd.isna(before) or pd.isna(after):
        return before is not None and pd.isna(before) == pd.isna(after)
    return before == after or abs(before - after) <= TOLERANCE * max(abs(before), abs(after))


@contextmanager
def _artifact_folder(store: ResultStore, run_id: str, attempt: int) -> Iterator[Path]:
    """Provide the folder of an attempt's artifacts; for a remote store, a temporary copy."""
    if store.storage.local:
        yield store.storage.local / store.artifacts_name(run_id, attempt)
        return
    with tempfile.TemporaryDirectory(prefix="deep3dmap-kept-") as folder:
        Storage(store.artifacts_path(run_id, attempt)).download(Path(folder))
        yield Path(folder)
