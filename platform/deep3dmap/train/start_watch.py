"""Waits for calls that give no sign of life, in a thread, so that the caller can report, give up, and be interrupted."""

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
    """Something did not start, or went away; the message says what, and why as far as is known."""


class StartClock:
    """The time one stage of a startup may take. what: "Ray to start". reason: called for the cause of a delay to report."""

    def __init__(self, what: str, reason: Callable[[], str], say: Callable[[str], None], gives_up: bool = True) -> None:
        self.what, self.reason, self.say, self.gives_up = what, reason, say, gives_up
        self._limit_s, self._began, self._reported_limits = start_limit_s(), time.monotonic(), 0

    def check(self) -> None:
        """Report the delay each time another limit has passed; raises StartError at the last one."""
        limits = int((time.monotonic() - self._began) / self._limit_s)
        if limits <= self._reported_limits:
            return
        self._reported_limits, seconds = limits, f"{limits * self._limit_s:g} s"
        reason = self.reason()
        because = f": {reason}" if reason else ""
        if self.gives_up and limits >= GIVEN_UP_AFTER:
            raise StartError(f"gave up after waiting {seconds} for {self.what}{because}")
        self.say(f"still waiting for {self.what} after {seconds}{because}")


def run_watched(call: Callable[[], Result], check: Callable[[], None], keep_thread: bool = False) -> Result:
    """Return what `call` returns, or raise what it raises; `check` is called ten times a second meanwhile, and may raise.

    The call runs in a thread, so that signals are handled whatever a library does. When `check` raises, or a signal handler
    does, the thread is abandoned: the caller ends what it was waiting for, or the process. keep_thread: keep the thread alive
    after the call, for child processes that the kernel kills along with the thread that started them.
    """
    future: Future[Result] = Future()
    threading.Thread(target=_run, args=(call, future, keep_thread), daemon=True, name="watched").start()
    while True:
        try:
            return future.result(timeout=TICK_S)
        except TimeoutError:
            if future.done():
                # It finished just now, or the error is its own.
                return future.result()
        check()


def to_stderr(text: str) -> None:
    """Print a line to stderr."""
    print(text, file=sys.stderr, flush=True)


def _run(call: Callable[[], Any], future: Future[Any], keep_thread: bool) -> None:
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)
    if keep_thread:
        threading.Event().wait()
