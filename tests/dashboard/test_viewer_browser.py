"""The viewer, the pages around it and the exported site, in a real browser with software WebGL."""

import json
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from kept_stores import HOSTILE, build_hostile_store, build_kept_store, preview
from web import chromium, drawn, pixels, served, watched

from deep3dmap.dashboard.site.export import export
from deep3dmap.dashboard.viewer3d import panels_of, payload
from deep3dmap.dashboard.viewer3d.component import SCRIPTS, STYLE, static_file

pytestmark = pytest.mark.browser
NARROW, LOW = 390, 800


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def viewer_file(tmp_path_factory):
    data = payload(panels_of({HOSTILE: preview(1.1), "small": preview(0.6)}), "metre")
    scripts = "".join(f"<script>{static_file(name)}</script>" for name in SCRIPTS)
    mount = f"viewer = deep3dmapViewer.mount(document.getElementById('v'), {json.dumps(data)}, {{dark: false}})"
    mount = mount.replace("<", "\\u003c")
    file = tmp_path_factory.mktemp("viewer") / "viewer.html"
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><style>{static_file(STYLE)}</style>"
    file.write_text(f"<!doctype html>{head}<div id=v></div>{scripts}<script>var {mount}</script>")
    return file


@pytest.fixture
def viewer(browser, viewer_file):
    page = watched(browser)
    page.goto(viewer_file.as_uri())
    drawn(page)
    yield page
    assert not page.complaints
    assert all(address.startswith(("file:", "data:")) for address in page.requests)
    page.close()


def panels(page):
    return [pixels(panel) for panel in page.locator(".v3d-panel").all()]


def settle(page, act):
    """Perform an action and wait until its result is drawn."""
    before = int(page.locator(".v3d").get_attribute("data-drawn"))
    act()
    drawn(page, before + 1)


def differs(one, other):
    return (np.abs(one - other).max(2) > 12).mean()


def test_every_panel_shows_its_mesh(viewer):
    first, second, truth = panels(viewer)
    for picture in (first, second, truth):
        middle = picture[100:-100, 80:-80]
        assert len(np.unique(middle.reshape(-1, 3), axis=0)) > 50
        assert (np.abs(middle - middle[0, 0]).max(2) > 12).mean() > 0.05
    covered = [(np.abs(picture - picture[60, 5]).max(2) > 12).mean() for picture in (first, second)]
    assert covered[0] > 2 * covered[1]


def test_all_panels_turn_together_and_reset_brings_them_back(viewer):
    before = panels(viewer)
    box = viewer.locator(".v3d-panel").first.bounding_box()
    viewer.mouse.move(box["x"] + 100, box["y"] + 150)
    viewer.mouse.down()
    settle(viewer, lambda: viewer.mouse.move(box["x"] + 220, box["y"] + 200, steps=4))
    viewer.mouse.up()
    turned = panels(viewer)
    assert all(differs(one, other) > 0.01 for one, other in zip(before, turned))
    settle(viewer, lambda: viewer.get_by_role("button", name="Reset").click())
    assert all(differs(one, other) < 0.002 for one, other in zip(before, panels(viewer)))


def test_wheel_comes_nearer_in_all_panels(viewer):
    before = panels(viewer)
    viewer.locator(".v3d-panel").nth(1).hover()
    settle(viewer, lambda: viewer.mouse.wheel(0, -600))
    assert all(differs(one, other) > 0.02 for one, other in zip(before, panels(viewer)))


def test_keys_turn_and_come_nearer(viewer):
    viewer.locator(".v3d-grid").focus()
    for key in ("ArrowLeft", "ArrowUp", "+"):
        before = viewer.evaluate("viewer.camera.position.toArray()")
        settle(viewer, lambda key=key: viewer.keyboard.press(key))
        after = viewer.evaluate("viewer.camera.position.toArray()")
        shorter = np.linalg.norm(after) / np.linalg.norm(before)
        assert shorter == pytest.approx(1 / 1.15 if key == "+" else 1.0, rel=1e-3)
        assert np.abs(np.subtract(after, before)).max() > 0.1


def test_paints_wireframe_and_ground_change_the_picture(viewer):
    seen = {"error": panels(viewer)[0]}
    for name in ("Colours", "Shape", "Wireframe", "Light / dark"):
        button = viewer.get_by_role("button", name=name)
        button.click()
        viewer.wait_for_timeout(150)
        seen[name] = panels(viewer)[0]
    pictures = list(seen.values())
    assert all(differs(one, other) > 0.01 for one, other in pairwise(pictures))
    shape = seen["Shape"][150:-150, 120:-120]
    assert np.abs(shape.max(2) - shape.min(2)).max() < 24


def test_colour_bar_is_there_with_errors_only(viewer):
    legend = viewer.locator(".v3d-legend")
    assert legend.is_visible()
    assert "distance to the true surface" in legend.inner_text()
    viewer.get_by_role("button", name="Shape").click()
    assert not legend.is_visible()


