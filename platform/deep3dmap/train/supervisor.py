"""Supervises a training from outside: shows its output, reports what it waits for, and ends it with all its processes.

The training, and Ray if used, run in a separate process, so that nothing they wait for keeps this process from being
interrupted, from giving up, or from recording the outcome.
"""

import signal
from pathlib import Path
from typing import Any

from deep3dmap.train import stage_marks
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.failures import NoResourcesError, from_plain_data
from deep3dmap.train.job import TrainingJob
from deep3dmap.train.own_process import get_process
from deep3dmap.train.placement import fewest_workers, shortage, this_machine, worker_bundle
from deep3dmap.train.processes import kills_for_memory
from deep3dmap.train.progress import ProgressLine
from deep3dmap.train.run_watch import RunWatch
from deep3dmap.train.session import TrainingSummary
from deep3dmap.train.transcript import Transcript, output_folder

_TICK_S = 0.1


def train_supervised(job: TrainingJob, storage: Path, on_ray: bool, on_cluster: bool) -> TrainingSummary:
    """Train and return the summary; the weights are in the job's checkpoints.

    storage: folder for Ray's files. on_cluster: Ray is the one at RAY_ADDRESS. If a process that trains alone dies, it is
    restarted from the newest complete checkpoint, up to trainer.max_failures times. Raises the error of the training:
    UserError, DivergedError, MemoryError (also if the kernel killed the process for its memory), NoResourcesError if it cannot
    be placed, else a RuntimeError with the known cause.
    """
    if not on_cluster and (lacking := shortage(worker_bundle(job), fewest_workers(job), [this_machine()])):
        raise NoResourcesError(lacking)
    deaths = 0
    while True:
        kills = kills_for_memory()
        line = ProgressLine()
        outcome, code, startup_output = _attempt(job, storage if on_ray else None, on_cluster, line)
        if outcome is not None:
            return _summary(outcome)
        if code == -signal.SIGKILL and kills_for_memory() > kills:
            raise MemoryError("the machine ran out of memory, and the kernel ended the training process")
        deaths += 1
        cause = f"the training process {_describe_exit(code)}"
        if startup_output:
            raise RuntimeError(f"{cause} before it began: {startup_output}")
        if deaths > job.trainer.max_failures:
            raise RuntimeError(f"training failed after {job.trainer.max_failures} restarts: {cause}")
        line.say(f"{cause}; restarting it from {_describe_resume_point(job)} ({deaths} of {job.trainer.max_failures})")


def _attempt(
    job: TrainingJob, storage: Path | None, on_cluster: bool, line: ProgressLine
) -> tuple[dict[str, Any] | None, int, str]:
    """Return (outcome, exit code, output): outcome is None if the process died, output is empty unless it never got started."""
    # On Ray each worker sets its own number of threads.
    process = get_process(1 if storage else max(1, int(job.trainer.cpus_per_worker)))
    transcript = Transcript(output_folder(job), line)
    watch = RunWatch(job, process, transcript, on_ray=storage is not None, on_cluster=on_cluster)
    try:
        process.send_job(job, storage)
        stage_marks.mark("training process")
        while (outcome := process.outcome(_TICK_S)) is None:
            watch.check()
        return outcome, 0, ""
    except EOFError:
        startup_output = "" if transcript.heard else process.startup_output()
        return None, process.end(), startup_output
    finally:
        stage_marks.mark("rows")
        process.end()
        transcript.close()


def _summary(outcome: dict[str, Any]) -> TrainingSummary:
    if "summary" in outcome:
        return TrainingSummary(**outcome["summary"])
    raise from_plain_data(outcome)


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by signal {-code} ({signal.Signals(-code).name})"


def _describe_resume_point(job: TrainingJob) -> str:
    complete = CheckpointFolder(Path(job.folder) / "checkpoints").list_complete()
    return f"step {complete[-1].step}" if complete else "the beginning"
