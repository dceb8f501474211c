"""A visitor's actions on the pages of a dashboard, with the time that each takes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from deep3dmap.benchmarks.store.served_dashboard import Server
from deep3dmap.core.errors import UserError

IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
DRAWN = ".d3-head, [data-testid=stHeading]"
WAIT_MS = 600_000
OPENINGS, OPENING_MS, POLL_MS = 20, 500, 5
Act = Callable[[Any], None]


@dataclass(frozen=True)
class Figure:
    """Seconds that a visitor waited, and CPU seconds of the server."""

    wall_s: float
    cpu_s: float


def timed(server: Server, act: Callable[[], None]) -> Figure:
    """Perform an action and return its times."""
    begin, cpu = time.perf_counter(), server.cpu_s()
    act()
    return Figure(time.perf_counter() - begin, server.cpu_s() - cpu)


def new_page(browser: Any) -> Any:
    """Return an empty page of desktop size, whose `answers` counts how often the server reported a finished script.

    The page itself is not sufficient: if the answer is immediate, it never shows that a script is running.
    """
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(WAIT_MS)
    page.answers = 0

    def count(frame: Any) -> None:
        page.answers += isinstance(frame, bytes) and _is_last(ForwardMsg.FromString(frame))

    page.on("websocket", lambda socket: socket.on("framereceived", count))
    return page


def _is_last(message: ForwardMsg) -> bool:
    is_early = message.script_finished == ForwardMsg.ScriptFinishedStatus.FINISHED_EARLY_FOR_RERUN
    return message.WhichOneof("type") == "script_finished" and not is_early


def paint(page: Any, url: str) -> None:
    """Load a page and wait until it is drawn and its script is idle."""
    page.goto(url)
    page.locator(DRAWN).first.wait_for(state="visible")
    page.locator(IDLE).wait_for(state="attached")


@dataclass(frozen=True)
class Click:
    """A click. ready: untimed preparation, such as opening a list."""

    name: str
    act: Act
    ready: Act = lambda page: None

    def timed(self, server: Server, page: Any) -> Figure:
        """Perform the click, and return the time until the script of the page is idle again."""
        self.ready(page)

        def act() -> None:
            before, end = page.answers, time.monotonic() + WAIT_MS / 1000
            self.act(page)
            while page.answers == before:
                if time.monotonic() > end:
                    raise UserError(f"{page.url} does not respond to {self.name!r}")
                page.wait_for_timeout(POLL_MS)
            page.locator(IDLE).wait_for(state="attached")

        return timed(server, act)


def steps(run_id: str, suite: str) -> Iterator[tuple[str, str, tuple[Click, ...]]]:
    """Yield (page, address, clicks in order). run_id, suite: of a run with saved scenes."""
    metric = _option_click("another metric", "Metric")
    yield "Home", "", (_open_page_click("Leaderboard"),)
    yield (
        "Leaderboard",
        "leaderboard",
        (metric, _radio_click("intervals", "Intervals"), _option_click("another suite", "Suite")),
    )
    yield "Compare", f"compare?suite={suite}", (_option_click("another scene", "Scene (largest difference first)"), metric)
    yield (
        "Gallery",
        f"gallery?suite={suite}",
        (_radio_click("the worst", "Worst"), _option_click("another method", "Method"), metric),
    )
    yield "Runs", "run", (_search_click("search", "Run", "method_0001"),)
    yield "Run", f"run?run_id={run_id}", (_option_click("another picture", "Scene"),)
    yield "Sweeps", "sweeps", (_radio_click("settings", "Settings"),)
    yield "Live", "live", (_open_page_click("Home"),)
    yield "Catalogue", "catalogue", (_radio_click("metrics", "Metrics"),)


def _open_page_click(title: str) -> Click:
    return Click(f"to {title}", lambda page: page.get_by_test_id("stSidebarNav").get_by_role("link", name=title).click())


def _radio_click(name: str, label: str) -> Click:
    return Click(name, lambda page: page.get_by_role("radio", name=label, exact=True).click())


def _option_click(name: str, label: str) -> Click:
    """Choose the second option of a list."""

    def unfold(page: Any) -> None:
        # A list closes when its page scrolls or is redrawn.
        for _ in range(OPENINGS):
            page.get_by_role("combobox", name=label, exact=True).press("ArrowDown")
            page.wait_for_timeout(OPENING_MS)
            if page.get_by_role("option").count() > 1:
                return
        raise UserError(f"the list {label!r} at {page.url} does not open")

    return Click(name, lambda page: page.get_by_role("option").nth(1).click(), unfold)


def _search_click(name: str, label: str, words: str) -> Click:
    def write(page: Any) -> None:
        page.get_by_role("textbox", name=label).fill(words)

    return Click(name, lambda page: page.get_by_role("textbox", name=label).press("Enter"), write)
