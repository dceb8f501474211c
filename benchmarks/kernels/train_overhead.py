"""The platform's overhead per training step: its session and the same loop in plain torch, alternating in one process.

    python -m deep3dmap.benchmarks.kernels.train_overhead --method prnet/mini --dataset heads/smoke

The overhead ("tax") is measured with a method whose step has next to no work, and compared with the step of a real method.
Process CPU time of one thread, medians of the rounds; also instructions if `perf` can count them.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from deep3dmap.benchmarks.kernels.nothing import SAMPLES, MinimalMethod, MinimalMethodConfig
from deep3dmap.cli.arguments import how_many
from deep3dmap.core.errors import UserError
from deep3dmap.frameworks import BaseFramework, LoopSettings, TrainLoop
from deep3dmap.testing.method_under_test import OwnProcessHost, Subject
from deep3dmap.train.session import TrainingSession


def platform_loop(method: BaseFramework, samples: list[dict[str, Any]], steps: int) -> None:
    """Train with the platform's session, including the checkpoint at the end."""
    settings = LoopSettings()
    settings.trainer.batch_size, settings.trainer.max_steps, settings.trainer.checkpoint_every = 8, steps, 0
    with tempfile.TemporaryDirectory() as folder:
        loop = TrainLoop(OwnProcessHost(), settings, samples)
        TrainingSession(method, loop, Path(folder), {"method": "overhead"}).run()


def plain_loop(method: BaseFramework, samples: list[dict[str, Any]], steps: int) -> None:
    """Train with a hand-written loop."""
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-4)
    generator, taken = np.random.default_rng(0), 0
    dataset = _Transformed(samples, method, generator)
    nn.Module.train(method, True)
    while taken < steps:
        for batch in DataLoader(dataset, batch_size=8, shuffle=True, drop_last=True):
            loss = torch.stack(list(method.losses(method(batch), batch).values())).sum()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            taken += 1
            if taken == steps:
                return


class _Transformed(torch.utils.data.Dataset[dict[str, Any]]):
    def __init__(self, samples: list[dict[str, Any]], method: BaseFramework, generator: np.random.Generator) -> None:
        self.samples, self.method, self.generator = samples, method, generator

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.method.transform(self.samples[index], self.generator)


LOOPS: dict[str, Callable[[BaseFramework, list[dict[str, Any]], int], None]] = {"platform": platform_loop, "plain": plain_loop}


def seconds_per_step(
    make: Callable[[], BaseFramework], samples: list[dict[str, Any]], steps: int, rounds: int
) -> dict[str, float]:
    """Return the median process CPU seconds per step of both loops, from the difference between a long and a short run, which
    excludes the time to start and end.
    """
    found: dict[str, list[float]] = {name: [] for name in LOOPS}
    for _ in range(rounds):
        for name, loop in LOOPS.items():
            times = []
            for count in (steps, 3 * steps):
                method = make()
                began = time.process_time()
                loop(method, samples, count)
                times.append(time.process_time() - began)
            found[name].append((times[1] - times[0]) / (2 * steps))
    return {name: statistics.median(values) for name, values in found.items()}


def instructions_per_step(steps: int = 400) -> dict[str, float] | None:
    """Count user-space instructions per step of both loops for the small method with `perf`; None if unavailable."""
    if shutil.which("perf") is None:
        return None
    counted: dict[str, float] = {}
    for name in LOOPS:
        totals = []
        for count in (steps, 3 * steps):
            command = [
                "perf",
                "stat",
                "-x,",
                "-e",
                "instructions:u",
                sys.executable,
                "-m",
                __spec__.name,
                "--only",
                name,
                str(count),
            ]
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )
            field = done.stderr.strip().splitlines()[-1].split(",")[0] if done.stderr.strip() else ""
            if not field.isdigit():
                return None
            totals.append(int(field))
        counted[name] = (totals[1] - totals[0]) / (2 * steps)
    return counted


def main(argv: list[str] | None = None) -> int:
    """Measure and print the overhead, with its target of less than three percent of the real method's step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="prnet/mini", help="the real method whose step the overhead is compared with")
    parser.add_argument("--dataset", default="heads/smoke", help="the dataset of its samples")
    parser.add_argument("--rounds", type=how_many, default=7, help="number of alternations")
    parser.add_argument("--only", nargs=2, metavar=("LOOP", "STEPS"), help="run only one loop, on the small method")
    flags = parser.parse_args(argv)
    torch.set_num_threads(1)
    small = [{"image": torch.rand(4)} for _ in range(SAMPLES)]
    if flags.only:
        loop, steps = flags.only
        if loop not in LOOPS or not steps.isdecimal():
            parser.error(f"--only {loop} {steps}: LOOP is {' or '.join(LOOPS)}, STEPS a number")
        LOOPS[loop](MinimalMethod(MinimalMethodConfig()), small, int(steps))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            subject = Subject(flags.method, Path(folder), flags.dataset)
            subject.composed()
        except UserError as error:
            parser.error(str(error))
        tiny = seconds_per_step(lambda: MinimalMethod(MinimalMethodConfig()), small, 400, flags.rounds)
        split = subject.dataset.split("train")
        samples = [{key: split[index][key] for key in subject.card.trains_on} for index in range(min(SAMPLES, len(split)))]
        real = seconds_per_step(subject.build, samples, 4, min(flags.rounds, 3))  # type: ignore[arg-type]
    _print(flags.method, tiny, real, instructions_per_step())
    return 0


def _print(name: str, tiny: dict[str, float], real: dict[str, float], instructions: dict[str, float] | None) -> None:
    tax = tiny["platform"] - tiny["plain"]
    print(f"next to nothing: platform {tiny['platform'] * 1e6:.0f} us, plain torch {tiny['plain'] * 1e6:.0f} us per step")
    print(f"tax: {tax * 1e6:.0f} us per step")
    print(f"{name}: platform / plain torch {real['platform'] / real['plain']:.3f}; plain step {real['plain'] * 1e3:.1f} ms")
    print(f"tax / step of {name}: {100 * tax / real['plain']:.2f} % (aim: under 3 %)")
    if instructions is None:
        print("instructions: `perf` is absent or cannot count here: skipped")
    else:
        print(f"instructions per step: platform {instructions['platform']:.0f}, plain torch {instructions['plain']:.0f}")


if __name__ == "__main__":
    sys.exit(main())
