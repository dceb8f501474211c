"""Fuzz the ops and the readers: `python tests/fuzz/run.py ops --count 100000` (see docs/faults.md, and `make fuzz`).

Cases are numbered and seeded. They run in worker processes, so that a crash is reported and the remaining cases still run.
Prints a table at the end, and exits with code 1 if any fault was found.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

SUPPORT = Path(__file__).resolve().parents[1] / "support"
MAX_KIB = 1 << 20


@dataclass
class Found:
    """Result of a range of cases: number of outcomes by name, fault descriptions, and peak memory of a worker in KiB."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    peak_kib: int = 0

    def add(self, other: "Found") -> None:
        """Add the results of another range."""
        self.outcomes.update(other.outcomes)
        self.faults += other.faults
        self.peak_kib = max(self.peak_kib, other.peak_kib)


def main(words: list[str] | None = None) -> int:
    """Run the command line `words` and return the exit code."""
    given = _arguments(words)
    if given.worker:
        _work(given)
        return 0
    found = fuzz(given.kind, given.count, given.seed, given.processes, given.native, given.first)
    print(table(given.kind, found))
    return 1 if found.faults else 0


def fuzz(kind: str, count: int, seed: int = 0, processes: int = 1, native: str | None = None, first: int = 0) -> Found:
    """Run `count` cases in `processes` parallel processes, starting with case `first`.

    native: another build of the native kernels, None for the installed one.
    """
    cuts = [first + count * i // processes for i in range(processes + 1)]
    found = Found()
    with ThreadPoolExecutor(processes) as pool:
        for part in pool.map(lambda i: _range(kind, cuts[i], cuts[i + 1], seed, native), range(processes)):
            found.add(part)
    return found


def table(kind: str, found: Found) -> str:
    """Return a text table of the number of outcomes per case name, followed by the faults."""
    names = sorted({name.rsplit(": ", 1)[0] for name in found.outcomes})
    lines = [f"{kind:<44}{'ok':>9}{'refused':>9}"]
    for name in [*names, "all"]:
        of = [_count(found, name, end) for end in ("ok", "refused")]
        lines.append(f"{name:<44}{of[0]:>9}{of[1]:>9}")
    lines.append(f"faults: {len(found.faults)}; most memory of a process: {found.peak_kib // 1024} MiB")
    return "\n".join([*lines, *found.faults[:40]])


def _count(found: Found, name: str, end: str) -> int:
    if name == "all":
        return sum(number for key, number in found.outcomes.items() if key.endswith(f": {end}"))
    return found.outcomes[f"{name}: {end}"]


def _range(kind: str, first: int, last: int, seed: int, native: str | None) -> Found:
    found = Found()
    with tempfile.TemporaryDirectory() as folder:
        progress, report = Path(folder) / "progress", Path(folder) / "report"
        while first < last:
            environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
            command = [sys.executable, __file__, kind, "--worker", folder, "--first", str(first), "--count", str(last - first)]
            command += ["--seed", str(seed), *(["--native", native] if native else [])]
            ended = subprocess.run(command, capture_output=True, text=True, env=environment)
            found.add(_read(report))
            if ended.returncode == 0:
                break
            reached = int(progress.read_text() or first) if progress.exists() else first
            what = f"signal {-ended.returncode}" if ended.returncode < 0 else f"exit code {ended.returncode}"
            found.faults.append(f"{kind} {reached} (seed {seed}): {what}\n{_tail(ended.stderr)}")
            first = reached + 1
    return found


def _tail(errors: str) -> str:
    lines = [line for line in errors.splitlines() if line.strip()]
    marks = [i for i, line in enumerate(lines) if "ERROR: AddressSanitizer" in line or "runtime error:" in line]
    start = marks[0] if marks else max(0, len(lines) - 8)
    return "\n".join("    " + line[:200] for line in lines[start : start + 8])


def _read(report: Path) -> Found:
    if not report.exists():
        return Found()
    stored = json.loads(report.read_text())
    report.unlink()
    return Found(Counter(stored["outcomes"]), stored["faults"], stored["peak_kib"])


def _work(given: argparse.Namespace) -> None:
    """Run the cases in order, writing the case number to disk before each case and the results after every hundredth."""
    sys.path.insert(0, str(SUPPORT))
    if given.native:
        _use_native(given.native)
    import torch

    torch.set_num_threads(1)
    folder, found, run = Path(given.worker), Found(), _case(given.kind, given.seed)
    if given.kind == "ops" and not given.native:
        _limit_memory()
    progress = os.open(folder / "progress", os.O_CREAT | os.O_WRONLY)
    for number in range(given.first, given.first + given.count):
        os.pwrite(progress, f"{number:<20}".encode(), 0)
        name, outcome = run(number)
        if outcome in ("ok", "refused"):
            found.outcomes[f"{name}: {outcome}"] += 1
        else:
            found.faults.append(f"{given.kind} {number} (seed {given.seed}), {name}: {outcome}")
        if found.peak_kib < MAX_KIB <= (peak := _kib("VmHWM")):
            found.faults.append(f"{given.kind} {number} (seed {given.seed}), {name}: memory grew to {peak // 1024} MiB")
        found.peak_kib = _kib("VmHWM")
        if number % 100 == 0:
            _store(folder, found)
    _store(folder, found)


def _store(folder: Path, found: Found) -> None:
    text = json.dumps({"outcomes": found.outcomes, "faults": found.faults, "peak_kib": found.peak_kib})
    (folder / "report.new").write_text(text)
    (folder / "report.new").replace(folder / "report")


def _case(kind: str, seed: int) -> Callable[[int], tuple[str, str]]:
    if kind == "ops":
        from op_calls import run_case
    else:
        from damaged_files import run_case
    return lambda number: run_case(seed, number)


def _limit_memory() -> None:
    """Make allocations fail beyond MAX_KIB above current use, even those never written to, which the peak does not count."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, ((_kib("VmSize") + MAX_KIB) << 10, resource.RLIM_INFINITY))


def _use_native(place: str) -> None:
    """Make deep3dmap use the build of its kernels at `place` instead of the installed one."""
    import importlib.util

    import deep3dmap.ops  # noqa: F401

    spec = importlib.util.spec_from_file_location("deep3dmap.ops._native", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["deep3dmap.ops._native"] = module
    spec.loader.exec_module(module)


def _kib(name: str) -> int:
    # getrusage is not used, since its peak is inherited from the parent process.
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("ops", "readers"))
    parser.add_argument("--count", type=int, default=100_000, help="cases to run")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--native", help="another build of the native kernels, e.g. with sanitizers")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
