"""Read performance of a result store: small files, segments, and DuckDB over the same files.

Writes a store of synthetic runs and prints, each measured in a fresh process, the time of the leaderboard, the time for a
running reader to read one more run and, if DuckDB is installed, the time of its simpler group-by.

    python -m deep3dmap.benchmarks.store.speed [--runs 10000] [--scenes 20] [--metrics 5] [--keep FOLDER]
"""

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest import mock

import numpy as np

from deep3dmap.benchmarks.store.template_run import TEMPLATE
from deep3dmap.cli.arguments import how_many
from deep3dmap.results.compact import compact
from deep3dmap.results.leaderboard import boards
from deep3dmap.results.run_id import content_hash
from deep3dmap.results.schema import MetricRow, RunRow
from deep3dmap.results.store import ResultStore

SEEDS, SUITES = 5, 5
BY_DUCKDB = """
    select suite, method, metric, avg(value), stddev(value) from read_parquet('{0}/tables/metrics/*.parquet') as m
    join (select run_id, suite, method from read_parquet('{0}/tables/runs/*.parquet')) as r using (run_id)
    where metric = 'metric_0' group by all
"""


def write_runs(store: ResultStore, numbers: range, scenes: int, metrics: int) -> None:
    """Write runs in SUITES suites, with SEEDS seeds per method."""
    for number in numbers:
        run, rows = synthetic_run(number, scenes, metrics)
        store.write_attempt(run, rows, [])


def synthetic_run(number: int, scenes: int, metrics: int) -> tuple[RunRow, list[MetricRow]]:
    """Return a synthetic run with its values."""
    generator = np.random.default_rng(number)
    method, seed = divmod(number, SEEDS)
    config = {"method": {f"option_{index}": index for index in range(30)}, "seed": seed, "trainer": {"max_steps": 400}}
    run_id = content_hash({"number": number})
    run = replace(TEMPLATE, run_id=run_id, suite=f"suite_{method % SUITES}", method=f"method_{method // SUITES:04d}", seed=seed)
    run = replace(run, config=json.dumps(config), started_at=TEMPLATE.started_at + timedelta(seconds=number))
    values = method / 100 + generator.standard_normal((metrics, scenes))
    rows = [
        MetricRow(run_id, 1, f"scene_{scene:03d}", f"metric_{metric}", float(values[metric, scene]), "mm", "down")
        for metric in range(metrics)
        for scene in range(scenes)
    ]
    return run, rows


@contextmanager
def without_fsync() -> Iterator[None]:
    """Skip syncing to disk while writing, since only reading is measured."""
    with mock.patch("os.fsync"):
        yield


def read_board(uri: str) -> int:
    """Aggregate all headline metrics, like `deep3dmap leaderboard`; returns the number of rows."""
    return sum(len(board.rows) for board in boards(ResultStore(uri), metric="metric_0"))


def read_by_duckdb(uri: str) -> int:
    """Group by method in DuckDB, without intervals, tests and ranks."""
    import duckdb

    return len(duckdb.connect().execute(BY_DUCKDB.format(uri)).fetchall())


def time_incremental_read(uri: str) -> int:
    """Read, add a run, and print how long it takes to read again."""
    store = ResultStore(uri)
    rows = len(boards(store, metric="metric_0"))
    with without_fsync():
        run, values = synthetic_run(10**6 + int(time.time()), 20, 5)
        ResultStore(uri).write_attempt(replace(run, attempt=store.next_attempt(run.run_id)), values, [])
    begin, cpu = time.perf_counter(), time.process_time()
    boards(store, metric="metric_0")
    print(json.dumps({"wall": time.perf_counter() - begin, "cpu": time.process_time() - cpu}))
    return rows


ACTIONS: dict[str, Callable[[str], int]] = {"board": read_board, "duckdb": read_by_duckdb, "one more": time_incremental_read}


def measure_action(action: str, uri: str) -> dict[str, float]:
    """Run an action in a fresh process; returns wall-clock and CPU seconds without imports, and the peak memory."""
    command = [sys.executable, "-m", "deep3dmap.benchmarks.store.speed", "--action", action, "--keep", uri]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[0])
    return found


def _run_action(action: str, uri: str) -> None:
    if action == "one more":
        ACTIONS[action](uri)
        return
    if action == "duckdb":
        importlib.import_module("duckdb")
    begin, cpu = time.perf_counter(), time.process_time()
    rows = ACTIONS[action](uri)
    figures = {"wall": time.perf_counter() - begin, "cpu": time.process_time() - cpu, "rows": rows}
    print(json.dumps(figures | {"mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def _report(name: str, figures: dict[str, float]) -> None:
    rest = f"{figures['mb']:7.0f} MB {figures['rows']:7.0f} rows" if "mb" in figures else ""
    print(f"{name:44} {figures['wall']:8.2f} s wall {figures['cpu']:8.2f} s CPU {rest}", flush=True)


def main() -> None:
    """Print the figures for both states of a store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=how_many, default=10_000)
    parser.add_argument("--scenes", type=how_many, default=20)
    parser.add_argument("--metrics", type=how_many, default=5)
    parser.add_argument("--keep", default="", help="folder in which the store is kept")
    parser.add_argument("--action", choices=list(ACTIONS), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.action:
        _run_action(flags.action, flags.keep)
        return
    with tempfile.TemporaryDirectory() as folder, without_fsync():
        store, has_duckdb = ResultStore(flags.keep or folder), importlib.util.find_spec("duckdb") is not None
        begin = time.perf_counter()
        write_runs(store, range(flags.runs), flags.scenes, flags.metrics)
        total = flags.runs * flags.scenes * flags.metrics
        print(f"{flags.runs} runs, {total} metric rows, written in {time.perf_counter() - begin:.1f} s")
        for state in ("files of single attempts", "segments"):
            if state == "segments":
                begin = time.perf_counter()
                done = compact(store)
                print(f"compacted {done.files} files into {done.segments} in {time.perf_counter() - begin:.1f} s")
            _report(f"leaderboard, {state}", measure_action("board", store.uri))
            if has_duckdb:
                _report(f"DuckDB's group-by, {state}", measure_action("duckdb", store.uri))
            _report(f"one more run, {state}", measure_action("one more", store.uri))
        size = sum(file.stat().st_size for file in Path(store.uri).rglob("*.parquet"))
        print(f"size {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
