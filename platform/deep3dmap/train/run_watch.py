"""Monitors a training from outside: whether it starts in time, and whether the Ray it runs on is alive."""

import time
from collections.abc import Callable

from deep3dmap.train.job import TrainingJob
from deep3dmap.train.own_process import OwnProcess
from deep3dmap.train.placement import describe_bundle, fewest_workers, worker_bundle
from deep3dmap.train.ray_folder import session_folder
from deep3dmap.train.ray_health import RayHealth
from deep3dmap.train.ray_runtime import JOINING, STARTING
from deep3dmap.train.start_watch import StartClock, StartError
from deep3dmap.train.transcript import Transcript

# Reported by the process that directs the workers before they start.
PLACING = "placing the workers"
_CHECK_INTERVAL_S = 1.0


class RunWatch:
    """Monitors a run until it ends. on_cluster: its Ray was not started by this command."""

    def __init__(
        self, job: TrainingJob, process: OwnProcess, transcript: Transcript, *, on_ray: bool, on_cluster: bool
    ) -> None:
        self._process, self._transcript = process, transcript
        self._health = RayHealth(session_folder() / "session_latest" / "logs") if on_ray and not on_cluster else None
        self._ray = RayWatch(self._health, transcript.line.say) if self._health else None
        # On a cluster a worker's reservation may depend on the nodes, which only the process that directs the workers knows.
        workers = f"{fewest_workers(job)} workers" if on_cluster else describe_bundle(worker_bundle(job), fewest_workers(job))
        self._workers = f"{workers} to be placed and to start"
        # On a cluster a run may wait for others to end; there Ray gives up, as described in docs/faults.md.
        self._gives_up = not on_cluster
        self._stage, self._clock = "", self._start_clock("")

    def check(self) -> None:
        """Show new output; raises StartError if the run cannot make progress any more."""
        self._transcript.show_new()
        if self._transcript.stage != self._stage:
            self._stage = self._transcript.stage
            self._clock = self._start_clock(self._stage)
        if self._clock:
            self._clock.check()
        if self._ray:
            self._ray.check()

    def _start_clock(self, stage: str) -> StartClock | None:
        """Return the clock of a startup stage, None for a stage without a time limit."""
        awaited = self._workers if stage == PLACING else "the training process to start" if not stage else ""
        if stage.startswith((STARTING, JOINING)):
            awaited = "Ray to start"
        return StartClock(awaited, self._reason, self._transcript.line.say, self._gives_up) if awaited else None

    def _reason(self) -> str:
        if not self._stage:
            return self._process.startup_output() or "it has printed nothing"
        return self._health.describe_delay() if self._health else ""


class RayWatch:
    """Raises StartError when a vital process of this command's Ray has ended, or has been stopped for too long."""

    def __init__(self, health: RayHealth, say: Callable[[str], None]) -> None:
        self._health, self._say = health, say
        self._last_check = 0.0
        self._stopped: StartClock | None = None

    def check(self) -> None:
        """Check Ray's processes, at most once a second."""
        if time.monotonic() - self._last_check < _CHECK_INTERVAL_S:
            return
        self._last_check = time.monotonic()
        if lost := self._health.lost():
            raise StartError(lost)
        if not self._health.stopped():
            self._stopped = None
            return
        self._stopped = self._stopped or StartClock("Ray to continue", self._health.stopped, self._say)
        self._stopped.check()
