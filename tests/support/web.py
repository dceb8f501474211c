"""A headless Chromium with software WebGL, and the dashboard to look at with it."""

import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

START_S = 60
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage"]
SOFTWARE_WEBGL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the browser; absent, it is a reason to skip, and in CI to fail."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path and os.environ.get("CI"):
        pytest.fail("chromium is absent, though CI asks for it; apt-get install chromium")
    if not path:
        pytest.skip("chromium is absent; apt-get install chromium to run this test")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is absent; pip install 'deep3dmap[test]'")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *SOFTWARE_WEBGL])
        yield browser
        browser.close()


@contextmanager
def served(folder: str) -> Iterator[str]:
    """Serve a store on a free port; gives the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "deep3dmap.cli", "dashboard", f"results={folder}", "--port", str(port)]
    log = Path(folder, "server.log")
    with log.open("w") as stream:
        server = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, cwd=folder)
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the dashboard did not start: {log.read_text()}")


def watched(browser: Any, width: int = 1200, height: int = 900, **context: Any) -> Any:
    """Return a page that collects complaints and requests in `complaints` and `requests`."""
    page = browser.new_page(viewport={"width": width, "height": height}, **context)
    page.set_default_timeout(30_000)
    page.complaints, page.requests = [], []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda message: _note(page, message))
    page.on("request", lambda request: page.requests.append(request.url))
    return page


def _note(page: Any, message: Any) -> None:
    # Streamlit looks for its server at addresses below the page first.
    if message.type == "error" and "/_stcore/" not in str(message.location.get("url", "")):
        page.complaints.append(message.text)


def pixels(locator: Any) -> np.ndarray:
    """Return (H, W, 3) what an element looks like."""
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB"), np.int64)


def drawn(page: Any, count: int = 1) -> None:
    """Wait until a viewer has drawn so many times."""
    page.wait_for_function(
        "count => { const find = root => [...root.querySelectorAll('*')].flatMap(e => [e, ...(e.shadowRoot ? find(e.shadowRoot)"
        " : [])]); return find(document).some(e => e.classList?.contains('v3d') && Number(e.dataset.drawn) >= count) }",
        arg=count,
    )
