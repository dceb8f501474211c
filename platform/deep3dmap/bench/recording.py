"""Writes how a run ended, once per attempt: whoever comes second, after a crash, finds what the first one wrote."""

from typing import Any

from deep3dmap.bench.plan import RunPlan
from deep3dmap.bench.rows import Outcome, curve_rows, metric_rows, run_row
from deep3dmap.bench.suite import load_suite
from deep3dmap.core.card import SuiteCard
from deep3dmap.results.store import ResultStore


def record(store: ResultStore, plan: RunPlan, attempt: int, outcome: Outcome) -> dict[str, Any]:
    """Write the rows of an attempt and how its trial ended; returns {status, headline value or None, error}."""
    card = load_suite(plan.suite).protocol.card
    store.write_attempt(
        run_row(plan, attempt, card.task.name, outcome),
        metric_rows(plan, attempt, card, outcome.scores),
        curve_rows(plan.run_id, attempt, outcome.curves),
    )
    store.write_trial_state(plan.run_id, outcome.status, plan.title)
    return {"status": outcome.status, "headline": _headline(card, outcome), "error": outcome.error}


def recorded(store: ResultStore, plan: RunPlan, attempt: int) -> dict[str, Any] | None:
    """Return what `record` returned for an attempt, read back from the store, or None if it has not been recorded."""
    if store.next_attempt(plan.run_id) <= attempt:
        return None
    runs = store.runs(newest_only=False)
    rows = runs[(runs.run_id == plan.run_id) & (runs.attempt == attempt)]
    if rows.empty:
        return None
    metric = load_suite(plan.suite).protocol.card.headline
    metrics = store.metrics(rows)
    values = metrics[metrics.metric == metric]
    summary = values[values.scene == ""]
    headline = float((values if summary.empty else summary).value.mean()) if len(values) else None
    store.write_trial_state(plan.run_id, str(rows.iloc[0].status), plan.title)
    return {"status": str(rows.iloc[0].status), "headline": headline, "error": str(rows.iloc[0].error)}


def _headline(card: SuiteCard, outcome: Outcome) -> float | None:
    """Return the headline metric: the summary's, else the mean over scenes, else None."""
    if card.headline in outcome.scores.summary:
        return outcome.scores.summary[card.headline]
    values = [scene[card.headline] for scene in outcome.scores.per_scene.values() if card.headline in scene]
    return sum(values) / len(values) if values else None
