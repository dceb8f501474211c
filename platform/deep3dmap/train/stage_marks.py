"""Marks when a command and its processes enter a stage, for `python -m deep3dmap.benchmarks.kernels.start_up`."""

import os
import time

# Names the file the marks are written to; without it nothing is.
FILE = "DEEP3DMAP_STAGES"
# The first stage of a benchmark's run, and what follows its last.
RUN, BETWEEN = "run", "between runs"


def mark(stage: str) -> None:
    """Note that this process begins a stage now."""
    if file := os.environ.get(FILE):
        with open(file, "a") as stream:
            stream.write(f"{time.time():.4f} {os.getpid()} {time.process_time():.4f} {stage}\n")
