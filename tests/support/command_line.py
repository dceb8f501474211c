"""Runs the command line as a user does, in a process of its own that finds the toy methods."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEADS = ("datasets=[heads/smoke]", "dataset.train=16", "dataset.val=4", "dataset.test=3")


def start(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start `deep3dmap ARGUMENTS` in a folder, with further environment variables."""
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
    """Wait for a process to end with an exit code; returns what it wrote to its two outputs."""
    try:
        out, error = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == code, out + error
    return out, error


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str] | None = None, seconds: float = 400) -> None:
    """Wait until a condition holds, at most until the process ends."""
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
