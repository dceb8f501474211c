"""Runs short trainings on the command line, of a few seconds each, and reports whether the GPU was used.

Run as `python -m deep3dmap.benchmarks.kernels.gpu.training [--seconds 5] [NAME ...]`; exits with code 1 if a command fails or
uses no GPU memory.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

# Each method's defaults with the smallest suitable dataset; methods fitted per scene use a scene of a benchmark.
COMMANDS = {
    "prnet": "train method=prnet dataset=heads/smoke",
    "neuralrecon": "train method=neuralrecon dataset=rooms/smoke",
    "giraffe": "train method=giraffe dataset=face_depth/generation_smoke",
    "stylegan2": "train method=stylegan2 dataset=face_depth/generation_smoke dataset.image_size=64",
    "multiview_face": "train method=multiview_face/body dataset=bodies/smoke trainer.batch_size=4",
    "nerf": "benchmark suite=object tier=smoke methods=[nerf] scenes=1 fit.max_seconds={seconds}",
    "gnerf": "benchmark suite=object_unposed tier=smoke methods=[gnerf] scenes=1 fit.max_seconds={seconds}",
    "two trials": "benchmark suite=face tier=smoke methods=[prnet,mean_face] trainer.max_steps=20",
}
LIMIT = 150  # seconds per command, including its start


class Usage:
    """Samples the GPU while a command runs: utilisation in percent, and memory in MiB in addition to that used before."""

    def __init__(self) -> None:
        self.busy: list[int] = []
        self.taken: list[int] = []
        self._ended = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Usage":
        self.before = _ask()[1]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.25):
            busy, taken = _ask()
            self.busy.append(busy)
            self.taken.append(taken - self.before)

    @property
    def peak_mib(self) -> int:
        """Peak additional GPU memory in MiB."""
        return max(self.taken, default=0)

    @property
    def busy_percent(self) -> float:
        """Mean utilisation while additional memory is in use, which excludes the start of the program."""
        during = [busy for busy, taken in zip(self.busy, self.taken, strict=True) if taken > 0]
        return sum(during) / len(during) if during else 0.0


def _ask() -> tuple[int, int]:
    query = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "--id=0"]
    busy, taken = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split(",")
    return int(busy), int(taken)


def trained(names: list[str], seconds: float, folder: Path) -> Iterator[tuple[bool, str]]:
    """Run the commands one after another; yield whether each succeeded, and a line of output."""
    for name in names:
        command = COMMANDS[name].format(seconds=seconds).split()
        limits = [] if command[0] == "benchmark" else [f"trainer.max_seconds={seconds}"]
        began = time.monotonic()
        with Usage() as usage:
            code, said = run([*command, *limits, f"results={folder / name.replace(' ', '_')}"])
        took = time.monotonic() - began
        well = code == 0 and usage.peak_mib > 0
        line = f"{name:16}{took:7.1f} s  GPU {usage.busy_percent:3.0f} % busy, {usage.peak_mib:6} MiB"
        yield well, f"{'ok    ' if well else 'FAILED'}  {line}" + ("" if well else f"\n{said}")


def run(command: list[str]) -> tuple[int, str]:
    """Return the exit code and the last lines of output of a deep3dmap command, which is stopped after LIMIT seconds."""
    whole = [sys.executable, "-c", "from deep3dmap.cli import command; command()", *command]
    try:
        done = subprocess.run(whole, capture_output=True, text=True, timeout=LIMIT, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    except subprocess.TimeoutExpired:
        return 124, f"stopped after {LIMIT} s"
    return done.returncode, "\n".join((done.stdout + done.stderr).splitlines()[-15:])


def main() -> None:
    """Print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"any of {', '.join(COMMANDS)}; default: all")
    parser.add_argument("--seconds", type=float, default=5.0, help="duration of each training")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in COMMANDS]
    if unknown:
        parser.error(f"unknown training {', '.join(unknown)}; available: {', '.join(COMMANDS)}")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for well, line in trained(options.names or list(COMMANDS), options.seconds, Path(folder)):
            failed += not well
            print(line, flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
