"""Where the seconds of a `train` go, from Enter to exit: `python -m deep3dmap.benchmarks.kernels.start_up [key=value ...]`.

Without arguments: PRNet's smallest variant for 50 steps, first with one worker, then with one worker of a Ray Train
TorchTrainer, then with two. The data are made before, and the results are thrown away.
"""

import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOB = ("method=prnet/mini", "dataset=heads/smoke", "trainer.max_steps=50")
KINDS = ((), ("trainer.engine=train",), ("trainer.workers=2",))


def main() -> None:
    """Print a table for each kind of run."""
    job = tuple(sys.argv[1:]) or JOB
    data = [argument.removeprefix("dataset=") for argument in job if argument.startswith("dataset=")]
    subprocess.run(command("data", "generate", *data), check=False, capture_output=True)
    for kind in KINDS if not sys.argv[1:] else ((),):
        print(" ".join(("train", *job, *kind)))
        with tempfile.TemporaryDirectory() as folder:
            report(*measured(Path(folder), *job, *kind))


def measured(folder: Path, *arguments: str) -> tuple[list[tuple[str, float]], float, float]:
    """Return [(stage, seconds)], the seconds from start to end, and the CPU seconds of the command and what it waited for."""
    marks = folder / "stages"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.time()
    line = command("train", *arguments, f"results={folder / 'results'}")
    subprocess.run(line, check=True, capture_output=True, env={**os.environ, "DEEP3DMAP_STAGES": str(marks)})
    ended = time.time()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    entered = sorted((float(at), stage.strip()) for at, _, stage in (line.split(" ", 2) for line in marks.open()))
    starts = [(began, "process start"), *entered, (ended, "")]
    stages = [(stage, until - at) for (at, stage), (until, _) in itertools.pairwise(starts)]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return stages, ended - began, cpu


def report(stages: list[tuple[str, float]], wall: float, cpu: float) -> None:
    """Print the share of each stage."""
    for stage, seconds in stages:
        print(f"  {seconds:7.2f} s  {100 * seconds / wall:5.1f} %  {stage}")
    print(f"  {wall:7.2f} s in all, {cpu:.1f} CPU seconds of the command and the processes it waited for")


def command(*arguments: str) -> list[str]:
    """The command line in this interpreter."""
    return [sys.executable, "-m", "deep3dmap.cli", *arguments]


if __name__ == "__main__":
    main()
