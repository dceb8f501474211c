"""The process group of two workers of a test, ended with its threads before their processes end."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

# Its functions take the default group that there is at their import as a default value. Imported later, as by the first
# optimiser, it keeps the group for good, and a process that ends beside the group's threads may abort.
import torch.distributed.nn.functional


@contextmanager
def group_of_two(rank: int, folder: str) -> Iterator[None]:
    """Join the group that meets in a folder; wait for the other worker at the end, and leave it."""
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    yield
    gc.collect()
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    wait_for_the_threads_to_end()


def wait_for_the_threads_to_end(timeout_s: float = 30.0) -> None:
    """Fail where threads of this process still serve a group; where the system does not list them (not Linux), do nothing."""
    end = time.monotonic() + timeout_s
    while names := [name for name in thread_names() if "gloo" in name]:
        assert time.monotonic() < end, f"the group is kept: {names}"
        time.sleep(0.01)


def thread_names() -> list[str]:
    names = []
    for path in Path("/proc/self/task").glob("*/comm"):
        # A thread may end between the two.
        with suppress(OSError):
            names.append(path.read_text().strip())
    return names
