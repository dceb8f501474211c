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
        self.used_mib: list[int] = []
        self._ended = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Usage":
        self.before = _query_gpu()[1]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.25):
            busy, used_mib = _query_gpu()
            self.busy.append(busy)
            self.used_mib.append(used_mib - self.before)

    @property
    def peak_mib(self) -> int:
        """Peak additional GPU memory in MiB."""
        return max(self.used_mib, default=0)

    @property
    def busy_percent(self) -> float:
        """Mean utilisation while additional memory is in use, which excludes the start of the program."""
        during = [busy for busy, used_mib in zip(self.busy, self.used_mib, strict=True) if used_mib > 0]
        return sum(during) / len(during) if during else 0.0


def _query_gpu() -> tuple[int, int]:
    query = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "--id=0"]
    busy, used_mib = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split(",")
    return int(busy), int(used_mib)


def run_trainings(names: list[str], seconds: float, folder: Path) -> Iterator[tuple[bool, str]]:
    """Run the commands one after another; yield whether each succeeded, and a line of output."""
    for name in names:
        command = COMMANDS[name].format(seconds=seconds).split()
        limits = [] if command[0] == "benchmark" else [f"trainer.max_seconds={seconds}"]
        began = time.monotonic()
        with Usage() as usage:
            code, output = run([*command, *limits, f"results={folder / name.replace(' ', '_')}"])
        took = time.monotonic() - began
        succeeded = code == 0 and usage.peak_mib > 0
        line = f"{name:16}{took:7.1f} s  GPU {usage.busy_percent:3.0f} % busy, {usage.peak_mib:6} MiB"
        yield succeeded, f"{'ok    ' if succeeded else 'FAILED'}  {line}" + ("" if succeeded else f"\n{output}")


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
        for succeeded, line in run_trainings(options.names or list(COMMANDS), options.seconds, Path(folder)):
            failed += not succeeded
            print(line, flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
