"""Finds and ends the descendants of this process, in whatever state they are, and keeps them from outliving it."""

import ctypes
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
STOPPED, ZOMBIE = "T", "Z"


def descendants(ancestor: int | None = None) -> list[int]:
    """Return the ids of all live descendants of a process (default: this one), parents before children."""
    children: dict[int, list[int]] = {}
    for process in _all():
        if (about := _status(process)) and about[0] != ZOMBIE:
            children.setdefault(about[1], []).append(process)
    found = list(children.get(os.getpid() if ancestor is None else ancestor, []))
    for process in found:
        found += children.get(process, [])
    return found


def state(process: int) -> str:
    """Return the state of a process as in /proc: "R" or "S", "T" if stopped, "Z" if ended, "" if it does not exist."""
    about = _status(process)
    return about[0] if about else ""


def command(process: int) -> str:
    """Return the command line of a process, "" if it has none or no longer exists."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def end_descendants(seconds: float = 10.0) -> list[int]:
    """Kill all descendants of this process, including stopped and newly started ones; returns the ids of any still alive."""
    until = time.monotonic() + seconds
    while left := descendants():
        end_processes(left)
        if time.monotonic() > until:
            return left
    return []


def end_processes(processes: Iterable[int]) -> None:
    """Kill the given processes and wait briefly for them to end."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    time.sleep(0.02)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that `descendants` still finds them. Linux only."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Make the kernel kill this process when its parent dies, for any reason. Linux only."""
    parent = os.getppid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def kills_for_memory() -> int:
    """Return how many processes the kernel's OOM killer has killed, on this machine or in this container."""
    count = 0
    for file in ("/proc/vmstat", "/sys/fs/cgroup/memory.events"):
        try:
            lines = Path(file).read_text().splitlines()
        except OSError:
            continue
        count += sum(int(line.split()[1]) for line in lines if line.split()[:1] == ["oom_kill"])
    return count


def _all() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()] if os.path.isdir("/proc") else []


def _status(process: int) -> tuple[str, int] | None:
    """Return (state, parent)."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    # The name, in parentheses, may itself contain spaces and parentheses.
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[1])


def _prctl(option: int, value: int) -> None:
    try:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
    except AttributeError:
        # Not Linux: orphans then end by themselves, as Ray's processes do.
        return
