"""Plans a run again from its row, and says what has changed since where that gives another run."""

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
    """A row that cannot be made again; the message says what is missing or not the same any more."""


def replan(store: ResultStore, row: Any, work: Path) -> RunPlan:
    """Return the plan of the run that a row of the runs table tells of, as a new attempt in a folder of its own.

    Raises ChangedRunError where code, data, weights or protocol are not what they were.
    """
    try:
        same = same_run(row, work, _scene_counts(store, row), DatasetVersions())
        prepare_data([same])
    except UserError as error:
        raise ChangedRunError(str(error)) from error
    return _as_new_attempt(same, int(row.attempt))


def same_run(row: Any, work: Path, scene_counts: Sequence[int], versions: DatasetVersions) -> RunPlan:
    """Return the plan that today has the id of a row of the runs table.

    scene_counts: how many scenes may have been asked for, as the row does not say it. Raises ChangedRunError where code, data,
    weights or protocol are not what they were, UserError where something that is needed to tell is not there.
    """
    if not row.suite or row.suite not in suites.names():
        raise ChangedRunError("a training on its own or a trial of a sweep; only scored runs can be reproduced")
    version = int(suites.load(row.suite).card.version)
    if version != row.protocol_version:
        raise ChangedRunError(f"the protocol of suite '{row.suite}' is version {version} now, and was {row.protocol_version}")
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
    """Return how many scenes a run may have been asked for: as many as were scored, all (0), or as its tier says."""
    if row.scene:
        return [0]
    tier = (read_suite_file(row.suite)[1].get("tiers", {}).get(row.tier) or {}) if row.suite in suites.names() else {}
    return list(dict.fromkeys([scored, 0, int(tier.get("scenes", 0))]))


def _difference(plan: RunPlan, row: Any) -> str:
    if plan.dataset_version != row.dataset_version:
        return f"the data of {row.dataset}/{row.dataset_variant} are {plan.dataset_version} now, and were {row.dataset_version}"
    if plan.method_version != row.method_version:
        return f"the code that decides its numbers is {plan.method_version} now, and was {row.method_version}"
    return "its configuration or the weights it starts from are not the same any more"


def _as_new_attempt(plan: RunPlan, reproduces: int) -> RunPlan:
    # A folder of its own: nothing that the first attempt left may be gone on with.
    work = f"{plan.work}/reproduced/{uuid.uuid4().hex[:12]}"
    names = (plan.method, plan.variant, plan.dataset, plan.dataset_variant)
    job = training_job(*names, plan.config, f"{work}/{plan.run_id}")
    return replace(plan, work=work, job=job, reproduces=reproduces)
