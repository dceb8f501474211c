"""What the command sees of a training on Ray: what its workers say, and whether the Ray below it still lives."""

import time
from collections.abc import Callable

from deep3dmap.train.job import TrainingJob
from deep3dmap.train.placement import described, fewest_workers, worker_bundle
from deep3dmap.train.progress import ProgressLine
from deep3dmap.train.ray_health import RayHealth
from deep3dmap.train.start_watch import StartClock, StartError
from deep3dmap.train.transcript import Transcript, output_folder

_LOOK_EVERY_S = 1.0


class RunWatch:
    """Looks at a run until it ends. health: of the Ray of this process, None where that is not its own."""

    def __init__(self, job: TrainingJob, health: RayHealth | None) -> None:
        self.transcript = Transcript(output_folder(job), ProgressLine())
        self.health = health
        what = f"{described(worker_bundle(job), fewest_workers(job))} to be placed and to begin"
        # On a cluster a run may wait for others to end; there Ray gives up, after what docs/faults.md says.
        self._start = StartClock(what, self._reason, self._say, gives_up=health is not None)
        self._ray = RayWatch(health, self._say) if health else None

    def look(self) -> None:
        """Show what is new; raises StartError where nothing can come any more."""
        self.transcript.show_new()
        if self._ray:
            self._ray.look()
        if not self.transcript.heard:
            self._start.look()

    def close(self) -> None:
        """Show the rest."""
        self.transcript.close()

    def _say(self, text: str) -> None:
        self.transcript.line.say(text)

    def _reason(self) -> str:
        return self.transcript.last_lines() or (self.health.waits_for() if self.health else "")


class RayWatch:
    """Raises StartError when a vital process of this process's Ray has ended, or has been stopped for too long."""

    def __init__(self, health: RayHealth, say: Callable[[str], None]) -> None:
        self._health, self._say = health, say
        self._looked = 0.0
        self._stopped: StartClock | None = None

    def look(self) -> None:
        """Look, once a second."""
        if time.monotonic() - self._looked < _LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        if lost := self._health.lost():
            raise StartError(lost)
        if not self._health.stopped():
            self._stopped = None
            return
        self._stopped = self._stopped or StartClock("Ray to go on", self._health.stopped, self._say)
        self._stopped.look()
