"""The dashboard served by `deep3dmap dashboard`, in a real browser."""

import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from browsing import FLAGS, chromium, settled, start, stop, wait, watched
from odd_stores import ELSEWHERE, KINDS
from PIL import Image
from stores import ENTRANTS, metric_rows, run_row

from deep3dmap.benchmarks.store.speed import without_fsync, write_runs
from deep3dmap.results.compact import compact
from deep3dmap.results.store import ResultStore

pytestmark = pytest.mark.browser
SLOW_MS = 180_000
PAGES = ("Leaderboard", "Compare", "Gallery", "Run", "Sweeps", "Live", "Catalogue", "Home")


@pytest.fixture(scope="module")
def browser():
    path = chromium()
    api = pytest.importorskip("playwright.sync_api", reason="playwright is absent; pip install 'deep3dmap[test]'")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(browser, tmp_path_factory):
    """{kind of store: address} of servers that are started in parallel."""
    servers = {}
    for kind, build in KINDS.items():
        folder = tmp_path_factory.mktemp("served")
        build(folder)
        servers[kind] = (folder, *start(folder))
    try:
        for folder, server, address in servers.values():
            wait(server, address, folder)
        yield {kind: (folder, address) for kind, (folder, _, address) in servers.items()}
    finally:
        for _, server, _ in servers.values():
            stop(server)


@pytest.fixture
def opened(browser, served):
    """Function that opens pages, which are checked for errors at the end of the test."""
    pages = []

    def open_page(path="", kind="plain", **options):
        address = served[kind][1]
        page = watched(browser.new_page(**{"viewport": {"width": 1400, "height": 1000}, **options}), address)
        pages.append(page)
        page.goto(f"{address}/{path}")
        settled(page)
        return page

    yield open_page
    for page in pages:
        assert not page.complaints
        page.close()