def test_turntable_turns_until_it_is_stopped(viewer):
    def place():
        return viewer.evaluate("viewer.camera.position.toArray()")

    before = place()
    button = viewer.get_by_role("button", name="Turntable")
    button.click()
    drawn(viewer, 12)
    assert np.abs(np.subtract(place(), before)).max() > 0.01
    button.click()
    viewer.wait_for_function("document.querySelector('.v3d-button[aria-pressed=true][title=\"rotate slowly\"]') === null")
    viewer.wait_for_timeout(300)
    stopped = place()
    viewer.wait_for_timeout(300)
    assert place() == stopped


def test_titles_are_text(viewer):
    assert viewer.locator(".v3d img").count() == 0
    assert viewer.locator(".v3d-title").first.inner_text().replace("\u200b", "") == HOSTILE.replace("\u200b", "")


def test_mouse_reads_the_error_off_the_surface(viewer):
    box = viewer.locator(".v3d-panel").first.bounding_box()
    viewer.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    told = viewer.locator(".v3d-readout").inner_text()
    assert told.startswith("here ")
    assert 0.07 < float(told.split()[1]) < 0.13
    viewer.mouse.move(box["x"] + 5, box["y"] + box["height"] - 5)
    assert viewer.locator(".v3d-readout").inner_text() == ""


def test_phone_has_two_columns_and_no_sideways_scrolling(browser, viewer_file):
    page = watched(browser, NARROW, LOW, has_touch=True)
    page.goto(viewer_file.as_uri())
    drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    tops = [panel.bounding_box()["y"] for panel in page.locator(".v3d-panel").all()]
    assert tops[0] == tops[1] < tops[2]
    page.close()


def test_browser_without_webgl_is_told_so(browser, viewer_file):
    page = watched(browser)
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(viewer_file.as_uri())
    page.get_by_text("3D needs WebGL, which this browser does not offer").wait_for()
    assert page.locator("canvas").count() == 0
    assert not [one for one in page.complaints if "THREE.WebGLRenderer" not in one]
    page.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shown")
    build_hostile_store(folder)
    return build_kept_store(folder)


@pytest.fixture(scope="module")
def address(store):
    with served(store.uri) as address:
        yield address


@pytest.mark.parametrize("path", ["compare", "gallery"])
def test_pages_of_scenes_show_their_meshes(path, browser, address):
    page = watched(browser, 1200, 1700, address)
    page.goto(f"{address}/{path}?suite=face&dataset=heads%2Fquick&metric=nme_68_2d")
    drawn(page)
    stage = pixels(page.locator(".v3d-stage"))
    assert len(np.unique(stage[60:-60].reshape(-1, 3), axis=0)) > 100
    images = page.locator(".scene-tiles img")
    assert images.count() >= 4
    page.wait_for_function("[...document.querySelectorAll('.scene-tiles img')].every(image => image.naturalWidth > 0)")
    assert page.get_by_test_id("stException").count() == 0
    assert not page.complaints
    page.close()


@pytest.mark.parametrize("path", ["compare", "gallery"])
def test_names_that_are_markup_run_nothing(path, browser, address):
    page = watched(browser, NARROW, 1700, address)
    page.on("dialog", lambda dialog: page.complaints.append(dialog.message))
    page.goto(f"{address}/{path}?{urlencode({'suite': 'face', 'dataset': f'{HOSTILE}/quick'})}")
    page.wait_for_function("document.querySelector('.scene-tiles img') !== null")
    drawn(page)
    assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0
    assert not page.complaints
    page.close()


@pytest.fixture(scope="module")
def site(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "site"
    export(store, folder)
    return folder


def test_site_opens_from_the_disk_without_complaint_or_request(site, browser):
    page = watched(browser)
    files = [site / "index.html", *(sorted(site.glob(f"{kind}/*.html"))[0] for kind in ("boards", "scenes", "runs"))]
    files += sorted(file for file in site.rglob("*.html") if "img-src-x" in file.name)[:2]
    for file in files:
        page.goto(file.as_uri())
        page.wait_for_load_state("load")
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)"), file
    assert not page.complaints
    assert all(Path(one.removeprefix("file://")).is_relative_to(site) for one in page.requests if not one.startswith("data:"))
    page.close()


def test_site_shows_a_scene_in_3d(site, browser):
    scene = next(file for file in sorted(site.glob("scenes/face-1-quick-heads-*.html")))
    page = watched(browser, NARROW, LOW, color_scheme="dark")
    page.goto(scene.as_uri())
    drawn(page)
    assert page.locator(".v3d").get_attribute("data-ground") == "dark"
    assert page.locator(".v3d-title").last.inner_text() == "truth"
    stage = pixels(page.locator(".v3d-stage"))
    assert len(np.unique(stage.reshape(-1, 3), axis=0)) > 100
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    assert not page.complaints
    page.close()
