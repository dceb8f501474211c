"""Runs the command line as a user would, in a separate process that can import the toy methods."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEADS = ("datasets=[heads/smoke]", "dataset.train=16", "dataset.val=4", "dataset.test=3")


def start(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start `deep3dmap ARGUMENTS` in a folder, with additional environment variables."""
    return subprocess.Popen(
        [sys.executable, "-m", "deep3dmap.cli", *arguments],
        cwd=folder,
        env={**os.environ, **_own(folder), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str], code: int = 0, seconds: float = 500) -> tuple[str, str]:
    """Wait for a process to end, and check its exit code; returns its standard output and standard error."""
    try:
        out, error = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == code, out + error
    return out, error


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str] | None = None, seconds: float = 400) -> None:
    """Wait until a condition holds; fails after `seconds`, or if the process ends."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        if process is not None and process.poll() is not None:
            raise AssertionError("\n".join(process.communicate()))
        time.sleep(0.1)


def _own(folder: Path) -> dict[str, str]:
    support = str(Path(__file__).parent)
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, [support, os.environ.get("PYTHONPATH", "")])),
        "DEEP3DMAP_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "TOYS_MARK": str(folder / "mark"),
    }
