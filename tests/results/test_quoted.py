"""Published values are shown alongside measured ones, are marked as quoted, and name their source."""

import json

import pytest
from stores import build_store

from deep3dmap.cli import main
from deep3dmap.core import UserError, suites
from deep3dmap.results.export import to_json, to_latex
from deep3dmap.results.html_page import to_html
from deep3dmap.results.leaderboard import boards, collect_quoted_values
from deep3dmap.results.quoted import as_page, quoted_of, read_quoted
from deep3dmap.runs.stored_cards import quoted_values

ENTRY = {
    "method": "Paper_Net <1>",
    "metric": "nme_68_2d",
    "value": 3.62,
    "gap": {"heads": "data", "aflw2000": "untested"},
    "source": "Somebody et al., 2018",
    "data": "2000 photographs",
    "protocol": "mean of bins",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = build_store(tmp_path_factory.mktemp("store"), seeds=1, scenes=3)
    page = store.cards("suite")["face"]
    store.write_card("suite", "face", "1", {**page, "quoted": as_page(read_quoted([ENTRY], "suite.yaml"))})
    return store


def test_each_dataset_has_a_gap_of_its_own():
    page = {"quoted": as_page(read_quoted([ENTRY], "suite.yaml"))}
    assert [one.gap for one in quoted_of(page, "heads", "nme_68_2d")] == ["data"]
    assert [one.gap for one in quoted_of(page, "aflw2000", "nme_68_2d")] == ["untested"]
    assert quoted_of(page, "heads", "pose_mae") == quoted_of({}, "heads", "nme_68_2d") == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gap": {"heads": "dato"}}, "unknown gap in suite.yaml: quoted value 1 'dato'; did you mean 'data'"),
        ({"gap": "data"}, "quoted value 1: gap must map each dataset"),
        ({"value": "3.62"}, "value=3.62: must be a number"),
        ({"year": 2018}, "quoted value 1: the fields must be data, gap, method, metric, protocol, source, value"),
    ],
)
def test_mistakes_are_told_with_their_place(changes, message):
    with pytest.raises(UserError, match=message):
        read_quoted([{**ENTRY, **changes}], "suite.yaml")
    with pytest.raises(UserError, match=r"suite.yaml: quoted must be a list"):
        read_quoted({**ENTRY}, "suite.yaml")


def test_the_terminal_shows_them_apart_and_with_their_source(store, capsys):
    assert main(["leaderboard", f"results={store.uri}", "--suite", "face"]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    place = next(number for number, line in enumerate(lines) if line.strip().startswith("Paper_Net <1>"))
    assert lines[place].endswith("  3.62")
    assert lines[place + 1].strip() == "quoted"
    told = "Paper_Net <1>, quoted (data): Somebody et al., 2018; 2000 photographs; mean of bins; different data"
    assert told in " ".join(text.split())
    assert main(["leaderboard", f"results={store.uri}", "--suite", "indoor"]) == 0
    assert "quoted" not in capsys.readouterr().out


def test_the_exports_show_them_apart(store):
    found = boards(store)
    rows = [row for board in found for row in board.rows]
    assert all(row.method != ENTRY["method"] for row in rows)
    read = json.loads(to_json(rows, collect_quoted_values(found)))["quoted"]
    assert [(one["suite"], one["dataset"], one["method"], one["value"], one["gap"]) for one in read] == [
        ("face", "heads", ENTRY["method"], 3.62, "data")
    ]
    latex = to_latex(rows, collect_quoted_values(found))
    assert r"-- & \emph{Paper\_Net <1> (quoted, data: Somebody et al., 2018)} & & 3.62 &" in latex
    assert latex.count(r"\midrule") == 3
    page = to_html(found)
    assert "Paper_Net &lt;1&gt; (quoted, data)" in page
    assert page.count("<tr class=quoted>") == 1
    assert "Paper_Net &lt;1&gt;, quoted: Somebody et al., 2018; 2000 photographs; mean of bins; different data" in page


def test_what_the_suites_quote_is_of_their_metrics_and_datasets():
    found = {name: quoted_values(name) for name in suites.names()}
    assert {one.method for one in found["face"]} >= {"PRNet", "3DDFA"}
    assert {(one.dataset, one.value) for one in found["object"]} == {("blender", 31.01), ("objects", 31.01)}
