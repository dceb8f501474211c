"""How the command ends: on Ctrl-C and SIGTERM whatever it is doing, and with every process that it has started."""

import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from deep3dmap.train.interruption import Terminated
from deep3dmap.train.processes import adopt_orphans, descendants, end_descendants, end_processes

# How long a signal may take to unwind what the command is doing; then the command ends without that.
GRACE_S = {signal.SIGTERM: 5.0, signal.SIGINT: 10.0}


def watch_signals() -> None:
    """From now on SIGINT and SIGTERM end this process, also while a library waits and keeps the interpreter from running.

    Called before any thread has been started.
    """
    adopt_orphans()
    signal.signal(signal.SIGTERM, _terminate)
    heard, told = os.pipe()
    command = os.getpid()
    if os.fork() == 0:
        os.close(told)
        _insist(heard, command)
    os.close(heard)
    os.set_blocking(told, False)
    # Written to by the interpreter's own handler when a signal comes, whatever the interpreter does.
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)


def leave(code: int) -> NoReturn:
    """End every process that was started here, then this one, without taking the libraries apart in good order."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    end_descendants()
    os._exit(code)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _insist(heard: int, command: int) -> NoReturn:
    """Wait, in a process of its own, for the word of a signal; kill what has not ended after its grace."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # At the end of the command the pipe ends.
    while numbers := os.read(heard, 64):
        grace = [GRACE_S[signal.Signals(number)] for number in numbers if number in GRACE_S]
        if grace:
            time.sleep(min(grace))
            below = [process for process in descendants(command) if process != os.getpid()]
            end_processes([*below, command])
            break
    os._exit(0)
