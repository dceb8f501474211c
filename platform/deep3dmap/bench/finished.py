"""How a run of a benchmark ended, for whoever follows it."""

from collections.abc import Callable
from dataclasses import dataclass

from deep3dmap.runs.run_plan import RunPlan


@dataclass(frozen=True)
class Finished:
    """A run that has ended, for whoever follows the benchmark."""

    plan: RunPlan
    status: str
    headline: float | None
    error: str
    seconds: float


Follower = Callable[[str, RunPlan | Finished, int, int], None]
