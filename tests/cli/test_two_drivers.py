"""Two commands on one store: a run or sweep in progress in one is refused to the other, and none of its files are removed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deep3dmap.cli import run_plans, sweep_run
from deep3dmap.cli.train import compose
from deep3dmap.config.compose import Layer, compose_run
from deep3dmap.core import UserError
from deep3dmap.results.store import ResultStore
from deep3dmap.runs.planning import plan_run
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.tune.options import TuneOptions
from deep3dmap.tune.plan import plan_composed

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(str(tmp_path / "results"))


def planned(work: Path) -> list[RunPlan]:
    """Two runs of a toy method, each with a checkpoint of an earlier command."""
    plans = []
    for seed in (0, 1):
        layer = Layer("test", ("trainer.max_steps=2", f"seed={seed}"))
        plan = replace(plan_run(compose_run("toys:Regression/mini", "toys:Dots", (layer,)), work), suite="face")
        (work / plan.run_id / "checkpoints").mkdir(parents=True)
        plans.append(plan)
    return plans


def test_a_benchmark_skips_what_another_one_is_running(
    store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    carried_out: list[str] = []

    def experiment(plans: list[RunPlan], *_: Any) -> list[Any]:
        carried_out.extend(plan.run_id for plan in plans)
        return []

    monkeypatch.setattr(run_plans, "run_experiment", experiment)
    for name in ("start_ray", "write_cards", "prepare_data", "print_leaderboard"):
        monkeypatch.setattr(run_plans, name, lambda *_, **__: None)
    first, second = planned(tmp_path / "work")
    with store.lease([first.run_id]):
        run_plans.run_plans([first, second], store, store.uri, tmp_path / "work", resume=False, as_json=False)
    assert carried_out == [second.run_id]
    assert (tmp_path / "work" / first.run_id / "checkpoints").is_dir()
    assert not (tmp_path / "work" / second.run_id).exists()
    told = " ".join(capsys.readouterr().err.split())
    assert "skipped, process" in told
    assert f"is already running it: {first.title}" in told


@pytest.mark.parametrize("restart", [False, True])
def test_a_sweep_has_one_driver(store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restart: bool) -> None:
    composed = compose(["method=toys:Regression/mini", "dataset=toys:Dots", "trainer.max_steps=4"])
    plan = plan_composed(composed, TuneOptions(name="mine", searcher="random"), {}, store.uri, tmp_path / "work")
    plan.write_description()
    never: Callable[..., Any] = lambda *_: pytest.fail("the sweep was carried out")  # noqa: E731
    monkeypatch.setattr(sweep_run, "start_ray", never)
    with store.lease(["sweep-mine"]), pytest.raises(UserError, match=r"process \d+ on .* is already working on sweep 'mine'"):
        sweep_run.execute_sweep(plan, Console(), restart)
    assert (plan.folder / "sweep.json").is_file()
