"""Rows of a sweep in the result store: suite "tune:NAME", one run per trial, with its validation metrics and curves."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deep3dmap.core.card import MetricCard, SuiteCard, Task
from deep3dmap.core.registry import methods
from deep3dmap.results.schema import MetricRow
from deep3dmap.results.store import ResultStore
from deep3dmap.runs.result_rows import Outcome, curve_rows, curves_of, run_row
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.tune.journal import TrialRecord
from deep3dmap.tune.objective import Objective
from deep3dmap.tune.plan import SweepPlan
from deep3dmap.tune.sweep_trial import OUTCOME

_PLACE = {"step": "", "seconds": "s", "progress": "%", "memory_mb": "MB"}


def write_sweep_card(store: ResultStore, plan: SweepPlan) -> None:
    """Write the suite card of a sweep, with its metrics and the one used for ranking, to the store."""
    named = {objective.key: objective for objective in plan.objectives}
    extra = {
        "seconds": Objective("seconds", "seconds", "down", "s"),
        "memory_mb": Objective("memory", "memory_mb", "down", "MB"),
    }
    metrics = [MetricCard(o.key, o.unit, o.better, f"{o.title} of a trial") for o in {**extra, **named}.values()]
    method = methods.load(plan.run.method).card
    card = SuiteCard(
        title=f"Sweep {plan.name}: trials on the validation split",
        version=plan.run.protocol_version,
        task=Task("tuning", plan.run.inputs, tuple(method.produces), "the best configuration"),
        metrics=tuple(metrics),
        headline=plan.quality.key,
        reference="validation",
        datasets=(plan.run.dataset,),
    )
    store.write_card("suite", plan.run.suite, "0", {"name": plan.run.suite, "card": card.as_dict(), "readme": ""})


def write_trial(store: ResultStore, plan: SweepPlan, record: TrialRecord) -> None:
    """Write the rows of a finished trial."""
    run = plan.trial_plan(record.number, record.values)
    attempt = store.next_attempt(run.run_id)
    folder = Path(run.job.folder)
    outcome = _outcome(record, folder)
    row = run_row(run, attempt, "tuning", outcome)
    facts = json.loads((folder / OUTCOME).read_text()) if (folder / OUTCOME).is_file() else None
    if facts:
        row = replace(row, **{**facts, "hardware": json.dumps(facts["hardware"])})
    store.write_attempt(row, _metrics(plan.objectives, run, attempt, record), curve_rows(run.run_id, attempt, outcome.curves))
    store.write_trial_state(run.run_id, record.status, f"{plan.name}: trial {record.number}")


def _outcome(record: TrialRecord, folder: Path) -> Outcome:
    best = CheckpointFolder(folder / "checkpoints").best()
    last = record.evaluations[-1] if record.evaluations else {}
    return Outcome(
        status=record.status,
        error=record.error,
        train_s=record.seconds,
        steps=int(last.get("step", 0)),
        checkpoint_uri=str(best.folder) if best else "",
        curves=curves_of(folder),
    )


def _metrics(objectives: Sequence[Objective], run: RunPlan, attempt: int, record: TrialRecord) -> list[MetricRow]:
    about = {objective.key: objective for objective in objectives}
    rows = []
    for name, value in record.chosen.items():
        known = about.get(name)
        unit = known.unit if known else _PLACE.get(name, "")
        rows.append(MetricRow(run.run_id, attempt, "", name, float(value), unit, known.better if known else "down"))
    return rows
