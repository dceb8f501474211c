"""The process in which a run trains, or directs its workers. Light to import, so that a command can start it first."""

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
    """A process that imports what training needs, then waits for its job. threads: of torch and of what numpy calls."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._early: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `end`)
        self._outcome, telling = os.pipe()
        paths = [path for path in sys.path if path]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(threads)}
        if "OMP_NUM_THREADS" in os.environ:
            environment["OMP_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"]
        self.process = subprocess.Popen(
            # -P: the working folder is on the path where this process has it there.
            [sys.executable, "-P", "-m", "deep3dmap.train.training_process", str(telling)],
            stdin=subprocess.PIPE,
            stdout=self._early,
            stderr=self._early,
            env=environment,
            pass_fds=(telling,),
            # An interrupt of the terminal reaches the command, which ends this process.
            start_new_session=True,
        )
        os.close(telling)

    def begin(self, job: "TrainingJob", storage: Path | None) -> None:
        """Hand over the job. storage: for the bookkeeping of Ray, where the job trains on it."""
        assert self.process.stdin is not None
        order = {"job": asdict(job), "storage": storage, "threads": None if "OMP_NUM_THREADS" in os.environ else self.threads}
        # A process that has died is told of by `outcome`.
        with suppress(BrokenPipeError):
            self.process.stdin.write(pickle.dumps(order))
            self.process.stdin.close()

    def outcome(self, wait_s: float) -> dict[str, Any] | None:
        """Return what the process says of its job, None where it says nothing in this time; raises EOFError if it died."""
        if not select.select([self._outcome], [], [], wait_s)[0]:
            return None
        with os.fdopen(os.dup(self._outcome), "rb") as stream:
            told: dict[str, Any] = pickle.load(stream)
        return told

    def last_words(self) -> str:
        """Return what the process wrote before it had its job."""
        self._early.seek(0)
        return "\n".join(self._early.read().decode(errors="replace").strip().splitlines()[-_LAST_LINES:])

    def end(self) -> int:
        """End the process and those below it, if they have not ended; returns its exit code, a signal as a negative number."""
        if self._early.closed:
            return self.process.returncode
        if self.process.poll() is None:
            # Once its end was heard of, its id may be another process's.
            end_processes([*descendants(self.process.pid), self.process.pid])
        code = self.process.wait()
        os.close(self._outcome)
        self._early.close()
        return code


_prepared: list[OwnProcess] = []


def fitting(threads: int) -> OwnProcess:
    """Return a process with so many threads: the prepared one where it fits."""
    while _prepared:
        process = _prepared.pop()
        if process.threads == threads and process.process.poll() is None:
            return process
        process.end()
    return OwnProcess(threads)


def prepare() -> None:
    """Start the process now: it imports while the command plans. Harmless where no job comes."""
    if not _prepared:
        _prepared.append(OwnProcess())


def drop_prepared() -> None:
    """End a process that was prepared in vain."""
    while _prepared:
        _prepared.pop().end()
