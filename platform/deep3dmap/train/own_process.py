"""The separate process that trains a run or directs its workers. Light to import, so that a command can start it first."""

import os
import pickle
import select
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from deep3dmap.train.processes import descendants, end_processes

if TYPE_CHECKING:
    from deep3dmap.train.job import TrainingJob

_LAST_LINES = 20


class OwnProcess:
    """A process that imports the training libraries, then waits for its job. threads: for torch and numpy."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._early: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `end`)
        self._outcome, outcome_fd = os.pipe()
        paths = [path for path in sys.path if path]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(threads)}
        if "OMP_NUM_THREADS" in os.environ:
            environment["OMP_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"]
        self.process = subprocess.Popen(
            # -P: the working folder is on the child's path only if it is on the path of this process.
            [sys.executable, "-P", "-m", "deep3dmap.train.training_process", str(outcome_fd)],
            stdin=subprocess.PIPE,
            stdout=self._early,
            stderr=self._early,
            env=environment,
            pass_fds=(outcome_fd,),
            # Ctrl-C in the terminal then reaches only the command, which ends the child.
            start_new_session=True,
        )
        os.close(outcome_fd)

    def send_job(self, job: "TrainingJob", storage: Path | None) -> None:
        """Send the job to the process. storage: folder for Ray's files, None if the job does not train on Ray."""
        assert self.process.stdin is not None
        order = {"job": asdict(job), "storage": storage, "threads": None if "OMP_NUM_THREADS" in os.environ else self.threads}
        # If the process has died, `outcome` reports it.
        with suppress(BrokenPipeError):
            self.process.stdin.write(pickle.dumps(order))
            self.process.stdin.close()

    def outcome(self, wait_s: float) -> dict[str, Any] | None:
        """Return the outcome of the job, None if it is not available within `wait_s`; raises EOFError if the process died."""
        if not select.select([self._outcome], [], [], wait_s)[0]:
            return None
        with os.fdopen(os.dup(self._outcome), "rb") as stream:
            result: dict[str, Any] = pickle.load(stream)
        return result

    def startup_output(self) -> str:
        """Return the last lines that the process printed before it received its job."""
        self._early.seek(0)
        return "\n".join(self._early.read().decode(errors="replace").strip().splitlines()[-_LAST_LINES:])

    def end(self) -> int:
        """End the process and its descendants, if still running; returns its exit code, negative if ended by a signal."""
        if self._early.closed:
            return self.process.returncode
        if self.process.poll() is None:
            # Only while it runs: once it has been reaped, its id may belong to another process.
            end_processes([*descendants(self.process.pid), self.process.pid])
        code = self.process.wait()
        os.close(self._outcome)
        self._early.close()
        return code


_prepared: list[OwnProcess] = []


def get_process(threads: int) -> OwnProcess:
    """Return a process with `threads` threads: the prepared one if it matches, else a new one."""
    while _prepared:
        process = _prepared.pop()
        if process.threads == threads and process.process.poll() is None:
            return process
        process.end()
    return OwnProcess(threads)


def prepare() -> None:
    """Start the process now, so that it imports while the command plans. Harmless if no job follows."""
    if not _prepared:
        _prepared.append(OwnProcess())


def drop_prepared() -> None:
    """End a prepared process that was not used."""
    while _prepared:
        _prepared.pop().end()
