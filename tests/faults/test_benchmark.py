"""A benchmark whose driver, trials or machine fail keeps one row per run, no more and no fewer."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import HEADS, ended, start, wait_for

from deep3dmap.bench.expansion import expand
from deep3dmap.results.store import ResultStore
from deep3dmap.runs.run_plan import RunPlan

pytestmark = [pytest.mark.ray, pytest.mark.slow]
TOY = ("benchmark", "suite=face", "tier=smoke", "methods=[toy_faces:ToyFace]", *HEADS)
BUDGET = ("trainer.max_steps=8", "trainer.batch_size=4", "trainer.checkpoint_every=2", "trainer.max_seconds=0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("user")


def rows(folder: Path, results: str) -> list[tuple[int, int, str]]:
    runs = ResultStore(str(folder / results)).runs(newest_only=False)
    counted = runs.groupby("run_id").attempt.rank()
    return sorted(zip(map(int, runs.seed), map(int, counted), map(str, runs.status)))


def half_trained(results: Path) -> list[str]:
    return [str(path) for path in results.glob("work/*/checkpoints/step_*")]


def test_a_driver_killed_between_two_runs_is_resumed_to_one_row_each(folder: Path) -> None:
    # Every run takes all CPUs, so that they run one after another.
    line = (*TOY, *BUDGET, "seeds=2", f"trainer.cpus_per_worker={os.cpu_count()}", "method.ToyFace.delay=1.0", "results=driver")
    driver = start(folder, *line)
    store = ResultStore(str(folder / "driver"))
    wait_for(lambda: list((folder / "driver" / "tables" / "runs").glob("*.parquet")), driver)
    first = store.runs()
    done = first.run_id[0]
    wait_for(lambda: [path for path in half_trained(folder / "driver") if done not in path], driver)
    driver.send_signal(signal.SIGKILL)
    driver.wait(30)
    # Ray's processes check every second whether their driver is alive.
    time.sleep(5)
    assert len(store.runs(newest_only=False)) == 1
    ended(start(folder, *line, "--resume"))
    assert rows(folder, "driver") == [(0, 1, "ok"), (1, 1, "ok")]
    kept = store.runs()
    assert kept[kept.run_id == done].started_at.iloc[0] == first.started_at[0]
    curves = store.curves()
    steps = curves[(curves.name == "loss") & (curves.run_id != done)].step.tolist()
    assert steps == sorted(set(steps))
    assert len(steps) > 0


def test_runs_that_no_cluster_of_this_size_can_place_are_rows_at_once(folder: Path) -> None:
    arguments = (*TOY, *BUDGET, "seeds=2", "trainer.cpus_per_worker=4096", "results=greedy")
    out, error = ended(start(folder, *arguments, "--json"), code=1)
    assert rows(folder, "greedy") == [(0, 1, "no_resources"), (1, 1, "no_resources")]
    assert {run["status"] for run in json.loads(out)} == {"no_resources"}
    # The line is wrapped to the width of the terminal.
    assert "no resources: asked for 4096 CPU in all; there is" in " ".join(error.split())
    assert "Traceback" not in error


def planned(folder: Path, results: str) -> RunPlan:
    from deep3dmap.bench.benchmark_arguments import parse_arguments

    own = parse_arguments([*TOY[1:], *BUDGET, "seeds=1", f"results={results}", f"data.cache={folder / 'cache'}"])
    return expand(own, folder / "work")[0]


def test_a_trial_started_again_after_its_row_was_written_adds_none(folder: Path) -> None:
    from deep3dmap.bench.benchmark_trial import execute_run
    from deep3dmap.runs.recording import record, recorded
    from deep3dmap.runs.result_rows import Outcome

    store = ResultStore(str(folder / "twice"))
    plan = planned(folder, store.uri)
    assert recorded(store, plan, 1) is None
    told = record(store, plan, 1, Outcome("failed", "the cable was pulled"))
    assert execute_run(plan, store.uri, 1) == told == {"status": "failed", "headline": None, "error": "the cable was pulled"}
    assert rows(folder, "twice") == [(0, 1, "failed")]
    assert recorded(store, replace(plan, run_id="0123456789abcdef"), 1) is None
