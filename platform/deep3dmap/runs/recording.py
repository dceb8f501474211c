"""Recording of a run's outcome, once per attempt: after a crash, an outcome that was already written is reused."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from deep3dmap.core.card import SuiteCard
from deep3dmap.core.registry import suites
from deep3dmap.results.reproduction import cannot_run, cells_of_attempt, cells_of_rows, compare, intervals_of, to_json
from deep3dmap.results.schema import MetricRow
from deep3dmap.results.store import ResultStore
from deep3dmap.runs.result_rows import Outcome, curve_rows, metric_rows, run_row
from deep3dmap.runs.run_plan import RunPlan


def record(store: ResultStore, plan: RunPlan, attempt: int, outcome: Outcome) -> dict[str, Any]:
    """Write the rows and the trial state of an attempt; returns {status, headline value or None, error}."""
    card = suite_card(plan.suite)
    row, metrics = run_row(plan, attempt, card.task.name, outcome), metric_rows(plan, attempt, card, outcome.scores)
    if plan.reproduces:
        row = replace(row, **_verdict(store, plan, metrics, outcome))
    store.write_attempt(row, metrics, curve_rows(plan.run_id, attempt, outcome.curves))
    store.write_trial_state(plan.run_id, outcome.status, plan.title)
    return {"status": outcome.status, "headline": outcome.scores.value(card.headline), "error": outcome.error}


def recorded(store: ResultStore, plan: RunPlan, attempt: int) -> dict[str, Any] | None:
    """Return the return value of `record` for an attempt, read from the store, or None if it has not been recorded."""
    rows = store.attempt(plan.run_id, attempt)
    if rows.empty:
        return None
    metric = suite_card(plan.suite).headline
    metrics = store.metrics(rows)
    values = metrics[metrics.metric == metric]
    summary = values[values.scene == ""]
    headline = float((values if summary.empty else summary).value.mean()) if len(values) else None
    store.write_trial_state(plan.run_id, str(rows.iloc[0].status), plan.title)
    return {"status": str(rows.iloc[0].status), "headline": headline, "error": str(rows.iloc[0].error)}


def _verdict(store: ResultStore, plan: RunPlan, metrics: list[MetricRow], outcome: Outcome) -> dict[str, Any]:
    """Return the columns with the comparison of the attempt to the one that it reproduces."""
    if outcome.status == "ok":
        before = cells_of_attempt(store, plan.run_id, plan.reproduces)
        verdicts = compare(before, cells_of_rows(metrics), intervals_of(store, plan.run_id))
    else:
        verdicts = cannot_run(outcome.error)
    return {"reproduces": plan.reproduces, "verdict": to_json(verdicts), "verdict_at": datetime.now(UTC)}


def suite_card(suite: str) -> SuiteCard:
    """Return the card of a registered suite."""
    card: SuiteCard = suites.load(suite).card
    return card
