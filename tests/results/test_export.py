import csv
import io
import json
import re
from dataclasses import fields, replace

import pytest
from stores import build_store

from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.detail import joined_table, run_detail
from deep3dmap.results.export import significant, to_csv, to_json, to_latex
from deep3dmap.results.html_page import to_html
from deep3dmap.results.leaderboard import boards, leaderboard


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return build_store(tmp_path_factory.mktemp("store"), seeds=2, scenes=5)


@pytest.fixture(scope="module")
def rows(store):
    return leaderboard(store)


def test_json_has_the_documented_shape(rows):
    read = json.loads(to_json(rows))
    assert list(read) == ["suites"]
    assert set(read["suites"]) == {"face", "indoor"}
    first, *_, broken = read["suites"]["face"]
    assert set(first) == {field.name for field in fields(LeaderboardRow)}
    assert (first["method"], first["rank"], first["inputs"]) == ("prnet", 1, ["image", "box"])
    assert isinstance(first["value"], float)
    assert (broken["value"], broken["rank"], broken["seconds"]) == (None, None, None)


def test_json_of_nothing_is_still_of_that_shape():
    assert json.loads(to_json([])) == {"suites": {}}


def test_json_holds_no_nan(rows):
    read = json.loads(to_json([replace(rows[0], seconds=float("nan"))]))
    assert read["suites"]["face"][0]["seconds"] is None


def test_csv_has_a_header_and_a_line_per_row(rows):
    read = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert len(read) == len(rows)
    assert float(read[0]["value"]) == rows[0].value
    assert read[0]["inputs"] == "image box"
    assert {row["value"] for row in read if row["method"] == "broken_net"} == {""}


def test_latex_is_one_booktabs_table_per_group_with_the_first_rank_in_bold(rows):
    text = to_latex(rows)
    assert text.count(r"\toprule") == text.count(r"\end{tabular}") == 2
    assert text.count(r"\textbf{") == sum(row.rank == 1 for row in rows) >= 2
    assert rf"prnet/wide & image, box & \textbf{{{significant(rows[0].value)}}}" in text
    assert r"nme\_68\_2d [\% of sqrt(w h)] $\downarrow$" in text
    assert r"broken\_net/default & image & -- & --" in text
    assert r"mean\_face/default (baseline)" in text


def test_hostile_names_are_text_in_every_format(rows):
    row = replace(rows[0], method=r"=cmd|' /C calc'!A0", variant="x\\input{/etc/passwd}^~", dataset="heads\n\\end")
    (line,) = csv.DictReader(io.StringIO(to_csv([row])))
    assert line["method"] == r"'=cmd|' /C calc'!A0"
    text = to_latex([row])
    assert r"\textbackslash{}input\{/etc/passwd\}\textasciicircum{}\textasciitilde{}" in text
    assert text.splitlines()[0].startswith("% suite face")
    assert text.splitlines()[1].startswith(r"\begin{tabular}")


def test_page_holds_the_numbers_and_no_markup_of_others(store):
    found = boards(store)
    text = to_html(found)
    for row in leaderboard(store):
        assert f"{row.method}/{row.variant}" in text
        assert not row.value or f"<td>{significant(row.value)}</td>" in text
    assert text.count("<table") == 2 * len(found)
    hostile = replace(found[0], rows=[replace(found[0].rows[0], method="<script>alert(1)</script>")], scenes=["<b>", "a"])
    assert "<script" not in to_html([hostile])
    assert "<b>" not in to_html([hostile])
    assert not re.search(r"(src|href)=", text)


def test_latex_of_nothing_is_empty():
    assert to_latex([]) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.0, "0"),
        (3.14159, "3.142"),
        (99.996, "100.0"),
        (-0.0421234, "-0.04212"),
        (123456.7, "123457"),
        (1.5e-7, "1.500e-07"),
        (2e9, "2.000e+09"),
        (float("inf"), "inf"),
    ],
)
def test_four_significant_digits(value, text):
    assert significant(value) == text


def test_joined_table_has_a_row_per_run_scene_and_metric(store):
    table = joined_table(store)
    assert len(table) == 6 * (2 * 5 + 1) + 4 * 2 * 5 + 2
    assert table.metric.isna().sum() == 2
    prnet = table[(table.variant == "mini") & (table.seed == 0)]
    assert set(prnet.scene) == {"", *(f"scene_0{i}" for i in range(5))}


def test_detail_of_a_run_is_plain_data(store):
    runs = store.runs()
    run_id = runs[(runs.method == "prnet") & (runs.seed == 0)].run_id.iloc[0]
    detail = json.loads(json.dumps(run_detail(store, run_id)))
    assert detail["facts"]["method"] == "prnet"
    assert detail["facts"]["inputs"] == "image, box"
    assert len(detail["metrics"]) == 6
    assert detail["units"]["pose_mae"] == "degrees"
    assert len(detail["pictures"]) == 4
    assert detail["error"] == ""
    assert detail["config"]["trainer"]["engine"] == "auto"


def test_detail_of_an_unknown_run(store):
    with pytest.raises(KeyError):
        run_detail(store, "nothing")
