"""One benchmark run, executed in a Tune trial: train, reconstruct, evaluate, write the rows. Failures are recorded as rows."""

from pathlib import Path
from typing import Any

import torch

from deep3dmap.bench.suite import Suite, load_suite
from deep3dmap.core.errors import UserError
from deep3dmap.core.method import Method
from deep3dmap.frameworks.saved_checkpoints import read_checkpoint
from deep3dmap.results.store import ResultStore
from deep3dmap.runs.recording import record, recorded
from deep3dmap.runs.result_rows import Outcome, curves_of
from deep3dmap.runs.retrying_store import RetryingStore
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.runs.scoring import Scoring, scene_names, score
from deep3dmap.train import stage_marks
from deep3dmap.train.arithmetic import set_arithmetic
from deep3dmap.train.checkpoint_places import local_checkpoint, store_checkpoint
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.failures import status_of, text_of
from deep3dmap.train.hosts import TuneTrialHost, choose_device
from deep3dmap.train.job import TrainingJob, train_here
from deep3dmap.train.local_host import LocalHost
from deep3dmap.train.resources import count_parameters, device_name, peak_gpu_mb, peak_ram_mb, reset_peaks
from deep3dmap.train.starting_weights import load_weights
from deep3dmap.train.trainer import train_on_workers


def execute_run(plan: RunPlan, results: str, attempt: int) -> dict[str, Any]:
    """Execute one run and write its rows; returns {status, headline value or None, error}. Exceptions become failed rows.

    If the rows have already been written, as after a restart of the trial, returns the recorded outcome.
    """
    stage_marks.mark(stage_marks.RUN)
    store, suite = RetryingStore(results), load_suite(plan.suite)
    earlier_result = recorded(store, plan, attempt)
    if earlier_result:
        return earlier_result
    reset_peaks()
    outcome = Outcome(artifacts_uri=str(store.artifacts_path(plan.run_id, attempt)))
    store.write_trial_state(plan.run_id, "running", plan.title)
    try:
        _train_and_score(plan, suite, outcome, store, attempt)
    except Exception as error:  # any failure of a run is recorded as a row with its error
        outcome.status, outcome.error = status_of(error), text_of(error)
    outcome.curves = curves_of(Path(plan.job.folder))
    stage_marks.mark("rows")
    result = record(store, plan, attempt, outcome)
    stage_marks.mark(stage_marks.BETWEEN)
    return result


def _train_and_score(plan: RunPlan, suite: Suite, outcome: Outcome, store: ResultStore, attempt: int) -> None:
    job = plan.job
    set_arithmetic(job.trainer)
    method = _load(job, plan.checkpoint, outcome) if plan.checkpoint else _train(job, outcome)
    if not plan.checkpoint:
        outcome.checkpoint_uri = store_checkpoint(Path(outcome.checkpoint_uri), store, plan.run_id)
    outcome.parameters = count_parameters(method)
    artifacts = Path(outcome.artifacts_uri) if store.storage.local else Path(job.folder) / "artifacts" / str(attempt)

    def progress(done: int, count: int) -> None:
        store.write_trial_state(plan.run_id, "running", f"{plan.title}: scored {done} of {count}")

    split = suite.protocol.scenes(plan.open_dataset().split("test"))
    scenes = (plan.scene,) if plan.scene else scene_names(split, plan.scenes)
    device = choose_device(str(job.config["device"]))
    outcome.device = device_name(device)
    fits = job.scene_fits(method, LocalHost(device))
    scoring = Scoring(suite.protocol, dict(plan.config["inputs"]), fits, artifacts, plan.seed, scenes)
    stage_marks.mark("scoring")
    outcome.scores = score(method, split, scoring, progress)
    if outcome.peak_ram_mb is not None:
        # These are the peaks of the training workers; include those of this process, which did the scoring.
        outcome.peak_ram_mb = max(outcome.peak_ram_mb, peak_ram_mb())
        outcome.peak_gpu_mb = max(outcome.peak_gpu_mb or 0.0, peak_gpu_mb())
    if not store.storage.local:
        store.storage.upload(artifacts, store.artifacts_name(plan.run_id, attempt))
    # If some scenes failed, the others keep their metrics, and a resume retries the run.
    outcome.status, outcome.error = outcome.scores.status, outcome.scores.error


def _train(job: TrainingJob, outcome: Outcome) -> Method:
    trainer, device = job.trainer, str(job.config["device"])
    if trainer.engine not in ("auto", "train"):
        raise UserError(f"trainer.engine must be auto or train, not '{trainer.engine}'")
    if trainer.workers == 1 and trainer.engine == "auto":
        method, summary = train_here(job, TuneTrialHost(device))
    else:
        summary = train_on_workers(job, Path(job.folder).parent / "ray")
        outcome.peak_ram_mb, outcome.peak_gpu_mb = summary.peak_ram_mb, summary.peak_gpu_mb
        method = job.build_method()
    outcome.train_s, outcome.steps, outcome.cut_short = summary.seconds, summary.steps, summary.cut_short
    best = CheckpointFolder(Path(job.folder) / "checkpoints").best()
    if best is None:
        raise RuntimeError(f"{job.folder}: training left no checkpoint")
    outcome.checkpoint_uri = str(best.folder)
    load_weights(method, best.weights(), best.folder)
    return _on_device(method, device)


def _load(job: TrainingJob, folder: str, outcome: Outcome) -> Method:
    checkpoint = read_checkpoint(local_checkpoint(folder))
    method = job.build_method()
    load_weights(method, checkpoint.weights(), checkpoint.folder)
    outcome.steps, outcome.checkpoint_uri = checkpoint.step, folder
    outcome.train_s = float(checkpoint.about["seconds"])
    return _on_device(method, str(job.config["device"]))


def _on_device(method: Method, device: str) -> Method:
    if isinstance(method, torch.nn.Module):
        method.to(choose_device(device))
    return method
