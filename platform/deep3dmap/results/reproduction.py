"""Comparison of a repeated run with the original, metric by metric."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import pandas as pd

from deep3dmap.results.leaderboard import boards
from deep3dmap.results.schema import MetricRow
from deep3dmap.results.store import ResultStore

IDENTICAL, WITHIN, DIFFERS, CANNOT_RUN = "identical", "within the interval", "differs", "cannot run"
_ORDER = (IDENTICAL, WITHIN, DIFFERS, CANNOT_RUN)
Cells = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Verdict:
    """Outcome for one metric of a repeated run.

    metric: empty if the run cannot be repeated. verdict: one of the four constants above. before, after: means over scenes.
    scenes: scenes whose values are not exactly equal. missing: why the run cannot be repeated.
    """

    metric: str
    verdict: str
    before: float | None = None
    after: float | None = None
    scenes: tuple[str, ...] = ()
    missing: str = ""

    def __str__(self) -> str:
        if self.verdict == CANNOT_RUN:
            return f"{CANNOT_RUN}: {self.missing}"
        if self.verdict == IDENTICAL or self.before is None or self.after is None:
            return f"{self.metric}: {self.verdict}"
        by = f"{self.after - self.before:+.4g} from {self.before:.4g}"
        return f"{self.metric}: {self.verdict}, {by}, scenes that differ: {len(self.scenes)}"


def cells_of_rows(rows: Iterable[MetricRow]) -> dict[tuple[str, str], float]:
    """Return {(metric, scene): value} for rows that are not yet in a store."""
    return {(row.metric, row.scene): float(row.value) for row in rows}


def cells_of_attempt(store: ResultStore, run_id: str, attempt: int) -> dict[tuple[str, str], float]:
    """Return {(metric, scene): value} for an attempt in a store."""
    rows = store.metrics(pd.DataFrame({"run_id": [run_id], "attempt": [attempt]}))
    return {(str(metric), str(scene)): float(value) for metric, scene, value in zip(rows.metric, rows.scene, rows.value)}


def compare(before: Cells, after: Cells, intervals: Mapping[str, tuple[float, float]]) -> list[Verdict]:
    """Return one verdict per metric of either attempt, sorted by name.

    intervals: the 95 % intervals of the run's entry, see `intervals_of`; a metric without one is either identical or differs.
    A metric also differs if a scene is missing from one of the attempts, or if a value is finite in only one of them.
    """
    return [
        _compare_metric(name, before, after, intervals.get(name)) for name in sorted({name for name, _ in (*before, *after)})
    ]


def cannot_run(missing: str) -> list[Verdict]:
    """Return the verdict on a run that cannot be repeated. missing: what is unavailable or has changed."""
    return [Verdict("", CANNOT_RUN, missing=missing)]


def overall(verdicts: Iterable[Verdict]) -> str:
    """Return the worst of the verdicts."""
    return max((one.verdict for one in verdicts), key=_ORDER.index, default=CANNOT_RUN)


def to_json(verdicts: Iterable[Verdict]) -> str:
    """Serialise verdicts for the column `verdict`."""
    found = list(verdicts)
    return json.dumps({"overall": overall(found), "metrics": [_finite(asdict(one)) for one in found]})


def from_json(text: str) -> list[Verdict]:
    """Parse the output of `to_json`."""
    return [Verdict(**{**one, "scenes": tuple(one["scenes"])}) for one in json.loads(text)["metrics"]]


def intervals_of(store: ResultStore, run_id: str) -> dict[str, tuple[float, float]]:
    """Return {metric: 95 % interval} for the entry that a run belongs to, from the results in the store."""
    runs = store.runs()
    (run,) = runs[runs.run_id == run_id].itertuples()
    found = {}
    for board in boards(store, str(run.suite), f"{run.dataset}/{run.dataset_variant}", str(run.tier), "all"):
        for row in board.rows:
            if run_id in row.run_ids and row.low is not None and row.high is not None:
                found[row.metric] = (row.low, row.high)
    return found


def _compare_metric(name: str, before: Cells, after: Cells, interval: tuple[float, float] | None) -> Verdict:
    one, other = ({scene: value for (metric, scene), value in cells.items() if metric == name} for cells in (before, after))
    scenes = tuple(sorted(scene for scene in {*one, *other} if not _is_equal(one.get(scene), other.get(scene))))
    if not scenes:
        return Verdict(name, IDENTICAL, _mean(one), _mean(other))
    mean = _mean(other)
    comparable = set(one) == set(other) and mean is not None and interval is not None
    within = comparable and interval is not None and mean is not None and interval[0] <= mean <= interval[1]
    return Verdict(name, WITHIN if within else DIFFERS, _mean(one), mean, scenes)


def _is_equal(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return False
    return one == other or (math.isnan(one) and math.isnan(other))


def _mean(values: Mapping[str, float]) -> float | None:
    # A value for the whole run is used as it is.
    kept = [values[""]] if "" in values else list(values.values())
    mean = sum(kept) / len(kept) if kept else math.nan
    return mean if math.isfinite(mean) else None


def _finite(values: dict[str, object]) -> dict[str, object]:
    return {**values, "scenes": list(values["scenes"])}  # type: ignore[call-overload]
