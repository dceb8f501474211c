"""What befalls the processes of `chaos`: disks that refuse, clocks that are wrong, and nodes that go down whole."""

import errno
import os
import random
import socket
import time

from deep3dmap.core.errors import UserError
from deep3dmap.results import leases

NODES = 4
# The share of what is synced to disk that is refused.
REFUSED = 0.01
# By which the clock of a node is wrong, at most, either way.
CLOCK_S = 30 * 24 * 3600.0
_WHY = os.strerror(errno.ENOSPC)


def node_of(number: int) -> int:
    """Return which node a process is on."""
    return number % NODES


def move_to(node: int, chance: random.Random) -> None:
    """Make of this process one of a node: of another machine, by a clock of its own, with a disk that refuses now and then."""
    clock, disk = random.Random(f"{chance.random()} {node}"), random.Random(chance.random())
    wrong_s, sync = clock.uniform(-CLOCK_S, CLOCK_S), os.fsync
    now, now_ns, process = time.time, time.time_ns, leases._process

    def refuse_now_and_then(handle: int) -> None:
        if disk.random() < REFUSED:
            raise OSError(errno.ENOSPC, _WHY)
        sync(handle)

    def of_node(pid: int) -> str:
        known = process(pid)
        return known and f"node-{node}-{known}"

    os.fsync = refuse_now_and_then  # type: ignore[assignment]
    time.time = lambda: now() + wrong_s
    time.time_ns = lambda: now_ns() + int(wrong_s * 1e9)
    socket.gethostname = lambda: f"node-{node}"
    leases._process = of_node


def is_refusal(error: Exception) -> bool:
    """Whether an error says that a disk refused."""
    return isinstance(error, UserError | OSError) and _WHY in str(error)
