"""Time per stage of a command, from start to exit: `python -m deep3dmap.benchmarks.kernels.start_up [VERB key=value ...]`.

VERB: train or benchmark. Without arguments, it runs PRNet's smallest variant for 50 steps: with one worker, with one worker of
a Ray Train TorchTrainer, and with two workers. Then it runs a benchmark of the mean face, which has next to no work, with four
seeds one after another. The data are generated beforehand, and the results are discarded.
"""

import argparse
import itertools
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deep3dmap.train import stage_marks as marking

JOB = ("train", "method=prnet/mini", "dataset=heads/smoke", "trainer.max_steps=50")
# Request all CPUs for each run, so that runs do not overlap.
RUNS = ("benchmark", "suite=face", "tier=smoke", "methods=[mean_face]", "seeds=4", f"trainer.cpus_per_worker={os.cpu_count()}")
VERBS = ("train", "benchmark")
LINES = (JOB, (*JOB, "trainer.engine=train"), (*JOB, "trainer.workers=2"), RUNS)


@dataclass(frozen=True)
class CommandStage:
    """A stage of a command. cpu_s: CPU seconds of its process, NaN if the next stage is in another process."""

    name: str
    wall_s: float
    cpu_s: float


def main() -> None:
    """Print a table for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="VERB key=value", help="a command without `deep3dmap`; flags may follow")
    options, flags = parser.parse_known_args()
    given = (*options.words, *flags)
    if given and given[0] not in VERBS:
        parser.error(f"{given[0]}: only these verbs report their stages: {' and '.join(VERBS)}")
    for line in (given,) if given else LINES:
        print(" ".join(line))
        with tempfile.TemporaryDirectory() as folder:
            make_data(Path(folder), line)
            report(*measured(Path(folder), *line))


def make_data(folder: Path, line: tuple[str, ...]) -> None:
    """Generate the data of a command before measuring, since all runs of a benchmark share them."""
    if line[0] == "benchmark":
        subprocess.run(command(*line, "seeds=1", f"results={folder / 'before'}"), check=False, capture_output=True)
    data = [argument.removeprefix("dataset=") for argument in line if argument.startswith("dataset=")]
    for dataset in data:
        subprocess.run(command("data", "generate", dataset), check=False, capture_output=True)


def measured(folder: Path, *line: str) -> tuple[list[CommandStage], float, float]:
    """Return the stages, the seconds from start to end, and the CPU seconds of the command and its child processes."""
    marks = folder / "stages"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.time()
    words = command(*line, f"results={folder / 'results'}")
    done = subprocess.run(words, check=False, capture_output=True, text=True, env={**os.environ, marking.FILE: str(marks)})
    if done.returncode:
        print(done.stderr, end="", file=sys.stderr)
        sys.exit(done.returncode)
    ended = time.time()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    written = [line.rstrip().split(" ", 3) for line in marks.open()]
    entered = sorted((float(at), int(process), float(cpu), name) for at, process, cpu, name in written)
    stages = [
        CommandStage(name, until - at, cpu_until - cpu if process == follower else math.nan)
        for (at, process, cpu, name), (until, follower, cpu_until, _) in itertools.pairwise(
            [(began, 0, 0.0, "process start"), *entered, (ended, 0, 0.0, "")]
        )
    ]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return stages, ended - began, cpu


def report(stages: Sequence[CommandStage], wall_s: float, cpu_s: float) -> None:
    """Print the share of each stage and, for a benchmark, the time of each run."""
    print("     wall   share      CPU")
    for stage in stages:
        cpu = "" if math.isnan(stage.cpu_s) else f"{stage.cpu_s:.2f} s"
        print(f"  {stage.wall_s:6.2f} s {100 * stage.wall_s / wall_s:5.1f} % {cpu:>9}  {stage.name}")
    for number, run in enumerate(runs_of(stages), 1):
        print(f"  {run.wall_s:6.2f} s         {run.cpu_s:7.2f} s  run {number}, to the beginning of the next or to its end")
    print(f"  {wall_s:6.2f} s         {cpu_s:7.2f} s  in all, of the command and the processes it waited for")


def runs_of(stages: Sequence[CommandStage]) -> list[CommandStage]:
    """Return each run of a benchmark as one stage, including the time until the next run."""
    begins = [index for index, stage in enumerate(stages) if stage.name == marking.RUN]
    last = max((index for index, stage in enumerate(stages) if stage.name == marking.BETWEEN), default=0)
    spans = [stages[begin:end] for begin, end in itertools.pairwise([*begins, last])]
    return [CommandStage(marking.RUN, sum(s.wall_s for s in span), sum(s.cpu_s for s in span)) for span in spans]


def command(*arguments: str) -> list[str]:
    """Return the command line for this interpreter."""
    return [sys.executable, "-m", "deep3dmap.cli", *arguments]


if __name__ == "__main__":
    main()
