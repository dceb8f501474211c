"""The dashboard, served by `deep3dmap dashboard` and opened in a headless Chromium."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

START_S, WAIT_MS = 90, 30_000
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"


def chromium():
    """Return the path of the browser; if it is not installed, skip the test, or fail in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found and os.environ.get("CI"):
        pytest.fail("chromium is absent, though CI asks for it; apt-get install chromium")
    if not found:
        pytest.skip("chromium is absent; apt-get install chromium to run this test")
    return found


def start(folder):
    """Start the dashboard on a free port; returns the process and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "deep3dmap.cli", "dashboard", f"results={folder}", "--port", str(port)]
    with Path(folder, "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    return server, f"http://127.0.0.1:{port}"


def wait(server, address, folder):
    """Wait until a server answers."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    server.kill()
    server.wait()
    pytest.fail(f"the dashboard did not start: {Path(folder, 'server.log').read_text()}")


def stop(server):
    server.terminate()
    server.wait(timeout=20)


def watched(page, address):
    """Collect the problems on a page: errors, and requests to other hosts."""
    page.set_default_timeout(WAIT_MS)
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on(
        "console", lambda message: page.complaints.append(f"{message.text} {_url(message)}") if _is_error(message) else None
    )
    page.on("request", lambda request: page.complaints.append(request.url) if _leaves(request.url, address) else None)
    return page


def settled(page):
    """Wait until a page is drawn and its script has finished."""
    page.locator(".d3-head, [data-testid=stHeading]").first.wait_for(state="visible")
    page.locator(IDLE).wait_for(state="attached")
    # When a page is left, Streamlit drops its pictures, even those that the browser has yet to fetch.
    page.wait_for_function("[...document.images].every(image => image.complete)")
    assert page.get_by_test_id("stException").count() == 0, page.get_by_test_id("stException").first.inner_text()


def _is_error(message):
    # Subpages probe this path to find out whether the app is served from a subfolder, and get a 404.
    return message.type == "error" and "/_stcore/" not in _url(message)


def _url(message):
    return message.location.get("url", "")


def _leaves(url, address):
    return not url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))
