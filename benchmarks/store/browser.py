"""How fast the dashboard is over a large store, as a browser sees it.

Writes a store of made-up runs with curves, serves it as `deep3dmap dashboard` does, and prints for files of single attempts,
for a second start over them, and for segments: how long a fresh server takes from its start to the first page (the store
being read meanwhile), a page of a server that is there, clicks, and what the server takes of processor and memory. Needs
Chromium and playwright.

    python -m deep3dmap.benchmarks.store.browser [--runs 10000] [--scenes 20] [--metrics 5] [--points 150] [--keep FOLDER]
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deep3dmap.benchmarks.store.speed import made_run, without_syncing
from deep3dmap.core.errors import UserError
from deep3dmap.results.compact import compact
from deep3dmap.results.schema import CurveRow
from deep3dmap.results.store import ResultStore

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
WAIT_MS, SETTLE_S, QUIET_S = 600_000, 10.0, 20.0


@dataclass
class Server:
    """A running dashboard."""

    process: subprocess.Popen[bytes]
    address: str

    def cpu_s(self) -> float:
        """Return the processor seconds that it has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Return the memory that it holds now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def served(uri: str) -> Iterator[Server]:
    """Serve a store until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "deep3dmap.cli", "dashboard", f"results={uri}", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Server(process, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


def wait_until_answers(server: Server) -> None:
    """Wait until a server answers at all."""
    while server.process.poll() is None:
        try:
            urllib.request.urlopen(f"{server.address}/_stcore/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.02)
    raise UserError("the dashboard did not start")


def write_store(uri: str, runs: int, scenes: int, metrics: int, points: int) -> ResultStore:
    """Write runs with their values, a curve and the state of their trial each."""
    store = ResultStore(uri)
    with without_syncing():
        for number in range(runs):
            run, rows = made_run(number, scenes, metrics)
            curve = [CurveRow(run.run_id, 1, step, step / 10, "loss", 1 / (1 + step)) for step in range(points)]
            store.write_attempt(run, rows, curve)
            store.write_trial_state(run.run_id, "ok", f"{run.method} on {run.dataset}")
    return store


def measure(browser: Any, uri: str) -> None:
    """Print the figures of one store."""
    begin = time.perf_counter()
    with served(uri) as server:
        wait_until_answers(server)
        _report("server answers", time.perf_counter() - begin, server.cpu_s())
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(WAIT_MS)
        _timed(server, "first paint, right after", lambda: _open(page, f"{server.address}/leaderboard"))
        _timed(server, "the same page again", lambda: _open(page, f"{server.address}/leaderboard"))
        _timed(server, "click: another metric", lambda: _choose(page, "Metric", "metric_1"))
        _timed(server, "click: figures", lambda: _click(page, page.get_by_role("radio", name="Intervals")))
        _timed(server, "click: another suite", lambda: _choose(page, "Suite", "suite_1"))
        _timed(server, "page of a run", lambda: _open(page, f"{server.address}/run?run_id={made_run(7, 1, 1)[0].run_id}"))
        _timed(server, "page Home", lambda: _open(page, server.address))
        with without_syncing():
            run, rows = made_run(10**6 + int(time.time()), 20, 5)
            ResultStore(uri).write_attempt(run, rows, [])
        _timed(server, "one run more, and a page", lambda: _open(page, f"{server.address}/leaderboard"))
        _open(page, f"{server.address}/live")
        # The states of trials are read once.
        time.sleep(SETTLE_S)
        before = server.cpu_s()
        time.sleep(QUIET_S)
        print(f"    {'page Live, open, nobody clicks':36} {100 * (server.cpu_s() - before) / QUIET_S:8.1f} % of a core")
        print(f"    {'memory of the server':36} {server.memory_mb():8.0f} MB", flush=True)
        page.close()


def _timed(server: Server, name: str, act: Callable[[], None]) -> None:
    begin, cpu = time.perf_counter(), server.cpu_s()
    act()
    _report(name, time.perf_counter() - begin, server.cpu_s() - cpu)


def _report(name: str, wall: float, cpu: float) -> None:
    print(f"    {name:36} {wall:8.2f} s wall {cpu:8.2f} s CPU of the server", flush=True)


def _open(page: Any, url: str) -> None:
    page.goto(url)
    page.locator(".d3-table").first.wait_for(state="visible")


def _click(page: Any, place: Any) -> None:
    place.click()
    page.locator(IDLE).wait_for(state="attached")


def _choose(page: Any, label: str, name: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=name).click()
    page.locator(".d3-head", has_text=name).wait_for()


def main() -> None:
    """Print the figures of both states of a store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("runs", 10_000), ("scenes", 20), ("metrics", 5), ("points", 150)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--keep", default="", help="the folder of the store, which is left there, and used if it is there")
    flags = parser.parse_args()
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        raise UserError("chromium is absent; apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        uri = flags.keep or folder
        if not Path(uri, "tables").is_dir():
            write_store(uri, flags.runs, flags.scenes, flags.metrics, flags.points)
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        os.environ["DEEP3DMAP_CACHE"] = f"{folder}/cache"
        for state in ("files of single attempts", "the same, the server started again", "segments"):
            if state == "segments":
                compact(ResultStore(uri))
            print(f"{flags.runs} runs, {state}")
            measure(browser, uri)


if __name__ == "__main__":
    main()
