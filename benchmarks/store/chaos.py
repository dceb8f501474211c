"""Stress test of a result store with injected faults, which counts what was lost.

Processes append attempts at shared runs to two stores and are killed at random moments, two drivers contend for the same
runs, another process compacts, and another merges the second store into the first. They are spread over simulated nodes, which
cannot see each other's processes, have clocks that are wrong by up to a month, and are sometimes killed as a whole; disks
sometimes refuse to write. At the end, every attempt whose write was acknowledged must be in the first store exactly once,
with its own values, and every hash must match.

    python -m deep3dmap.benchmarks.store.chaos [--appends 10000] [--writers 64] [--seed 0] [--quick]
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

from deep3dmap.benchmarks.store.adversity import NODES, is_refusal, move_to, node_of
from deep3dmap.benchmarks.store.template_run import TEMPLATE
from deep3dmap.cli.arguments import how_many
from deep3dmap.core.errors import UserError
from deep3dmap.results.compact import compact
from deep3dmap.results.merge import merge
from deep3dmap.results.run_id import content_hash
from deep3dmap.results.schema import MetricRow
from deep3dmap.results.store import ResultStore
from deep3dmap.results.verify import verify

RUNS, SCENES = 40, 3
# Fraction of attempts with an artifact, and fraction of kills that kill a whole node.
PICTURED, NODE_KILLED = 0.3, 0.05
LEASE_S = 1.0
# Forked processes inherit the imports; they start no Arrow threads.
PROCESSES = multiprocessing.get_context("fork")


@dataclass
class Tally:
    """Counts of actions and faults; the last five, from `lost` on, stay 0 if the store keeps its guarantees."""

    appends: int = 0
    kills: int = 0
    nodes_killed: int = 0
    refused: int = 0
    leases: int = 0
    compactions: int = 0
    merges: int = 0
    seconds: float = 0.0
    left_temporary: int = 0
    lost: int = 0
    wrong: int = 0
    doubled: int = 0
    leased_twice: int = 0
    problems: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether there were no faults."""
        return not any((self.lost, self.wrong, self.doubled, self.leased_twice, self.problems))


@dataclass(frozen=True)
class Arena:
    """The test environment: two stores, and a log in which writers record the attempts that the store acknowledged."""

    folder: Path
    seed: int

    @property
    def stores(self) -> tuple[ResultStore, ResultStore]:
        """The store under test, and the one that is merged into it."""
        return ResultStore(str(self.folder / "mine")), ResultStore(str(self.folder / "theirs"))

    def note(self, kind: str, *about: object) -> None:
        """Append a line to the log in a single write, which a kill cannot interrupt."""
        handle = os.open(self.folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, (json.dumps([kind, *about]) + "\n").encode())
        os.close(handle)

    def noted(self, kind: str) -> list[list[object]]:
        """Return the log lines of a kind."""
        file = self.folder / "log"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [line[1:] for line in lines if line[0] == kind]


def write_forever(arena: Arena, number: int) -> None:
    """Append attempts at shared runs until killed."""
    chance = random.Random(f"{arena.seed} {number} {os.getpid()}")
    while True:
        store = arena.stores[chance.random() < 0.2]
        run_id = content_hash(chance.randrange(RUNS))
        value, attempt = chance.random(), store.next_attempt(run_id)
        run = replace(TEMPLATE, run_id=run_id, attempt=attempt, train_s=value, suite="chaos", method=f"writer_{number}")
        rows = [MetricRow(run_id, attempt, f"scene_{scene}", "error", value + scene, "mm", "down") for scene in range(SCENES)]
        if chance.random() < PICTURED:
            run = replace(run, artifacts_uri=store.artifacts_path(run_id, attempt))
            store.storage.write(f"{store.artifacts_name(run_id, attempt)}/scene_0/error.png", chance.randbytes(5000))
        store.write_attempt(run, rows, [])
        arena.note("written", run_id, attempt, value)


def _is_alive(pid: int) -> bool:
    """Return whether a process can still act; one that was killed but not yet waited for cannot."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def drive_forever(arena: Arena, number: int) -> None:
    """Contend for runs like a benchmark's driver, and record when a run leased by another living driver was granted."""
    chance = random.Random(f"{arena.seed} driver {number}")
    busy = arena.folder / "busy"
    busy.mkdir(exist_ok=True)
    while True:
        wanted = [content_hash(chance.randrange(RUNS)) for _ in range(3)]
        with arena.stores[0].lease(wanted, LEASE_S) as lease:
            for run_id in sorted(lease.held):
                mark = busy / run_id
                before = int(mark.read_text() or 0) if mark.exists() else 0
                if before and before != os.getpid() and _is_alive(before):
                    arena.note("leased twice", run_id, before, os.getpid())
                mark.write_text(str(os.getpid()))
            time.sleep(chance.random() * 0.05)
            for run_id in lease.held:
                (busy / run_id).unlink(missing_ok=True)
        arena.note("leased", number)


def compact_forever(arena: Arena, number: int) -> None:
    """Compact both stores repeatedly."""
    while True:
        for store in arena.stores:
            done = compact(store, min_files=50)
            arena.note("compacted", done.files)
        time.sleep(0.2)


