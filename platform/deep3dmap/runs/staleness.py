"""Detection of stale rows: repeating them would be a different run, as code, protocol, data or weights have changed."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deep3dmap.config.compose import ComposedRun
from deep3dmap.core.errors import UserError
from deep3dmap.results.attempt_numbers import attempt_name
from deep3dmap.results.schema import SWEEPS
from deep3dmap.results.store import ResultStore
from deep3dmap.results.verify import Problem
from deep3dmap.runs.planning import DatasetVersions
from deep3dmap.runs.replanning import ChangedRunError, possible_scene_counts, same_run
from deep3dmap.runs.run_plan import RunPlan


@dataclass
class Freshness:
    """Result of the check. stale: runs that have changed. fresh: (row, plan) of unchanged runs. unchecked: {reason: count}."""

    stale: list[Problem] = field(default_factory=list)
    fresh: list[tuple[Any, RunPlan]] = field(default_factory=list)
    unchecked: dict[str, int] = field(default_factory=dict)

    def count_unchecked(self, why: str) -> None:
        """Count a run that could not be checked, by reason."""
        self.unchecked[why] = self.unchecked.get(why, 0) + 1


class _KnownVersions(DatasetVersions):
    """Dataset versions without preparing data: if the data are missing, the version in the row is assumed to be current."""

    def __init__(self) -> None:
        super().__init__(read_only=True)
        self.recorded_version = ""

    def of(self, composed: ComposedRun) -> str:
        """Return the version of a run's dataset."""
        return super().of(composed) or self.recorded_version


def find_stale_runs(store: ResultStore, work: Path) -> Freshness:
    """Plan the newest successful attempts of all scored runs again and compare the ids, without generating or running anything.

    work: the folder of the store's checkpoints.
    """
    found, versions, counts = Freshness(), _KnownVersions(), _scored_scenes(store)
    runs = store.runs()
    scored = runs[(runs.status == "ok") & (runs.suite != "") & ~runs.suite.astype(str).str.startswith(SWEEPS)]
    for row in scored.itertuples():
        versions.recorded_version = str(row.dataset_version)
        count = counts[str(row.run_id), int(str(row.attempt))]
        try:
            found.fresh.append((row, same_run(row, work, possible_scene_counts(row, count), versions)))
        except ChangedRunError as error:
            found.stale.append(Problem("stale", attempt_name(str(row.run_id), int(str(row.attempt))), str(error)))
        except UserError as error:
            found.count_unchecked(str(error))
    return found


def _scored_scenes(store: ResultStore) -> Counter[tuple[str, int]]:
    metrics = store.metrics()
    scene_rows = metrics[metrics.scene != ""].drop_duplicates(["run_id", "attempt", "scene"])
    return Counter(zip(scene_rows.run_id.astype(str), scene_rows.attempt.astype(int)))
