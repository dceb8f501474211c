"""Planning a recorded run again from its row, and describing what has changed if this results in a different run."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from deep3dmap.config.compose import ComposedRun
from deep3dmap.core.errors import UserError
from deep3dmap.core.registry import suites
from deep3dmap.results.store import ResultStore
from deep3dmap.runs.planning import DatasetVersions, ScoredBy, plan_run
from deep3dmap.runs.preparation import prepare_data
from deep3dmap.runs.run_plan import RunPlan, training_job
from deep3dmap.runs.suite_file import read_suite_file


class ChangedRunError(Exception):
    """A row cannot be reproduced; the message names what is missing or has changed."""


def replan(store: ResultStore, row: Any, work: Path) -> RunPlan:
    """Return the plan of the run in a row of the runs table, as a new attempt in a separate folder.

    Raises ChangedRunError if the code, data, weights or protocol have changed.
    """
    try:
        same = same_run(row, work, _scene_counts(store, row), DatasetVersions())
        prepare_data([same])
    except UserError as error:
        raise ChangedRunError(str(error)) from error
    return _make_new_attempt(same, int(row.attempt))


def same_run(row: Any, work: Path, scene_counts: Sequence[int], versions: DatasetVersions) -> RunPlan:
    """Return the plan that currently results in the id of a row of the runs table.

    scene_counts: possible numbers of requested scenes, which the row does not record. Raises ChangedRunError if the code, data,
    weights or protocol have changed, and UserError if something required for the comparison is missing.
    """
    if not row.suite or row.suite not in suites.names():
        raise ChangedRunError("a standalone training or a trial of a sweep; only scored runs can be reproduced")
    version = int(suites.load(row.suite).card.version)
    if version != row.protocol_version:
        raise ChangedRunError(f"the protocol version of suite '{row.suite}' is now {version}, was {row.protocol_version}")
    config = json.loads(row.config)
    composed = ComposedRun(row.method, row.variant, row.dataset, row.dataset_variant, config, {})
    for scenes in scene_counts:
        scored_by = ScoredBy(row.suite, int(row.protocol_version), row.tier, scenes)
        plan = plan_run(composed, work, scored_by, versions, str(row.scene))
        if plan.run_id == row.run_id:
            return plan
    raise ChangedRunError(_difference(plan, row))


def _scene_counts(store: ResultStore, row: Any) -> list[int]:
    metrics = store.metrics(pd.DataFrame({"run_id": [row.run_id], "attempt": [row.attempt]}))
    return possible_scene_counts(row, len(set(metrics.scene) - {""}))


def possible_scene_counts(row: Any, scored: int) -> list[int]:
    """Return the possible numbers of requested scenes: the number scored, 0 (all), and the number set by the tier."""
    if row.scene:
        return [0]
    tier = (read_suite_file(row.suite)[1].get("tiers", {}).get(row.tier) or {}) if row.suite in suites.names() else {}
    return list(dict.fromkeys([scored, 0, int(tier.get("scenes", 0))]))


def _difference(plan: RunPlan, row: Any) -> str:
    if plan.dataset_version != row.dataset_version:
        return f"the data of {row.dataset}/{row.dataset_variant} are now {plan.dataset_version}, were {row.dataset_version}"
    if plan.method_version != row.method_version:
        return f"the code that determines its results is now {plan.method_version}, was {row.method_version}"
    return "its configuration or its initial weights have changed"


def _make_new_attempt(plan: RunPlan, reproduces: int) -> RunPlan:
    # In a separate folder, so that it cannot resume from anything left by the first attempt.
    work = f"{plan.work}/reproduced/{uuid.uuid4().hex[:12]}"
    names = (plan.method, plan.variant, plan.dataset, plan.dataset_variant)
    job = training_job(*names, plan.config, f"{work}/{plan.run_id}")
    return replace(plan, work=work, job=job, reproduces=reproduces)
