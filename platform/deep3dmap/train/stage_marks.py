"""Records when a command and its processes enter a stage, for `python -m deep3dmap.benchmarks.kernels.start_up`."""

import os
import time

# Environment variable with the file to write the marks to; without it, nothing is written.
FILE = "DEEP3DMAP_STAGES"
# The first stage of a run in a benchmark, and the stage after its last.
RUN, BETWEEN = "run", "between runs"


def mark(stage: str) -> None:
    """Record that this process enters a stage now."""
    if file := os.environ.get(FILE):
        with open(file, "a") as stream:
            stream.write(f"{time.time():.4f} {os.getpid()} {time.process_time():.4f} {stage}\n")
