"""Building blocks of HTML: values from a store cannot inject markup, and drawings stay within their bounds."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from deep3dmap.dashboard import markup
from deep3dmap.dashboard.look import axis_title, escape_markdown, memory, one_line, with_unit
from deep3dmap.dashboard.markup import Column

HOSTILE = '"><script>alert(1)</script><img src=x onerror=y>'


class Tags(HTMLParser):
    """Collects elements with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def parsed(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    return tags


@pytest.mark.parametrize(
    "html",
    [
        markup.text(HOSTILE), markup.name(HOSTILE), markup.tag(HOSTILE, "x", HOSTILE), markup.status(HOSTILE),
        markup.heading(HOSTILE), markup.section(HOSTILE, HOSTILE), markup.definition_table({HOSTILE: HOSTILE}),
        markup.link("run", markup.text(HOSTILE), run_id=HOSTILE), markup.facts({HOSTILE: "1"}),
        markup.table([Column(HOSTILE, "name", HOSTILE)], [[markup.name(HOSTILE)]], name=HOSTILE),
    ],
)  # fmt: skip
def test_whatever_a_name_holds_it_stays_text(html: str) -> None:
    tags = parsed(html)
    assert not {"script", "img"} & {tag for tag, _ in tags.seen}
    assert not any(name.startswith("on") for _, attributes in tags.seen for name in attributes)


def test_a_link_carries_its_query_whatever_it_holds() -> None:
    ((_, attributes),) = parsed(markup.link("run", "go", "quiet", run_id="a&b=c d#e", seed=3)).seen
    address = urlparse(attributes["href"])
    assert address.path == "run"
    assert parse_qs(address.query) == {"run_id": ["a&b=c d#e"], "seed": ["3"]}
    assert attributes["class"] == "quiet"
    assert urlparse(parsed(markup.link("home", "go")).seen[0][1]["href"]).query == ""


def test_names_may_break_after_their_separators_and_long_ones_lose_their_middle() -> None:
    assert markup.name("nerf/grid_mini") == "nerf/<wbr>grid_<wbr>mini"
    words = parsed(markup.name("x" * 50 + "y" * 50)).words
    assert len(words) <= 60
    assert words.startswith("x")
    assert words.endswith("y")
    assert "…" in words


@pytest.mark.parametrize(("word", "kind"), [("ok", ""), ("running", "running"), ("stopped", "stopped"), ("exploded", "failed")])
def test_a_run_that_ended_in_any_other_way_failed(word: str, kind: str) -> None:
    assert f'class="d3-dot {kind}"' in markup.status(word)


def test_cells_have_the_kind_of_their_column_and_rows_their_own() -> None:
    html = markup.table([Column("a"), Column("b", "number", "what b is")], [["1", "2"], ["3", "4"]], ["total"], "things")
    seen = parsed(html).seen
    assert [attributes.get("class") for tag, attributes in seen if tag == "td"] == [None, "number"] * 2
    assert [attributes["class"] for tag, attributes in seen if tag == "tr" and "class" in attributes] == ["total", ""]
    assert ("th", {"class": "number", "title": "what b is"}) in seen
    assert any(attributes.get("aria-label") == "things" for _, attributes in seen)


@pytest.mark.parametrize(
    ("values", "line", "dot", "beyond"),
    [
        ((2.0, 4.0, 6.0), "left:20.00%;width:40.00%", "left:40.00%", False),
        ((None, 5.0, None), "left:50.00%;width:0.00%", "left:50.00%", False),
        ((-5.0, 5.0, 25.0), "left:0.00%;width:100.00%", "left:50.00%", False),
        ((11.0, 12.0, 13.0), "left:100.00%;width:0.00%", "left:100.00%", True),
        ((-3.0, -2.0, 1.0), "left:0.00%;width:10.00%", "left:0.00%", True),
    ],
)
def test_a_value_and_its_interval_keep_within_their_line(values: Any, line: str, dot: str, beyond: bool) -> None:
    html = markup.bar(*values, (0.0, 10.0))
    assert f'<i style="{line}">' in html
    assert f'<b style="{dot}">' in html
    assert ("beyond" in html) is beyond


def test_no_value_is_no_drawing_and_equal_ends_are_no_division_by_zero() -> None:
    assert markup.bar(None, None, None, (0.0, 1.0)) == ""
    assert "left:0.00%" in markup.bar(3.0, 3.0, 3.0, (3.0, 3.0))
    assert "width:100.0%" in markup.share(1.7)
    assert "width:0.0%" in markup.share(-0.2)


def test_text_is_no_markdown_and_stands_on_one_line() -> None:
    assert escape_markdown("a_b*c\n[x](http://y)") == r"a\_b\*c \[x\]\(http\:\/\/y\)"
    assert one_line("  several   words\n\there ") == "several words here"
    assert one_line("abcdefghij", 7) == "abc…hij"


def test_titles_of_axes_say_what_is_better() -> None:
    assert with_unit("chamfer", "m") == "chamfer (m)"
    assert axis_title("chamfer", "m", "down") == "chamfer (m), lower is better"
    assert axis_title("psnr", "", "up") == "psnr, higher is better"
    assert axis_title("count", "", "") == "count"


@pytest.mark.parametrize(
    ("megabytes", "text"), [(0, "–"), (None, "–"), (float("nan"), "–"), (512.0, "512 MB"), (2048.0, "2.00 GB")]
)
def test_memory_has_the_unit_one_would_say(megabytes: Any, text: str) -> None:
    assert memory(megabytes) == text