def merge_forever(arena: Arena, number: int) -> None:
    """Merge the second store into the first repeatedly."""
    while True:
        mine, theirs = arena.stores
        arena.note("merged", merge(mine, theirs).new)
        time.sleep(0.5)


Role = Callable[[Arena, int], None]


def _run_role(role: Role, arena: Arena, number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    move_to(node_of(number), random.Random(f"{arena.seed} {role.__name__} {number} {os.getpid()}"))
    while True:
        try:
            role(arena, number)
        except (UserError, OSError, RuntimeError) as error:
            if not is_refusal(error):
                arena.note("failed", role.__name__, f"{type(error).__name__}: {error}")
                raise
            arena.note("refused")


def start(role: Role, arena: Arena, number: int) -> BaseProcess:
    """Start a process with the given role."""
    process = PROCESSES.Process(target=_run_role, args=(role, arena, number), daemon=True)
    process.start()
    return process


def run_chaos(folder: Path, appends: int, writers: int, seed: int = 0, limit_s: float = 600.0, min_kills: int = 4) -> Tally:
    """Run the test until there are enough acknowledged appends and kills, or until the time limit."""
    arena, chance, begin = Arena(folder, seed), random.Random(seed), time.monotonic()
    for store in arena.stores:
        store.storage.write("tables/.keep", b"")
    roles: list[tuple[Role, int]] = [(drive_forever, 0), (drive_forever, 1), (compact_forever, 0), (merge_forever, 0)]
    roles += [(write_forever, number) for number in range(writers)]
    living = [start(role, arena, number) for role, number in roles]
    outcome = Tally()
    while (len(arena.noted("written")) < appends or outcome.kills < min_kills) and time.monotonic() - begin < limit_s:
        time.sleep(chance.random() * 0.2)
        places = [chance.randrange(len(living))]
        if chance.random() < NODE_KILLED:
            node = chance.randrange(NODES)
            places = [place for place, (_, number) in enumerate(roles) if node_of(number) == node]
            outcome.nodes_killed += 1
        for place in places:
            living[place].kill()
        for place in places:
            living[place].join()
            outcome.kills += 1
            living[place] = start(roles[place][0], arena, roles[place][1])
    for process in living:
        process.kill()
        process.join()
    mine, theirs = arena.stores
    # Complete merges and compactions that were interrupted by kills.
    time.sleep(LEASE_S)
    merge(mine, theirs)
    compact(mine)
    return count(arena, outcome, time.monotonic() - begin)


def count(arena: Arena, outcome: Tally, seconds: float) -> Tally:
    """Compare the contents of the first store with the acknowledged attempts."""
    store = arena.stores[0]
    runs = store.runs(newest_only=False)
    metrics = store.metrics(runs)
    found = {(run_id, int(attempt)): value for run_id, attempt, value in zip(runs.run_id, runs.attempt, runs.train_s)}
    scenes: dict[tuple[str, int], list[float]] = {}
    for run_id, attempt, value in zip(metrics.run_id, metrics.attempt, metrics.value):
        scenes.setdefault((run_id, int(attempt)), []).append(value)
    written = {(str(run_id), int(str(attempt))): float(str(value)) for run_id, attempt, value in arena.noted("written")}
    outcome.appends, outcome.seconds = len(arena.noted("written")), seconds
    outcome.leases, outcome.merges = len(arena.noted("leased")), len(arena.noted("merged"))
    outcome.compactions, outcome.leased_twice = len(arena.noted("compacted")), len(arena.noted("leased twice"))
    outcome.refused = len(arena.noted("refused"))
    outcome.lost = sum(key not in found for key in written)
    outcome.doubled = outcome.appends - len(written) + len(runs) - len(found)
    for key, value in found.items():
        expected = sorted(value + scene for scene in range(SCENES))
        if written.get(key, value) != value or sorted(scenes.get(key, [])) != expected:
            outcome.wrong += 1
    outcome.left_temporary = store.storage.sweep("tables", older_than_s=-1)
    outcome.problems = len(verify(store)) + len(arena.noted("failed"))
    return outcome


def main() -> int:
    """Print a table of the counts; returns 1 if there were faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--appends", type=how_many, default=10_000)
    parser.add_argument("--writers", type=how_many, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a tenth of the appends and an eighth of the writers")
    flags = parser.parse_args()
    appends, writers = (flags.appends // 10, flags.writers // 8) if flags.quick else (flags.appends, flags.writers)
    with tempfile.TemporaryDirectory() as folder:
        outcome = run_chaos(Path(folder), appends, writers, flags.seed)
        for kind, message in Arena(Path(folder), flags.seed).noted("failed"):
            print(f"{kind}: {message}")
    for name, value in vars(outcome).items():
        print(f"{name.replace('_', ' '):16} {value:10.0f}")
    print("nothing was lost" if outcome.is_whole else "FAULTS: see lost, wrong, doubled, leased twice, problems")
    return 0 if outcome.is_whole else 1


if __name__ == "__main__":
    raise SystemExit(main())
