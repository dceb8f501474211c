"""Export of a store as a static site."""

import json
import re
import sys
from html.parser import HTMLParser

import pytest
from kept_stores import build_hostile_store, build_kept_store
from stores import ENTRANTS, build_store, metric_rows, run_row

from deep3dmap.cli import dashboard
from deep3dmap.core.errors import UserError
from deep3dmap.dashboard.site.__main__ import main
from deep3dmap.dashboard.site.export import export
from deep3dmap.dashboard.site.folder import MARK
from deep3dmap.results.store import ResultStore


class Links(HTMLParser):
    """Collects the links and elements of a page."""

    def __init__(self, text):
        super().__init__()
        self.found, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.found += [value for name, value in attrs if name in ("src", "href")]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    store = build_kept_store(tmp_path_factory.mktemp("kept"))
    folder = tmp_path_factory.mktemp("out") / "site"
    export(store, folder)
    return store, folder


def pages(folder):
    return {file: Links(file.read_text()) for file in folder.rglob("*.html")}


def test_every_link_leads_to_a_file_of_the_site(site):
    _, folder = site
    found = pages(folder)
    assert len(found) > 10
    for file, links in found.items():
        for address in links.found:
            assert address.startswith("data:") or (file.parent / address).resolve().is_relative_to(folder.resolve())
            assert address.startswith("data:") or (file.parent / address).is_file(), (file, address)


def test_boards_runs_and_kept_scenes_have_pages(site):
    store, folder = site
    runs = store.runs()
    assert {file.stem for file in folder.glob("runs/*.html")} == set(runs[runs.suite != ""].run_id)
    assert len(list(folder.glob("boards/*.html"))) == 2
    assert len(list(folder.glob("scenes/*.html"))) == 4
    board = next(file.read_text() for file in folder.glob("boards/face*.html"))
    assert "prnet/wide" in board
    assert "mean_face/default" in board
    assert "shapes do not match" in board


def test_a_line_of_the_runs_of_a_board_begins_with_the_link(site):
    store, folder = site
    lines = [line for file in folder.glob("boards/*.html") for line in re.findall(r"<tr><td>(.*?)</td>", file.read_text())]
    linked = {run_id for line in lines for run_id in re.findall(r'^<a href="\.\./runs/(\w+)\.html"', line)}
    assert linked == set(store.runs().run_id)


def test_run_has_its_metrics_in_the_order_of_the_suite_under_their_means(site):
    store, folder = site
    runs = store.runs()
    run_id = runs[(runs.method == "prnet") & (runs.status == "ok")].run_id.iloc[0]
    values = (folder / f"runs/{run_id}.html").read_text().split("<table", 2)[1]
    assert re.findall("<th>(.*?)</th>", values.replace("<wbr>", ""))[:2] == ["scene", "nme_68_2d (% of sqrt(w h))"]
    own = store.metrics(runs[runs.run_id == run_id])
    mean = own[(own.metric == "nme_68_2d") & (own.scene != "")].value.mean()
    assert f"<td>mean over scenes</td><td>{mean:.4g}" in values


def test_scenes_with_pictures_come_first_and_sheets_alone_are_not_folded_up(site):
    _, folder = site
    indoor = next(folder.glob("boards/indoor*.html")).read_text()
    scenes = re.findall(r'<a href="\.\./(scenes/[^"]*)">(<img)?', indoor)
    assert scenes
    assert [bool(picture) for _, picture in scenes] == sorted((bool(picture) for _, picture in scenes), reverse=True)
    assert all("<details open><summary>Pictures of" in (folder / scene).read_text() for scene, _ in scenes)
    assert "1 entries" not in (folder / "index.html").read_text()


def test_geometry_is_a_script_that_the_page_names(site):
    _, folder = site
    scene = next(file for file, links in pages(folder).items() if "face" in file.name and file.parent.name == "scenes")
    (name,) = re.findall(r'data-geometry="([0-9a-f]{16})"', scene.read_text())
    script = (folder / f"geometry/{name}.js").read_text()
    data = json.loads(script.removeprefix(f'deep3dmapSite.receive("{name}", ').removesuffix(");\n"))
    assert [mesh["title"] for mesh in data["meshes"]][-1] == "truth"
    assert data["meshes"][0]["note"] == "showing 1,280 of 412,003 triangles"


def test_places_on_this_machine_are_not_published(site):
    store, folder = site
    for file in folder.rglob("*.html"):
        assert store.uri not in file.read_text()


def test_names_that_are_markup_stay_text(tmp_path):
    export(build_hostile_store(tmp_path / "store"), tmp_path / "site")
    found = pages(tmp_path / "site")
    assert len(found) > 5
    for file, links in found.items():
        assert not any(name.startswith("on") for _, attributes in links.tags for name in attributes), file
        assert {address for address in links.found if "://" in address} == set()
    index = (tmp_path / "site/index.html").read_text()
    assert "&lt;img src=x onerror" in index
    assert not (tmp_path / "etc").exists()


def test_empty_store_gives_a_page_that_says_so(tmp_path):
    (tmp_path / "store").mkdir()
    export(ResultStore(str(tmp_path / "store")), tmp_path / "site")
    assert "No results yet" in (tmp_path / "site/index.html").read_text()


