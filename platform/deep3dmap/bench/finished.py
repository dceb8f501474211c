"""The outcome of a benchmark run, as reported to a progress callback."""

from collections.abc import Callable
from dataclasses import dataclass

from deep3dmap.runs.run_plan import RunPlan


@dataclass(frozen=True)
class Finished:
    """The outcome of a finished run. seconds: wall time since it first started."""

    plan: RunPlan
    status: str
    headline: float | None
    error: str
    seconds: float


Follower = Callable[[str, RunPlan | Finished, int, int], None]
