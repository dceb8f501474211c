"""Faults injected into the processes of `chaos`: disks that refuse writes, wrong clocks, and nodes that go down."""

import errno
import os
import random
import socket
import time

from deep3dmap.core.errors import UserError
from deep3dmap.results import leases

NODES = 4
# Fraction of syncs to disk that fail.
REFUSED = 0.01
# Maximum error of a node's clock, in either direction.
CLOCK_S = 30 * 24 * 3600.0
_WHY = os.strerror(errno.ENOSPC)


def node_of(number: int) -> int:
    """Return the node of a process."""
    return number % NODES


def move_to(node: int, chance: random.Random) -> None:
    """Simulate that this process is on a node with its own host name, a wrong clock and a disk that sometimes fails."""
    clock, disk = random.Random(f"{chance.random()} {node}"), random.Random(chance.random())
    wrong_s, sync = clock.uniform(-CLOCK_S, CLOCK_S), os.fsync
    now, now_ns, process = time.time, time.time_ns, leases._process

    def refuse_at_random(handle: int) -> None:
        if disk.random() < REFUSED:
            raise OSError(errno.ENOSPC, _WHY)
        sync(handle)

    def of_node(pid: int) -> str:
        known = process(pid)
        return known and f"node-{node}-{known}"

    os.fsync = refuse_at_random  # type: ignore[assignment]
    time.time = lambda: now() + wrong_s
    time.time_ns = lambda: now_ns() + int(wrong_s * 1e9)
    socket.gethostname = lambda: f"node-{node}"
    leases._process = of_node


def is_refusal(error: Exception) -> bool:
    """Return whether an error is an injected refusal of the disk."""
    return isinstance(error, UserError | OSError) and _WHY in str(error)
