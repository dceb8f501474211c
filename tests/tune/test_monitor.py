"""The driver's bookkeeping without Ray: journal, resume, rows, stop rules, Pareto front, best.yaml, report."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from deep3dmap.cli.train import compose
from deep3dmap.core import UserError
from deep3dmap.results.leaderboard import leaderboard
from deep3dmap.results.store import ResultStore
from deep3dmap.tune.best import read_best
from deep3dmap.tune.journal import Journal, SweepState, TrialRecord
from deep3dmap.tune.monitor import SweepMonitor
from deep3dmap.tune.objective import Objective, ValidationView, best_of, dominated, front_of
from deep3dmap.tune.plan import SweepPlan
from deep3dmap.tune.report import summary, write_report
from deep3dmap.tune.rows import write_sweep_card
from deep3dmap.tune.searchers import build_searcher

Planner = Callable[..., SweepPlan]


class Driver:
    """Simulates Ray: starts trials, reports for them, ends them; `die` discards everything not on disk."""

    def __init__(self, plan: SweepPlan) -> None:
        plan.write_description()
        self.plan, self.store = plan, ResultStore(plan.results)
        write_sweep_card(self.store, plan)
        proposer = build_searcher(plan.space, plan.options, plan.objectives)
        self.events: list[str] = []
        follow = lambda event, record, state: self.events.append(event)  # noqa: E731
        self.monitor = SweepMonitor(plan, Journal(plan.folder / "trials.jsonl"), proposer, self.store, follow)

    def begin(self) -> TrialRecord | None:
        record = self.monitor.next_trial()
        if record is not None:
            self.monitor.started(record.number, record.values)
        return record

    def report(self, number: int, step: int, loss: float, seconds: float = 0.0) -> dict[str, float]:
        metrics = {"step": step, "seconds": seconds or step / 10, "progress": 2.5 * step, "validation_loss": loss}
        metrics |= {"memory_mb": 100.0 + number}
        self.monitor.evaluated(number, metrics)
        return metrics

    def whole(self, loss: float, status: str = "ok", seconds: float = 4.0, error: str = "") -> TrialRecord:
        record = self.begin()
        assert record is not None
        self.report(record.number, 20, 2 * loss)
        last = {} if error else self.report(record.number, 40, loss, seconds)
        self.monitor.ended(record.number, status, error, last)
        return record


def test_the_run_itself_comes_first_and_is_protected(planned: Planner) -> None:
    driver = Driver(planned("tune.trials=3"))
    first = driver.begin()
    assert first is not None
    assert first.is_default
    assert first.values == {"optimizer.lr": 0.01, "method.hidden": 8}
    assert driver.monitor.is_protected(0)
    second = driver.begin()
    assert second is not None
    assert not driver.monitor.is_protected(second.number)
    assert driver.plan.space.contains(second.values)
    assert driver.begin() is not None
    assert driver.begin() is None


def test_trials_become_runs_of_a_suite_of_their_own(planned: Planner) -> None:
    driver = Driver(planned("tune.trials=3"))
    for loss in (3.0, 1.0):
        driver.whole(loss)
    driver.whole(2.0, "diverged", error="the loss is not finite at step 21")
    runs = driver.store.runs()
    suite = f"tune:{driver.plan.name}"
    assert sorted(zip(runs.suite, runs.status)) == [(suite, "diverged"), (suite, "ok"), (suite, "ok")]
    assert sorted(runs.steps) == [20, 40, 40]
    metrics = driver.store.metrics()
    assert sorted(metrics.value[metrics.metric == "validation_loss"]) == [1.0, 3.0, 4.0]
    assert set(metrics.unit[metrics.metric == "seconds"]) == {"s"}
    assert json.loads(runs.iloc[0].config)["trainer"]["evaluate_every"] == 4
    assert not leaderboard(driver.store)
    rows = leaderboard(driver.store, suite=suite)
    assert [row.value for row in rows][:2] == [1.0, 3.0]
    assert "optimizer.lr=" in rows[0].note


def test_a_resumed_sweep_keeps_what_ended_and_begins_again_what_did_not(planned: Planner) -> None:
    plan = planned("tune.trials=4")
    driver = Driver(plan)
    driver.whole(3.0)
    halfway = driver.begin()
    assert halfway is not None
    driver.report(1, 20, 9.0)
    # The driver dies while writing a line, and between writing a row and its line.
    journal = plan.folder / "trials.jsonl"
    journal.write_text(journal.read_text() + '{"kind": "evaluated", "tri')

    again = Driver(plan)
    assert [record.number for record in again.monitor.state.ended] == [0]
    resumed = again.begin()
    assert resumed is not None
    assert (resumed.number, resumed.values) == (1, halfway.values)
    again.report(1, 20, 8.0)
    again.report(1, 40, 2.0)
    again.monitor.ended(1, "ok", "", {})
    assert [evaluation["step"] for evaluation in resumed.evaluations] == [20, 40]
    assert resumed.evaluations[0]["validation_loss"] == 8.0
    again.whole(1.0)
    again.whole(5.0)
    assert again.begin() is None
    runs = ResultStore(plan.results).runs(newest_only=False)
    assert len(runs) == 4
    assert runs.run_id.is_unique
    assert Journal(journal).state.trials == again.monitor.state.trials


def test_a_row_without_its_line_in_the_journal_is_not_written_twice(planned: Planner) -> None:
    plan = planned("tune.trials=2")
    driver = Driver(plan)
    driver.whole(3.0)
    journal = plan.folder / "trials.jsonl"
    kept = [line for line in journal.read_text().splitlines() if '"ended"' not in line]
    journal.write_text("\n".join(kept) + "\n")
    again = Driver(plan)
    assert [(r.number, r.status) for r in again.monitor.state.ended] == [(0, "ok")]
    again.whole(1.0)
    assert len(again.store.runs(newest_only=False)) == 2


def test_a_sweep_that_is_another_is_not_resumed(planned: Planner) -> None:
    planned("tune.name=mine").write_description()
    planned("tune.name=mine", "tune.trials=99").write_description()
    with pytest.raises(UserError, match="started with another space"):
        planned("tune.name=mine", "tune.space.optimizer.lr=near(2)").write_description()
    with pytest.raises(UserError, match="started with another run"):
        planned("tune.name=mine", "optimizer.weight_decay=0.1").write_description()


def test_a_restarted_sweep_writes_new_attempts(planned: Planner) -> None:
    plan = planned("tune.trials=1")
    Driver(plan).whole(3.0)
    plan.discard()
    Driver(plan).whole(2.0)
    store = ResultStore(plan.results)
    assert store.runs(newest_only=False).attempt.nunique() == 2
    metrics = store.metrics()
    assert metrics.value[metrics.metric == "validation_loss"].tolist() == [2.0]


@pytest.mark.parametrize(
    ("rule", "reason", "trials"),
    [
        (("tune.plateau=2",), "no better trial in the last 2", 4),
        (("tune.plateau=2", "tune.tolerance=0.5"), "no better trial", 3),
        (("tune.max_gpu_hours=0.003", "trainer.gpus_per_worker=1"), "tune.max_gpu_hours=0.003 is spent", 3),
        (("tune.max_seconds=0.000001",), "is spent", 0),
    ],
)
def test_stop_rules_end_a_sweep(planned: Planner, rule: tuple[str, ...], reason: str, trials: int) -> None:
    driver = Driver(planned("tune.trials=20", *rule))
    losses = [3.0, 2.9, 2.95, 2.9, 2.8, 2.7]
    count = 0
    while count < 6:
        if driver.monitor.next_trial() is None:
            break
        number = len(driver.monitor.state.trials) - 1
        driver.monitor.started(number, driver.monitor.state.trials[number].values)
        driver.monitor.ended(number, "ok", "", driver.report(number, 40, losses[count], 4.0))
        count += 1
    assert count == trials
    assert reason in driver.monitor.state.finish
    assert driver.events.count("finish") == 1


def test_a_limit_asks_what_runs_to_stop_and_a_resume_may_go_on(planned: Planner) -> None:
    plan = planned("tune.trials=9", "tune.plateau=1")
    driver = Driver(plan)
    running = driver.begin()
    assert running is not None
    driver.whole(1.0)
    driver.whole(2.0)
    assert driver.monitor.state.finish
    assert plan.stop_file(running.number).exists()
    assert not driver.monitor.is_protected(running.number)
    driver.monitor.ended(running.number, "stopped", "", driver.report(running.number, 20, 0.5))
    again = Driver(planned("tune.trials=9"))
    assert again.monitor.state.finish == ""
    assert again.begin() is not None


def test_a_sweep_whose_first_trials_all_fail_is_given_up(planned: Planner) -> None:
    driver = Driver(planned("tune.trials=20"))
    for _ in range(3):
        driver.whole(1.0, "failed", error="Traceback\nRuntimeError: asked to fail")
    assert driver.begin() is None
    assert "first 3 trials failed: RuntimeError: asked to fail" in driver.monitor.state.finish


def records(*losses: tuple[float, float, str]) -> list[TrialRecord]:
    made = []
    for number, (loss, seconds, status) in enumerate(losses):
        made.append(TrialRecord(number, {}, status=status, evaluations=[{"q": loss, "seconds": seconds}]))
    return made


def test_the_best_and_the_front() -> None:
    quality, seconds = Objective("q", "q", "up"), Objective("seconds", "seconds", "down")
    own = records(
        (5, 9, "ok"), (4, 2, "ok"), (4, 3, "ok"), (9, 1, "stopped"), (3, 1, "ok"), (math.nan, 0, "ok"), (99, 0, "failed")
    )
    assert best_of(own, quality) is own[0]
    assert best_of([own[3], own[6]], quality) is own[3]
    assert [r.number for r in front_of(own, (quality, seconds))] == [0, 1, 4]
    losses = np.random.default_rng(0).random((40, 3))
    slow = [any((o <= p).all() and (o < p).any() for o in losses) for p in losses]
    assert dominated(losses).tolist() == slow


def test_the_counting_evaluation_is_that_of_the_kept_checkpoint() -> None:
    evaluations = [{"step": s, "validation_loss": v, "face/nme": m} for s, v, m in ((1, 3, 9.0), (2, 1, 5.0), (3, 2, 4.0))]
    assert TrialRecord(0, {}, evaluations=evaluations).chosen["face/nme"] == 5.0
    assert TrialRecord(0, {}, evaluations=[{"step": 1, "a": 1.0}, {"step": 2, "a": 2.0}]).chosen["a"] == 2.0
    assert TrialRecord(0, {}).chosen == {}


def test_the_test_split_is_out_of_reach(planned: Planner) -> None:
    view = ValidationView(planned().run.open_dataset())
    assert len(view.split("val")) == 5
    for name in ("test", "train"):
        with pytest.raises(PermissionError, match="validation split only"):
            view.split(name)


def test_the_answer_goes_into_train_and_into_pictures(planned: Planner, tmp_path: Path) -> None:
    plan = planned("tune.trials=8", "tune.objectives=[quality,seconds,memory]", "optimizer.weight_decay=0.25")
    driver = Driver(plan)
    for loss, seconds in ((3.0, 4.0), (2.0, 6.0), (2.5, 3.0), (4.0, 9.0), (2.2, 5.0)):
        driver.whole(loss, seconds=seconds)
    driver.whole(9.0, "stopped")
    state: SweepState = driver.monitor.state
    report = write_report(plan, state)
    text = report.read_text()
    assert "33.3 % better" in text
    assert "## Pareto front" in text
    names = {file.name for file in plan.output.iterdir()}
    assert names >= {"best.yaml", "history.png", "parameters.png", "curves.png", "pareto_seconds.png", "pareto_memory.png"}
    assert {file.stem for file in (plan.output / "pareto").iterdir()} == {f"trial-{n}" for n in summary(plan, state)["pareto"]}
    for name in names:
        if name.endswith(".png"):
            assert (plan.output / name).stat().st_size > 5000
            assert f"({name})" in text

    best = driver.monitor.best()
    assert best is not None
    assert best.number == 1
    composed = compose(
        [f"from={plan.output / 'best.yaml'}", "method=toys:Regression/mini", "dataset=toys:Dots", "results=elsewhere"]
    )
    assert composed.config["optimizer"]["lr"] == best.values["optimizer.lr"]
    assert composed.config["method"]["hidden"] == best.values["method.hidden"]
    assert composed.config["optimizer"]["weight_decay"] == 0.25
    read = read_best(plan.output / "best.yaml")
    assert (read.method, dict(read.tuned)) == ("toys:Regression/mini", best.values)
    broken = tmp_path / "broken.yaml"
    broken.write_text(yaml.safe_dump({"choices": {}}))
    with pytest.raises(UserError, match=r"best=.*not a saved configuration.*deep3dmap tune"):
        read_best(broken)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("trainer.max_steps=null", "trainer.max_seconds=5"), "the budget is in seconds only"),
        (("tune.scheduler=pbt", "trainer.workers=2"), "pauses trials"),
        (("tune.objectives=[seconds]",), "quality must be among them"),
        (("tune.objectives=[quality,money]",), "unknown objective 'money'"),
        (("tune.metric=face/nme_68",), "unknown metric of suite 'face' 'nme_68'; did you mean 'nme_68_"),
        *(((f"tune.name={name}",), "letters, digits") for name in ("a/b", "..", ".hidden", "a" * 101)),
    ],
)
def test_what_cannot_work_is_told_at_once(planned: Planner, texts: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        planned(*texts)


def test_evaluations_are_spread_over_the_budget_of_each_trial(planned: Planner) -> None:
    plan = planned("tune.space.trainer.max_steps=choice(20,100)", "tune.evaluations=5")

    def every(values: dict[str, Any]) -> int:
        return int(plan.trial_plan(1, values).config["trainer"]["evaluate_every"])

    assert (every({"trainer.max_steps": 20}), every({"trainer.max_steps": 100})) == (4, 20)
    assert planned("trainer.evaluate_every=7").trial_plan(1, {}).config["trainer"]["evaluate_every"] == 7
    epochs = planned("trainer.max_steps=null", "trainer.max_epochs=10", "trainer.batch_size=8", "tune.evaluations=5")
    assert epochs.trial_plan(1, {}).config["trainer"]["evaluate_every"] == 6
    # With 24 samples an epoch is one batch of 16; the rest belongs to the next epoch.
    uneven = planned("trainer.max_steps=null", "trainer.max_epochs=10", "trainer.batch_size=16", "tune.evaluations=5")
    assert uneven.trial_plan(1, {}).config["trainer"]["evaluate_every"] == 2