def test_what_all_runs_of_a_board_have_is_read_together(tmp_path, monkeypatch):
    store, asked = build_store(tmp_path / "store", seeds=3, scenes=2), []
    for name in ("metrics", "curves"):
        own = getattr(store, name)
        monkeypatch.setattr(store, name, lambda runs, name=name, own=own: asked.append(name) or own(runs))
    export(store, tmp_path / "site")
    assert sorted(asked) == ["curves"] * 2 + ["metrics"] * 2


def test_what_is_kept_once_is_counted_once(tmp_path):
    store = build_kept_store(tmp_path / "store", seeds=2, scenes=2)
    said = export(store, tmp_path / "site")
    size = sum(file.stat().st_size for file in (tmp_path / "site").rglob("*") if file.is_file() and file.name != MARK)
    assert f"{size / 1e6:.1f} MB" in said


def test_of_long_boards_the_first_entries_and_runs_are_shown_and_the_rest_is_folded(tmp_path, monkeypatch):
    monkeypatch.setattr("deep3dmap.results.html_page.ROWS_SHOWN", 2)
    monkeypatch.setattr("deep3dmap.dashboard.site.board_page.RUNS_SHOWN", 2)
    monkeypatch.setattr("deep3dmap.dashboard.site.scene_page.ENTRIES_SHOWN", 1)
    store = build_kept_store(tmp_path / "store", seeds=2, scenes=2)
    export(store, tmp_path / "site")
    board = next(text for file in (tmp_path / "site/boards").iterdir() if "prnet/wide" in (text := file.read_text()))
    shown = re.sub(r"<details>.*?</details>", "", board, flags=re.DOTALL)
    assert shown.count('<a href="../runs/') == 2 < board.count('<a href="../runs/')
    assert "more entries" in board
    assert "more runs" in board
    scene = next(iter((tmp_path / "site/scenes").iterdir())).read_text()
    assert "more entries are listed on the leaderboard page" in scene
    assert scene.partition("</thead>")[0].count("<th>") == 2


def test_facts_are_words_and_no_place_of_the_machine(site):
    store, folder = site
    run = store.runs()[lambda runs: runs.suite != ""].iloc[0]
    text = (folder / f"runs/{run.run_id}.html").read_text()
    assert f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC" in text
    facts = text.partition("How it was made")[2].partition("<details>")[0]
    assert "{" not in facts


def test_the_configuration_of_a_run_does_not_name_the_store(tmp_path):
    store = ResultStore(str(tmp_path / "store"))
    run = run_row(ENTRANTS[0], 0, config=json.dumps({"results": "/home/somebody/store", "method": {"width": 8}}))
    store.write_attempt(run, metric_rows(run, ENTRANTS[0], 2), [])
    export(store, tmp_path / "site")
    text = (tmp_path / f"site/runs/{run.run_id}.html").read_text()
    assert "width" in text
    assert "somebody" not in text


def test_second_export_replaces_its_own_files_and_leaves_others(tmp_path):
    store = build_kept_store(tmp_path / "store", seeds=2, scenes=2)
    export(store, tmp_path / "site")
    (tmp_path / "site/CNAME").write_text("mine")
    before = set((tmp_path / "site").rglob("runs/*.html"))
    export(build_store(tmp_path / "other", seeds=1, scenes=1), tmp_path / "site")
    after = set((tmp_path / "site").rglob("runs/*.html"))
    assert after < before
    assert not list((tmp_path / "site").rglob("geometry/*.js"))
    assert (tmp_path / "site/CNAME").read_text() == "mine"


def test_same_store_gives_the_same_bytes(tmp_path):
    store = build_kept_store(tmp_path / "store", seeds=1, scenes=2)
    for name in ("one", "two"):
        export(store, tmp_path / name)
    files = [file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*") if file.is_file()]
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


@pytest.mark.parametrize(
    ("mark", "content"),
    [(None, ""), (MARK, "{"), (MARK, '{"files": "all"}'), (MARK, '{"files": ["../precious"]}'), (MARK, '{"files": [3]}')],
)
def test_folder_of_somebody_else_is_refused_in_one_line(mark, content, tmp_path, capsys):
    (tmp_path / "store").mkdir()
    (tmp_path / "precious").write_text("mine")
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.tex").write_text("mine")
    if mark:
        (taken / mark).write_text(content)
    assert main([str(tmp_path / "store"), str(taken)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"--export {taken}" in told
    assert (taken / "thesis.tex").read_text() == "mine"
    assert (tmp_path / "precious").exists()


def test_file_instead_of_a_folder_is_refused(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        export(ResultStore(str(tmp_path / "store")), tmp_path / "file")


def test_verb_becomes_the_export(tmp_path, monkeypatch):
    calls = []

    def become(*call):
        calls.append(call)
        raise SystemExit

    monkeypatch.setattr("os.execve", become)
    store = build_store(tmp_path, seeds=1, scenes=1)
    with pytest.raises(SystemExit):
        dashboard.main([f"results={tmp_path}", "--export", "site"])
    assert calls[0][1] == [sys.executable, "-P", "-m", "deep3dmap.dashboard.site", store.uri, "site"]
