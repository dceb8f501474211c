"""A headless Chromium with software WebGL, for testing the 3D viewer."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import browsing
import numpy as np
import pytest
from PIL import Image

SOFTWARE_WEBGL = ["--no-sandbox", "--disable-dev-shm-usage"]
SOFTWARE_WEBGL += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the browser; if it is not installed, skip the test, or fail in CI."""
    path = browsing.chromium()
    api = pytest.importorskip("playwright.sync_api", reason="playwright is absent; pip install 'deep3dmap[test]'")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=SOFTWARE_WEBGL)
        yield browser
        browser.close()


@contextmanager
def served(folder: str) -> Iterator[str]:
    """Serve a store on a free port; yields the address."""
    server, address = browsing.start(folder)
    browsing.wait(server, address, folder)
    yield address
    browsing.stop(server)


def watched(browser: Any, width: int = 1200, height: int = 900, address: str = "file://", **context: Any) -> Any:
    """Return a page that collects problems in `complaints`: errors, and requests to URLs outside of `address`."""
    page = browser.new_page(viewport={"width": width, "height": height}, **context)
    page.requests = []
    page.on("request", lambda request: page.requests.append(request.url))
    return browsing.watched(page, address)


def pixels(locator: Any) -> np.ndarray:
    """Return a screenshot of an element, (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB"), np.int64)


def drawn(page: Any, count: int = 1) -> None:
    """Wait until a viewer has drawn at least `count` times."""
    page.wait_for_function(
        "count => { const find = root => [...root.querySelectorAll('*')].flatMap(e => [e, ...(e.shadowRoot ? find(e.shadowRoot)"
        " : [])]); return find(document).some(e => e.classList?.contains('v3d') && Number(e.dataset.drawn) >= count) }",
        arg=count,
    )
