"""A planned but not executed sweep of a toy method."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deep3dmap.tune.plan import SweepPlan, plan_sweep
from deep3dmap.tune.tune_arguments import parse_arguments

Planner = Callable[..., SweepPlan]


@pytest.fixture
def planned(tmp_path: Path) -> Planner:
    """Return a function that plans a sweep of the toy regression from further arguments."""

    def plan(*texts: str, method: str = "toys:Regression/mini", results: str = "results") -> SweepPlan:
        arguments = (f"method={method}", "dataset=toys:Dots", "trainer.max_steps=40", "tune.searcher=random", *texts)
        folder = tmp_path / results
        return plan_sweep(parse_arguments(arguments), str(folder), folder / "work")

    return plan
