"""Overhead of Ray and the platform for runs without work, and its growth with trials, rows and nodes.

    python -m deep3dmap.benchmarks.kernels.ray_scale --quick
    python -m deep3dmap.benchmarks.kernels.ray_scale --part trials --part start

Wall-clock seconds, with contenders alternating on the same Ray; each part has its own process and Ray. All nodes of `raylets`
run on this machine with simulated CPUs, so they show the cost of scheduling, not the throughput of a cluster.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

Row = dict[str, Any]
TIMEOUT_S = 1800
TRIALS, NODES = 10_000, 64


class Measurement(NamedTuple):
    """A part of the measurement. sizes: one process each; quick: smaller sizes that take minutes."""

    title: str
    sizes: tuple[int, ...]
    quick: tuple[int, ...]


PARTS = {
    "driver": Measurement("Our driver's work for a trial of ten evaluations, without Ray", (1000,), (100,)),
    "store": Measurement("Rows of runs without work, through the store and the leaderboard", (1000,), (100,)),
    "trials": Measurement("Sweeps of trials with next to no work, two at a time", (12,), (4,)),
    "start": Measurement("A one-worker run of one step, on a running Ray", (5,), (1,)),
    "raylets": Measurement("Several nodes on this machine, two simulated CPUs each", (1, 2, 4, 8), (1, 2)),
}


def measure(name: str, sizes: Sequence[int]) -> list[Row]:
    """Run a part once per size, each in a separate process. Raises RuntimeError with the end of its output if it fails."""
    rows: list[Row] = []
    for size in sizes:
        command = [sys.executable, "-m", f"{__spec__.parent}.ray_scale_parts", name, str(size)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if done.returncode:
            raise RuntimeError(f"part '{name}' of size {size} failed:\n{done.stderr[-2000:]}")
        rows += json.loads(done.stdout.strip().splitlines()[-1])
    return rows


def growth(rows: Sequence[Row], what: str) -> float | None:
    """Return the ratio of the unit cost at the largest n to that at the smallest: 1 if the unit cost does not grow."""
    own = sorted((row for row in rows if row["what"] == what), key=lambda row: row["n"])
    return own[-1]["seconds"] / own[0]["seconds"] if len(own) > 1 else None


def table(part: Measurement, rows: Sequence[Row]) -> Table:
    """Return the table of a part."""
    found = Table(title=part.title, title_justify="left", box=None, pad_edge=False, min_width=len(part.title))
    for name in ("", "n", "time", "per", "ratio", "growth"):
        found.add_column(name, justify="left" if name in ("", "per") else "right", no_wrap=True)
    names = list(dict.fromkeys(row["what"] for row in rows))
    for row in sorted(rows, key=lambda row: names.index(row["what"])):
        last = row["n"] == max(other["n"] for other in rows if other["what"] == row["what"])
        grown = growth(rows, row["what"]) if last else None
        cells = [row["what"], str(row["n"]), format_seconds(row["seconds"]), row["per"]]
        found.add_row(*cells, *("" if x is None else f"{x:.2f}" for x in (row["ratio"], grown)))
    return found


def format_seconds(seconds: float) -> str:
    """Format a time with its unit."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


def verdict(name: str, rows: Sequence[Row]) -> str:
    """Summarise in a sentence what a part implies for 64 nodes and 10,000 trials."""
    by_name = {row["what"]: row for row in rows}
    if name == "driver":
        one, grown = by_name["driver of a sweep"], growth(rows, "driver of a sweep")
        return (
            f"One driver can serve {3600 / one['seconds']:,.0f} trials an hour, so the bookkeeping of {TRIALS:,} trials takes "
            f"{TRIALS * one['seconds'] / 3600:.1f} h of a sweep if its cost stays flat (here it grew by {grown:.2f})."
        )
    if name == "store":
        whole = sum(by_name[what]["seconds"] for what in ("read the runs", "leaderboard")) * TRIALS
        return f"At this rate a leaderboard over {TRIALS:,} runs takes {whole:.0f} s."
    if name in ("trials", "start"):
        base, ours = (row for row in rows[:2])
        share = 100 * (ours["seconds"] / base["seconds"] - 1)
        return (
            f"A {ours['per']} of ours takes {share:+.0f} % of bare Ray's time with the same training (target: within "
            f"10 % for trials), which is {ours['seconds'] - base['seconds']:+.2f} s each, on whichever node it runs."
        )
    return _node_verdict(rows, by_name)


def _node_verdict(rows: Sequence[Row], by_name: dict[str, Row]) -> str:
    grown = {what: growth(rows, what) for what in by_name}
    ratios = ", ".join(f"{what} {value:.2f}" for what, value in grown.items() if value is not None)
    group = by_name["placement group, made and removed"]["seconds"]
    return (
        f"From the fewest nodes to the most, the unit costs changed by: {ratios}; all nodes share this machine's processors. "
        f"Scheduling {TRIALS:,} trials in placement groups keeps the head busy for {TRIALS * group / 60:.0f} min in all, "
        f"on {NODES} nodes as on one if that cost does not grow."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=sorted(PARTS), help="only this part (may be given several times)")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, which take minutes instead of at least 15 minutes")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    flags = parser.parse_args(argv)
    console, everything = Console(width=None if sys.stdout.isatty() else 128), {}
    for name in flags.part or PARTS:
        part = PARTS[name]
        everything[name] = rows = measure(name, part.quick if flags.quick else part.sizes)
        if not flags.json:
            console.print(table(part, rows), "", verdict(name, rows), "", sep="\n", highlight=False, markup=False)
    if flags.json:
        print(json.dumps(everything, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
