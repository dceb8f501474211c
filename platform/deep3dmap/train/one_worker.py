"""Training with one worker on this machine: a process beside the command, without Ray, started again when it dies."""

import signal
import sys
import time
from pathlib import Path
from typing import Any

from deep3dmap.train import stages
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.failures import NoResourcesError, from_plain_data
from deep3dmap.train.job import TrainingJob
from deep3dmap.train.own_process import OwnProcess, fitting
from deep3dmap.train.placement import shortage, this_machine, worker_bundle
from deep3dmap.train.processes import kills_for_memory
from deep3dmap.train.progress import ProgressLine
from deep3dmap.train.session import TrainingSummary
from deep3dmap.train.start_limit import GIVEN_UP_AFTER, start_limit_s
from deep3dmap.train.transcript import Transcript, output_folder

_TICK_S = 0.1


def train_in_own_process(job: TrainingJob) -> TrainingSummary:
    """Train and return the summary; the weights are in the job's checkpoints.

    A process that dies is started again from the newest whole checkpoint, trainer.max_failures times. Raises what the
    training raised: UserError, DivergedError, MemoryError (also where the kernel ended it for its memory), NoResourcesError
    for what this machine does not have, else a RuntimeError of one line.
    """
    if lacking := shortage(worker_bundle(job), 1, [this_machine()]):
        raise NoResourcesError(lacking)
    died = 0
    while True:
        kills = kills_for_memory()
        told, code, words = _attempt(job)
        if told is not None:
            return _summary(told)
        if code == -signal.SIGKILL and kills_for_memory() > kills:
            raise MemoryError("the machine ran out of memory, and the kernel ended the training process")
        died += 1
        why = f"the training process {_described(code)}"
        if words:
            raise RuntimeError(f"{why} before it began: {words}")
        if died > job.trainer.max_failures:
            raise RuntimeError(f"training failed after {job.trainer.max_failures} restarts: {why}")
        print(f"{why}; starting it again from {_newest(job)} ({died} of {job.trainer.max_failures})", file=sys.stderr)


def _attempt(job: TrainingJob) -> tuple[dict[str, Any] | None, int, str]:
    """Return what a process told of the job; where it died instead, its exit code, and its last words if it never began."""
    process = fitting(max(1, int(job.trainer.cpus_per_worker)))
    transcript = Transcript(output_folder(job), ProgressLine())
    try:
        process.begin(job)
        stages.mark("training process")
        told = _wait(process, transcript)
    except EOFError:
        words = "" if transcript.heard else process.last_words()
        return None, process.end(), words
    finally:
        stages.mark("rows")
        transcript.close()
        code = process.end() if process.process.returncode is None else process.process.returncode
    return told, code, ""


def _wait(process: OwnProcess, transcript: Transcript) -> dict[str, Any]:
    limit = start_limit_s()
    began, said = time.monotonic(), 0
    while (told := process.outcome(_TICK_S)) is None:
        transcript.show_new()
        limits = int((time.monotonic() - began) / limit)
        if transcript.heard or limits <= said:
            continue
        said, words = limits, process.last_words() or "it has said nothing"
        if limits >= GIVEN_UP_AFTER:
            raise RuntimeError(f"the training process did not begin in {limits * limit:.0f} s: {words}")
        transcript.line.say(f"waiting for the training process to begin, for {limits * limit:.0f} s now: {words}")
    return told


def _summary(told: dict[str, Any]) -> TrainingSummary:
    if "summary" in told:
        return TrainingSummary(**told["summary"])
    raise from_plain_data(told)


def _described(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by signal {-code} ({signal.Signals(-code).name})"


def _newest(job: TrainingJob) -> str:
    whole = CheckpointFolder(Path(job.folder) / "checkpoints").whole()
    return f"step {whole[-1].step}" if whole else "the beginning"
