"""The parts of `ray_scale`, each in a separate process, since a process can only have one Ray: prints its rows as JSON.

python -m deep3dmap.benchmarks.kernels.ray_scale_parts PART SIZE
"""

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deep3dmap.cli.arguments import how_many

Row = dict[str, Any]
METHOD, DATASET = "deep3dmap.benchmarks.kernels.nothing:MinimalMethod", "deep3dmap.benchmarks.kernels.nothing:MinimalDataset"
RUN = (f"method={METHOD}", f"dataset={DATASET}", "trainer.max_steps=1", "trainer.batch_size=8")
SWEEP = ("tune.scheduler=none", "tune.searcher=random", "tune.space.optimizer.lr=loguniform(1e-5,1e-2)")
CPUS = 2
EVALUATIONS = 10


def row(what: str, n: int, seconds: float, per: str = "", base: float | None = None) -> Row:
    """Return one measurement. per: unit of the seconds, one of n. base: seconds to which the ratio refers."""
    return {"what": what, "n": n, "seconds": seconds, "per": per, "ratio": None if base is None else seconds / base}


# -- trials -----------------------------------------------------------------------------------------------------------


def trials(count: int) -> list[Row]:
    """Time sweeps of `count` trials with next to no work: bare Ray Tune in two variants, and ours, alternating."""
    from deep3dmap.train import ray_runtime

    ray_runtime.connect(cpus=CPUS)
    _bare_sweep(_empty_trial, CPUS)  # the first trials also wait for Ray's first worker processes
    contenders: dict[str, Callable[[], object]] = {
        "bare Tune, same training": lambda: _bare_sweep(_bare_trial, count),
        "deep3dmap tune": lambda: _our_sweep(count),
        "bare Tune, empty function": lambda: _bare_sweep(_empty_trial, count),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(3):
        for name, call in contenders.items():
            seconds[name].append(_timed(call) / count)
    base = statistics.median(seconds["bare Tune, same training"])
    return [row(name, count, statistics.median(times), "trial", base) for name, times in seconds.items()]


def _empty_trial(config: dict[str, Any]) -> dict[str, float]:
    return {"validation_loss": config["lr"]}


def _bare_trial(config: dict[str, Any]) -> None:
    """Run the step of `MinimalMethod` as hand-written code, with its checkpoint."""
    import torch
    from ray import tune

    layer = torch.nn.Linear(4, 4)
    optimizer = torch.optim.Adam(layer.parameters(), lr=config["lr"])
    loss = layer(torch.rand(8, 4)).square().mean()
    loss.backward()
    optimizer.step()
    with tempfile.TemporaryDirectory() as folder:
        torch.save({"model": layer.state_dict(), "optimizer": optimizer.state_dict()}, f"{folder}/state.pt")
        tune.report({"validation_loss": float(loss)}, checkpoint=tune.Checkpoint.from_directory(folder))


def _bare_sweep(trial: Callable[..., Any], count: int) -> None:
    from ray import tune

    with tempfile.TemporaryDirectory() as folder:
        tune.Tuner(
            tune.with_resources(trial, {"CPU": 1}),
            param_space={"lr": tune.loguniform(1e-5, 1e-2)},
            tune_config=tune.TuneConfig(metric="validation_loss", mode="min", num_samples=count),
            run_config=tune.RunConfig(name="bare", storage_path=folder, verbose=0),
        ).fit()


def _our_sweep(count: int) -> None:
    from deep3dmap.tune.sweep import run_sweep

    with _planned_sweep(count) as plan:
        outcome = run_sweep(plan, lambda event, record, state: None)
        bad = [record.error for record in outcome.state.trials.values() if record.status != "ok"]
        if bad or not outcome.is_complete:
            raise RuntimeError(f"the sweep did not finish: {bad[:1]}")


@contextmanager
def _planned_sweep(count: int) -> Iterator[Any]:
    from deep3dmap.tune.plan import plan_sweep
    from deep3dmap.tune.tune_arguments import parse_arguments

    with tempfile.TemporaryDirectory() as folder:
        request = parse_arguments((*RUN, *SWEEP, f"tune.trials={count}"))
        yield plan_sweep(request, folder, Path(folder) / "work")


# -- start ------------------------------------------------------------------------------------------------------------


def start(rounds: int) -> list[Row]:
    """Time a one-worker run of one step on a running Ray: our trainer and a bare TorchTrainer, alternating."""
    from deep3dmap.train import ray_runtime

    ray_runtime.connect(cpus=CPUS)
    contenders = {"bare TorchTrainer": _bare_run, "deep3dmap train": _our_run}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            seconds[name].append(_timed(call))
    base = statistics.median(seconds["bare TorchTrainer"])
    return [row(name, rounds, statistics.median(times), "run", base) for name, times in seconds.items()]


def _bare_run() -> None:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    def loop(config: dict[str, Any]) -> None:
        import ray.train
        import torch

        with tempfile.TemporaryDirectory() as place:
            torch.save(torch.nn.Linear(4, 4).state_dict(), f"{place}/state.pt")
            ray.train.report({"loss": 0.0}, checkpoint=ray.train.Checkpoint.from_directory(place))

    with tempfile.TemporaryDirectory() as folder:
        scaling: Any = ScalingConfig(num_workers=1, resources_per_worker={"CPU": 1})
        TorchTrainer(loop, scaling_config=scaling, run_config=RunConfig(name="bare", storage_path=folder)).fit()


def _our_run() -> None:
    from deep3dmap.cli.train import compose
    from deep3dmap.results.store import ResultStore
    from deep3dmap.runs.training_run import plan_training

    with tempfile.TemporaryDirectory() as folder:
        plan_training(compose([*RUN, f"results={folder}"]), Path(folder) / "work").execute(ResultStore(folder))


# -- driver and store -------------------------------------------------------------------------------------------------


def driver(count: int) -> list[Row]:
    """Time our driver's work for `count` trials of ten evaluations each, without any training: journal, searcher, rows."""
    return [_driver_at(n) for n in _sizes(count)]


def _driver_at(count: int) -> Row:
    from deep3dmap.results.store import ResultStore
    from deep3dmap.tune.journal import Journal
    from deep3dmap.tune.monitor import SweepMonitor
    from deep3dmap.tune.searchers import build_searcher

    with _planned_sweep(count) as plan:
        plan.write_description()
        proposer = build_searcher(plan.space, plan.options, plan.objectives)
        journal, store = Journal(plan.folder / "trials.jsonl"), ResultStore(plan.results)
        monitor = SweepMonitor(plan, journal, proposer, store, lambda event, record, state: None)
        began = time.perf_counter()
        while (record := monitor.next_trial()) is not None:
            monitor.started(record.number, record.values)
            for step in range(1, EVALUATIONS + 1):
                last = {"step": step, "seconds": step / 10, "validation_loss": 1 / step}
                monitor.evaluated(record.number, last)
            monitor.ended(record.number, "ok", "", last)
        return row("driver of a sweep", count, (time.perf_counter() - began) / count, "trial")


def store(count: int) -> list[Row]:
    """Time `count` rows of runs without work, written to a store and read back through the leaderboard."""
    return [found for n in _sizes(count) for found in _store_at(n)]


def _store_at(count: int) -> list[Row]:
    from dataclasses import replace

    from deep3dmap.cli.train import compose
    from deep3dmap.results.leaderboard import leaderboard
    from deep3dmap.results.schema import MetricRow
    from deep3dmap.results.store import ResultStore
    from deep3dmap.runs.planning import plan_run
    from deep3dmap.runs.result_rows import Outcome, run_row

    with tempfile.TemporaryDirectory() as folder:
        plan, results = plan_run(compose(list(RUN)), Path(folder) / "work"), ResultStore(folder)
        plan = replace(plan, suite="nothing", protocol_version=1, tier="quick")
        template = run_row(plan, 1, "nothing", Outcome())
        config = json.loads(template.config)

        def write(index: int) -> None:
            run_id = f"{index:016x}"
            values = [MetricRow(run_id, 1, f"scene_{scene}", "error", index + scene, "mm", "down") for scene in range(3)]
            # Five seeds per configuration: each configuration is an entry of the leaderboard.
            own = json.dumps({**config, "method": {"hidden": index // 5}})
            results.write_attempt(replace(template, run_id=run_id, seed=index % 5, config=own), values, [])

        def write_all() -> None:
            for index in range(count):
                write(index)

        written = _timed(write_all)
        read, ranked = _timed(results.runs), _timed(lambda: leaderboard(results, metric="all"))
    names = ("write into the store", "read the runs", "leaderboard")
    return [row(name, count, seconds / count, "run") for name, seconds in zip(names, (written, read, ranked))]


def _sizes(count: int) -> Sequence[int]:
    return [max(1, count // 4), max(2, count // 2), count]


# -- raylets ----------------------------------------------------------------------------------------------------------


def raylets(count: int) -> list[Row]:
    """Time a cluster of `count` nodes on this machine, with two simulated CPUs each: start, tasks, placement groups, trials."""
    import ray
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"num_cpus": CPUS, "object_store_memory": 80 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        started = _timed(lambda: [cluster.add_node(**node) for _ in range(count - 1)])
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        rows = [row("start a raylet", count, started / max(1, count - 1), "raylet")] if count > 1 else []
        _spread_tasks(2 * count)  # starts the worker processes
        rows.append(row("task on a warm worker", count, _timed(lambda: _spread_tasks(200)) / 200, "task"))
        rows.append(row("placement group, made and removed", count, _timed(lambda: _placement_groups(40)) / 40, "group"))
        rows.append(row("trial of bare Tune", count, _timed(lambda: _bare_sweep(_empty_trial, 8)) / 8, "trial"))
    finally:
        ray.shutdown()
        cluster.shutdown()
        # Otherwise every later Ray on this machine would try to join a cluster that no longer exists.
        Path("/tmp/ray/ray_current_cluster").unlink(missing_ok=True)
    return rows


def _spread_tasks(count: int) -> None:
    import ray

    task = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(_empty_task)
    ray.get([task.remote() for _ in range(count)])


def _empty_task() -> None:
    return None


def _placement_groups(count: int) -> None:
    import ray
    from ray.util import placement_group, remove_placement_group

    for _ in range(count):
        group = placement_group([{"CPU": 1}])
        ray.get(group.ready())
        remove_placement_group(group)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


PARTS: dict[str, Callable[[int], list[Row]]] = {part.__name__: part for part in (trials, start, driver, store, raylets)}


def main(argv: Sequence[str]) -> int:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("size", type=how_many, help="trials, runs or nodes")
    options = parser.parse_args(argv)
    # Several raylets on one machine do not share a token; they listen on loopback only.
    if options.part == "raylets":
        os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ.pop("RAY_ADDRESS", None)
    print(json.dumps(PARTS[options.part](options.size)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
