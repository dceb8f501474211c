"""Speed of the dashboard over large stores, measured in a browser.

Writes stores of synthetic runs with curves, a sweep, cards and scenes, serves each as `deep3dmap dashboard` does, and prints
one table each for files of single attempts, for a second start over them, and for segments. The tables show how long a fresh
server takes from its start to the first page (while it reads the store), for every page and the clicks there, the CPU time and
memory of the server, and how long the leaderboard takes in the terminal. Requires Chromium and playwright.

    python -m deep3dmap.benchmarks.store.browser [--runs 100 1000 10000] [--scenes 20] [--metrics 5] [--points 150]
        [--keep FOLDER]
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deep3dmap.benchmarks.store.large_store import write_store
from deep3dmap.benchmarks.store.served_dashboard import served
from deep3dmap.benchmarks.store.speed import synthetic_run, without_fsync
from deep3dmap.benchmarks.store.walk import Figure, new_page, paint, steps, timed
from deep3dmap.cli.arguments import how_many
from deep3dmap.results.compact import compact
from deep3dmap.results.store import ResultStore

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
SETTLE_S, QUIET_S = 10.0, 20.0
STATES = ("files of single attempts", "the same, after a restart of the server", "segments")


def measure(browser: Any, uri: str) -> dict[str, str]:
    """Return {action: its figures} for one store."""
    found: dict[str, Figure] = {}
    with served(uri) as server:
        found["server answers"] = timed(server, server.wait_until_it_answers)
        page, first = new_page(browser), f"{server.address}/leaderboard"
        found["first paint, right after"] = timed(server, lambda: paint(page, first))
        for name, address, clicks in steps(*_find_run_with_scenes(uri)):
            url = f"{server.address}/{address}"
            found[name] = timed(server, lambda url=url: paint(page, url))  # type: ignore[misc]
            for click in clicks:
                found[f"{name}: {click.name}"] = click.timed(server, page)
        with without_fsync():
            run, rows = synthetic_run(10**6 + int(time.time()), 20, 5)
            ResultStore(uri).write_attempt(run, rows, [])
        found["leaderboard after one more run"] = timed(server, lambda: paint(page, first))
        paint(page, f"{server.address}/live")
        # Wait until the states of the trials have been read, which happens once.
        time.sleep(SETTLE_S)
        quiet = timed(server, lambda: time.sleep(QUIET_S))
        figures = {name: f"{figure.wall_s:.2f} / {figure.cpu_s:.2f}" for name, figure in found.items()}
        figures["Live page, idle: % of a core"] = f"{100 * quiet.cpu_s / quiet.wall_s:.1f}"
        figures["memory of the server, MB"] = f"{server.memory_mb():,.0f}"
        page.close()
    terminal = time_leaderboard_command(uri)
    return figures | {"`deep3dmap leaderboard`, with its own CPU s": f"{terminal.wall_s:.2f} / {terminal.cpu_s:.2f}"}


def time_leaderboard_command(uri: str) -> Figure:
    """Measure `deep3dmap leaderboard` from start to end."""
    command = [sys.executable, "-m", "deep3dmap.cli", "leaderboard", f"results={uri}"]
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figure(time.perf_counter() - begin, cpu_s)


def _find_run_with_scenes(uri: str) -> tuple[str, str]:
    """Return the id and the suite of a run with saved scenes."""
    run_id, runs = next(Path(uri, "artifacts").iterdir()).name, ResultStore(uri).runs()
    return run_id, str(runs[runs.run_id == run_id].suite.iloc[0])


def table(title: str, found: Mapping[int, Mapping[str, str]]) -> str:
    """Return a Markdown table with a column for each number of runs; the rows are taken from the first."""
    lines = [f"| {title}; wall s / CPU s of the server | {' | '.join(f'{runs:,} runs' for runs in found)} |"]
    lines.append(f"| --- |{' ---: |' * len(found)}")
    for name in next(iter(found.values())):
        lines.append(f"| {name} | {' | '.join(of_runs[name] for of_runs in found.values())} |")
    return "\n".join(lines)


def main() -> None:
    """Print the figures for each state of the stores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=how_many, nargs="+", default=[100, 1000, 10_000])
    for name, default in (("scenes", 20), ("metrics", 5), ("points", 150)):
        parser.add_argument(f"--{name}", type=how_many, default=default)
    parser.add_argument("--keep", default="", help="folder in which the stores are kept, and reused if they exist")
    flags = parser.parse_args()
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        parser.error("chromium is absent; apt-get install chromium")
    from playwright.sync_api import sync_playwright

    found: dict[str, dict[int, dict[str, str]]] = {state: {} for state in STATES}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        os.environ["DEEP3DMAP_CACHE"] = f"{folder}/cache"
        for runs in flags.runs:
            uri = f"{flags.keep or folder}/{runs}"
            if not Path(uri, "tables").is_dir():
                write_store(uri, runs, flags.scenes, flags.metrics, flags.points)
            for state in STATES:
                if state == STATES[-1]:
                    compact(ResultStore(uri))
                found[state][runs] = measure(browser, uri)
                print(table(state, {runs: found[state][runs]}), file=sys.stderr, flush=True)
    print("\n\n".join(table(state, of_runs) for state, of_runs in found.items()))


if __name__ == "__main__":
    main()
