"""The dashboard as `deep3dmap dashboard` serves it, in a real browser."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from stores import build_store

pytestmark = pytest.mark.browser
START_S = 60
WAIT_MS = 30_000
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


def chromium():
    """Return the browser's path; absent, it is a reason to skip, and in CI to fail."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found and os.environ.get("CI"):
        pytest.fail("chromium is absent, though CI asks for it; apt-get install chromium")
    if not found:
        pytest.skip("chromium is absent; apt-get install chromium to run this test")
    return found


@pytest.fixture(scope="module")
def browser():
    path = chromium()
    api = pytest.importorskip("playwright.sync_api", reason="playwright is absent; pip install 'deep3dmap[test]'")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def serve(folder):
    """Start the verb on a free port; returns the process and the address once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "deep3dmap.cli", "dashboard", f"results={folder}", "--port", str(port)]
    with Path(folder, "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    end = time.monotonic() + START_S
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return server, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.2)
    server.kill()
    server.wait()
    pytest.fail(f"the dashboard did not start: {Path(folder, 'server.log').read_text()}")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of this module's own, since one of its tests writes to it."""
    return build_store(tmp_path_factory.mktemp("browsed"), seeds=3, scenes=6)


@pytest.fixture(scope="module")
def address(store, browser):
    server, address = serve(store.uri)
    yield address
    server.terminate()
    server.wait(timeout=20)


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1400, "height": 1800})
    page.set_default_timeout(WAIT_MS)
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    assert not page.complaints
    assert page.get_by_test_id("stException").count() == 0
    page.close()


def see(page, text):
    page.get_by_text(text, exact=False).first.wait_for(state="visible")


def test_leaderboard_has_its_table_charts_and_failed_runs(page, address):
    page.goto(address)
    see(page, "Faces: alignment and reconstruction from one photograph")
    see(page, "Failed runs (2)")
    page.wait_for_function(
        "document.querySelectorAll('[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg').length >= 2"
    )
    assert page.get_by_test_id("stDataFrame").count() == 2
    cells = page.locator("[data-testid=stDataFrame] canvas table").first.inner_text()
    assert "prnet/wide" in cells
    assert "broken_net/default" in cells


def test_suite_is_chosen_in_the_sidebar(page, address):
    page.goto(address)
    see(page, "Failed runs (2)")
    page.get_by_test_id("stSidebar").get_by_test_id("stSelectbox").first.click()
    page.get_by_role("option", name="indoor").click()
    see(page, "Rooms from posed RGB-D")


def test_table_is_downloaded_as_csv(page, address):
    page.goto(address)
    see(page, "Export")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    assert download.value.suggested_filename == "face-quick-heads-nme_68_2d.csv"
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0].startswith("suite,protocol_version,tier")
    assert len(lines) == 1 + 4


def test_run_has_pictures_curves_and_metrics(page, address, store):
    runs = store.runs()
    run = runs[(runs.method == "prnet") & (runs.status == "ok")].iloc[0]
    page.goto(f"{address}/run?run_id={run.run_id}")
    see(page, f"prnet/{run.variant}")
    for heading in ("Metrics", "Pictures", "Training", "How it was made"):
        page.get_by_role("heading", name=heading).wait_for()
    page.wait_for_function(
        "[...document.querySelectorAll('[data-testid=stImage] img')].filter(i => i.complete && i.naturalWidth).length == 2"
    )


def test_failed_run_shows_its_error(page, address):
    page.goto(f"{address}/run?run_id={'b0' * 8}")
    see(page, "RuntimeError: shapes do not match: 3 and 4")


def test_trials_follow_a_benchmark_without_a_reload(page, address, store):
    page.goto(f"{address}/trials")
    finished = page.get_by_test_id("stMetric").filter(has_text="Finished")
    finished.wait_for()
    before = int(finished.get_by_test_id("stMetricValue").inner_text())
    store.write_trial_state("ee" * 8, "ok", "prnet/mini on heads, seed 9")
    finished.filter(has_text=str(before + 1)).wait_for()


def test_catalogue_is_reached_by_the_navigation(page, address):
    page.goto(address)
    page.get_by_role("link", name="Catalogue").click()
    page.get_by_role("tab", name="Suites").click()
    see(page, "How it is measured.")


def test_store_that_fills_while_the_server_runs(page, tmp_path):
    server, address = serve(tmp_path)
    try:
        page.goto(address)
        see(page, "Nothing here yet")
        see(page, "deep3dmap benchmark suite=face tier=smoke")
        build_store(tmp_path, seeds=1, scenes=2)
        page.reload()
        see(page, "Faces: alignment and reconstruction from one photograph")
    finally:
        server.terminate()
        server.wait(timeout=20)
