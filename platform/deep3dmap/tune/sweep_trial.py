"""Runs one trial of a sweep in a Tune trial: trains, and scores the validation split. The test split is not opened."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deep3dmap.core.errors import UserError
from deep3dmap.core.method import Method
from deep3dmap.frameworks import Host
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.runs.run_resources import is_nested
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.failures import status_of, text_of
from deep3dmap.train.hosts import RayTrainHost, TuneTrialHost, choose_device
from deep3dmap.train.job import TrainingJob, train_here
from deep3dmap.train.local_host import LocalHost
from deep3dmap.train.resources import hardware, peak_gpu_mb, peak_ram_mb
from deep3dmap.train.scene_fits import SceneFits
from deep3dmap.train.session import Scorer, TrainingSummary
from deep3dmap.train.trainer import run_and_note_failure, train_on_workers
from deep3dmap.tune.objective import SuiteScorer, ValidationView
from deep3dmap.tune.population import copy_donor_checkpoint

OUTCOME = "outcome.json"
EVALUATION = "evaluation"
# Limits the reports of very fast trials, of which the scheduler does not need every evaluation. The best one is always
# reported, so that a trial's result does not depend on its speed.
REPORT_EVERY_S = 0.1


@dataclass(frozen=True)
class TrialOrder:
    """Instructions for a trial besides its run.

    metric: key of the quality objective. keeps_checkpoints: whether its reports include checkpoints, for other trials to copy.
    """

    metric: str
    stop_file: str
    scenes: int = 0
    keeps_checkpoints: bool = False


class SweepHost(TuneTrialHost):
    """Reports evaluations to Tune with the peak memory and, if requested, the checkpoint they belong to.

    Evaluations with a checkpoint are for other trials to continue from, so only the newest is reported.
    """

    def __init__(self, device: str, stop_file: Path, checkpoints: Path | None) -> None:
        super().__init__(device, REPORT_EVERY_S, stop_file)
        self._checkpoints = CheckpointFolder(checkpoints) if checkpoints else None
        self._lowest_loss = math.inf
        self._unsent_best: dict[str, float] = {}

    def report(self, metrics: Mapping[str, float]) -> None:
        """Report metrics to Tune."""
        evaluation = {**metrics, "memory_mb": memory_mb()}
        loss = evaluation.get("validation_loss", math.nan)
        if loss < self._lowest_loss and not self._checkpoints:
            self._lowest_loss, self._unsent_best = loss, evaluation
        super().report(evaluation)

    def send_best(self) -> None:
        """Report the evaluation with the lowest validation loss, if it is not reported yet."""
        best, self._unsent_best = self._unsent_best, {}
        if best:
            self._send_to_tune(best)

    def _send_to_tune(self, metrics: dict[str, float]) -> None:
        from ray import tune

        if metrics == self._unsent_best:
            self._unsent_best = {}
        self.send_best()
        complete = self._checkpoints.list_complete() if self._checkpoints else []
        tune.report(
            make_report(metrics), checkpoint=tune.Checkpoint.from_directory(str(complete[-1].folder)) if complete else None
        )


class SweepWorkerHost(RayTrainHost):
    """Host of one of several workers of a trial."""

    def report(self, metrics: Mapping[str, float]) -> None:
        """Report metrics to Ray Train, which forwards them to Tune."""
        super().report(make_report({**metrics, "memory_mb": memory_mb()}))


def make_report(metrics: Mapping[str, float]) -> dict[str, Any]:
    """Return a report: the metrics for the scheduler, and a separate copy, because Tune adds entries to a report."""
    return {**metrics, EVALUATION: dict(metrics)}


def run_trial(plan: RunPlan, order: TrialOrder) -> dict[str, Any]:
    """Run one trial; returns {status, error} and the metrics of the last evaluation. Every exception becomes a status."""
    folder = Path(plan.job.folder)
    status, error, summary = "ok", "", TrainingSummary(0, 0.0)
    last: dict[str, float] = {}
    try:
        last, summary = _train(plan, order)
        status = "stopped" if summary.stopped else "ok"
        _check_metric(order.metric, last)
    except Exception as problem:  # a trial that fails in any way is stored as a row with its error
        status, error = status_of(problem), text_of(problem)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / OUTCOME).write_text(json.dumps(_describe_resources(summary)))
    return {**make_report(last), "status": status, "error": error}


def _describe_resources(summary: TrainingSummary) -> dict[str, Any]:
    """Return hardware and memory for the trial's row; workers may have used more memory than this process."""
    return {
        "peak_ram_mb": max(peak_ram_mb(), summary.peak_ram_mb),
        "peak_gpu_mb": max(peak_gpu_mb(), summary.peak_gpu_mb),
        "hardware": hardware(),
        "parameters": summary.parameters,
        "device": summary.device,
    }


def _train(plan: RunPlan, order: TrialOrder) -> tuple[dict[str, float], TrainingSummary]:
    job = plan.job
    if is_nested(plan):
        from ray.tune.integration.ray_train import TuneReportCallback

        extra = {"order": order.__dict__}
        storage = Path(job.folder).parent / "ray"
        summary = train_on_workers(job, storage, nested_worker, extra, [TuneReportCallback()])
        place = {"step": summary.steps, "seconds": summary.seconds, "progress": 100.0}
        return {**place, **summary.metrics}, summary
    _copy_donor_if_given(job)
    checkpoints = Path(job.folder) / "checkpoints" if order.keeps_checkpoints else None
    host = SweepHost(str(job.config["device"]), Path(order.stop_file), checkpoints)
    summary = train_here(job, host, scorer_of(job, order))[1]
    host.send_best()
    return host.last, summary


def nested_worker(config: dict[str, Any]) -> dict[str, Any]:
    """Run one of several workers of a trial."""
    job, order = TrainingJob(**config["job"]), TrialOrder(**config["order"])

    def train() -> TrainingSummary:
        host: Host = SweepWorkerHost(str(job.config["device"]), Path(order.stop_file))
        return train_here(job, host, scorer_of(job, order))[1]

    return run_and_note_failure(train)


def scorer_of(job: TrainingJob, order: TrialOrder) -> Scorer | None:
    """Return the scorer of SUITE/METRIC on the validation split, None for a metric of the method's own validation."""
    if "/" not in order.metric:
        return None
    view, mapping = ValidationView(job.build_dataset()), dict(job.config["inputs"])
    device = choose_device(str(job.config["device"]))

    def fits(method: Method, folder: Path) -> SceneFits | None:
        return job.scene_fits(method, LocalHost(device), folder)

    return SuiteScorer(order.metric, view, mapping, order.scenes, fits)


def memory_mb() -> float:
    """Return the peak memory in MB, of the GPU if one is used, else of the process."""
    return peak_gpu_mb() or peak_ram_mb()


def _copy_donor_if_given(job: TrainingJob) -> None:
    from ray import tune

    checkpoint = tune.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            copy_donor_checkpoint(job, Path(folder))


def _check_metric(metric: str, last: Mapping[str, float]) -> None:
    if metric not in last:
        reported = ", ".join(sorted(set(last) - {"step", "seconds", "progress", "memory_mb"})) or "nothing"
        raise UserError(f"tune.metric={metric}: the validation of this method reports {reported}")
