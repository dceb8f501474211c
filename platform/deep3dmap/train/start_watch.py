"""Waits for libraries that say nothing: they run in a thread, and who waits can speak, give up, and be interrupted."""

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from deep3dmap.train.start_limit import GIVEN_UP_AFTER, start_limit_s

Result = TypeVar("Result")
TICK_S = 0.1


class StartError(RuntimeError):
    """Something did not start, or went away; the message says what, and what is known of why."""


class StartClock:
    """The time that one stage of a start may take. what: "Ray to start"; reason: says what it waits for, asked when needed."""

    def __init__(self, what: str, reason: Callable[[], str], say: Callable[[str], None], gives_up: bool = True) -> None:
        self.what, self.reason, self.say, self.gives_up = what, reason, say, gives_up
        self._limit_s, self._began, self._said = start_limit_s(), time.monotonic(), 0

    def look(self) -> None:
        """Say what is waited for, whenever another limit has passed; raises StartError at the last one."""
        limits = int((time.monotonic() - self._began) / self._limit_s)
        if limits <= self._said:
            return
        self._said, seconds = limits, f"{limits * self._limit_s:g} s"
        reason = self.reason()
        because = f": {reason}" if reason else ""
        if self.gives_up and limits >= GIVEN_UP_AFTER:
            raise StartError(f"waited {seconds} in vain for {self.what}{because}")
        self.say(f"waiting for {self.what}, for {seconds} now{because}")


def watched(call: Callable[[], Result], look: Callable[[], None], stays: bool = False) -> Result:
    """Return what `call` returns, or raise what it raises; `look` is called ten times a second meanwhile, and may raise.

    The call runs in a thread, so that a signal is heeded whatever a library does. When `look` raises, or a signal does, the
    thread is left behind: the caller ends what it waits for, or the process. stays: the thread outlives the call, which
    processes need that the kernel ends when the thread that has started them does.
    """
    future: Future[Result] = Future()
    threading.Thread(target=_run, args=(call, future, stays), daemon=True, name="watched").start()
    while True:
        try:
            return future.result(timeout=TICK_S)
        except TimeoutError:
            if future.done():
                # It has ended since, or this is its own error.
                return future.result()
        look()


def to_stderr(text: str) -> None:
    """Say a line on the standard error."""
    print(text, file=sys.stderr, flush=True)


def _run(call: Callable[[], Any], future: Future[Any], stays: bool) -> None:
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)
    if stays:
        threading.Event().wait()
