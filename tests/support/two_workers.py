"""The process group of two workers in a test, which is shut down with its threads before the processes exit."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

# Its functions bind the default group at import as a default argument. If it were imported after the group is created, as by
# the first optimiser, it would keep the group alive, and a process that exits while the group's threads run may abort.
import torch.distributed.nn.functional


@contextmanager
def group_of_two(rank: int, folder: str) -> Iterator[None]:
    """Context that joins the process group of a folder, and at the end waits for the other worker and leaves the group."""
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    yield
    gc.collect()
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    wait_for_the_threads_to_end()


def wait_for_the_threads_to_end(timeout_s: float = 30.0) -> None:
    """Fail if threads of this process still serve a group; does nothing on systems that do not list threads (not Linux)."""
    end = time.monotonic() + timeout_s
    while names := [name for name in thread_names() if "gloo" in name]:
        assert time.monotonic() < end, f"the group is kept: {names}"
        time.sleep(0.01)


def thread_names() -> list[str]:
    names = []
    for path in Path("/proc/self/task").glob("*/comm"):
        # A thread may end before its name is read.
        with suppress(OSError):
            names.append(path.read_text().strip())
    return names