def walk(page):
    """Visit every page through the navigation."""
    for name in PAGES:
        page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
        page.wait_for_url(f"**/{name.lower() if name != 'Home' else ''}*")
        settled(page)
    assert ELSEWHERE not in "".join(page.locator("img").evaluate_all("all => all.map(one => one.src)"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_of_every_store_is_shown(opened, kind):
    walk(opened(kind=kind))


def many_runs(folder):
    with without_fsync():
        write_runs(ResultStore(str(folder)), range(3000), scenes=20, metrics=5)
        compact(ResultStore(str(folder)))


def real_runs(folder):
    """Run two methods of the smallest suite with surfaces, one run at a time.

    Ray kills its youngest worker when the machine runs out of memory, even if another process uses it.
    """
    command = [sys.executable, "-m", "deep3dmap.cli", "benchmark", "suite=indoor", "tier=smoke", f"results={folder}"]
    command += ["methods=[tsdf_fusion,mean_depth_plane]", f"trainer.cpus_per_worker={os.cpu_count()}"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "RAY_memory_monitor_refresh_ms": "0"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("build", [many_runs, real_runs])
def test_every_page_of_a_large_and_of_a_real_store_is_shown(browser, tmp_path, build):
    build(tmp_path)
    server, address = start(tmp_path)
    try:
        wait(server, address, tmp_path)
        page = watched(browser.new_page(viewport={"width": 1400, "height": 1000}), address)
        page.set_default_timeout(SLOW_MS)
        page.goto(address)
        settled(page)
        walk(page)
        assert not page.complaints
        page.close()
    finally:
        stop(server)


@pytest.mark.parametrize("path", ["", "leaderboard?suite=face", "run?run_id=b0b0", "live", "catalogue"])
def test_phone_shows_pages_without_scrolling_sideways(opened, path):
    page = opened(path, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390


def test_a_rank_of_three_digits_stands_on_one_line_on_a_phone(opened):
    page = opened("leaderboard?suite=face", viewport={"width": 390, "height": 844})
    lines = page.evaluate("""() => {
        const cell = document.querySelector("td.rank"), range = document.createRange();
        cell.textContent = "147";
        range.selectNodeContents(cell);
        return range.getClientRects().length;
    }""")
    assert lines == 1


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_system_of_the_viewer_says_whether_it_is_dark(opened, scheme, is_dark):
    page = opened("leaderboard?suite=face", color_scheme=scheme)
    pixel = Image.open(io.BytesIO(page.screenshot())).convert("L").getpixel((900, 990))
    assert (pixel < 64) == is_dark


def test_choices_survive_a_reload_and_other_pages(opened):
    page = opened("leaderboard?suite=indoor&metric=chamfer&methods=tsdf")
    rows = page.get_by_label("leaderboard").locator("tbody tr")
    assert rows.count() == 1
    page.get_by_test_id("stSidebar").get_by_text("All statistics").click()
    page.wait_for_url("**statistics=true**")
    page.reload()
    settled(page)
    assert page.get_by_label("leaderboard").get_by_text("IQM").count() == 1
    page.get_by_role("link", name="Catalogue").click()
    page.wait_for_url("**/catalogue**")
    settled(page)
    page.get_by_role("link", name="Leaderboard").click()
    page.wait_for_url("**/leaderboard**")
    settled(page)
    page.get_by_label("leaderboard").get_by_text("IQM").wait_for()
    assert rows.count() == 1


def test_row_leads_to_its_run_and_back(opened):
    page = opened("leaderboard?suite=face&tier=quick")
    page.get_by_label("leaderboard").get_by_role("link").first.click()
    page.wait_for_url("**/run?run_id=*")
    page.get_by_role("heading", name="prnet/wide").wait_for()
    page.go_back()
    page.get_by_label("leaderboard").wait_for()
    assert "suite=face" in page.url


def test_view_is_downloaded_and_its_figure_saved(opened):
    page = opened("leaderboard?suite=face")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    assert download.value.suggested_filename == "face-quick-heads-nme_68_2d.csv"
    assert len(Path(download.value.path()).read_text().splitlines()) == 1 + 4
    page.get_by_test_id("stVegaLiteChart").hover()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as PNG").click()
    assert min(Image.open(download.value.path()).size) > 300


def test_pages_follow_the_store_without_a_reload(opened, served):
    page = opened("leaderboard?suite=face&methods=newcomer")
    page.get_by_text("No methods match").wait_for()
    store = ResultStore(str(served["plain"][0]))
    row = run_row(ENTRANTS[0], 0, method="newcomer", run_id="ab" * 8)
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 6), [])
    page.get_by_label("leaderboard").wait_for()
    live = opened("live")
    store.write_trial_state("ee" * 8, "running", "prnet/mini on heads, seed 9")
    live.get_by_text("prnet/mini on heads, seed 9").wait_for()


@pytest.mark.parametrize(("host", "status"), [("localhost", b"101"), ("evil.example", b"403")])
def test_only_names_of_this_machine_open_the_connection(served, host, status):
    address = served["plain"][1].removeprefix("http://")
    port = int(address.rpartition(":")[2])
    lines = [
        *("GET /_stcore/stream HTTP/1.1", f"Host: {host}:{port}", f"Origin: http://{host}:{port}", "Upgrade: websocket"),
        *("Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", ""),
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode())
        assert connection.recv(64).split()[1] == status


@pytest.mark.skipif(sys.platform != "linux", reason="what a process took is read from /proc, which Linux has")
def test_nobody_looking_costs_nothing(opened, served):
    page = opened("live")
    before = _cpu_s(served["plain"][1])
    page.wait_for_timeout(6000)
    assert _cpu_s(served["plain"][1]) - before < 1.0


def _cpu_s(address):
    port = address.rpartition(":")[2]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"--server.port\0{port}\0" in (folder / "cmdline").read_text():
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                return (int(fields[11]) + int(fields[12])) / 100
        except (OSError, ProcessLookupError):
            continue
    pytest.fail(f"no process serves {address}")
