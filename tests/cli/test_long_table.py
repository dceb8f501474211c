"""The long table of the leaderboard: what is folded, what is never cut, and the same layout as in rich."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from deep3dmap.cli.long_table import Line, print_long

HEADS = ("#", "name", "inputs", "value")
TEXTS = {"name": 30, "inputs": 100}
ROWS = [("1", "short/one", "image", "0.5"), ("12", "another/one", "images, depths, poses", "-1234.5"), ("-", "c/d", "", "")]


def printed(rows: list[Line], width: int = 100, heads: tuple[str, ...] = HEADS) -> list[str]:
    stream = io.StringIO()
    print_long(Console(file=stream, width=width), heads, rows, TEXTS)
    return stream.getvalue().splitlines()


def test_what_fits_stands_where_rich_puts_it() -> None:
    made, stream = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0)), io.StringIO()
    for head in HEADS:
        made.add_column(head, justify="left" if head in TEXTS else "right")
    for row in ROWS:
        made.add_row(*row)
    Console(file=stream, width=100).print(made)
    assert printed([Line(row) for row in ROWS]) == [line.rstrip() for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("width", [30, 36, 40, 45])
def test_inputs_are_folded_between_words_before_a_name_is_and_numbers_never(width: int) -> None:
    lines = printed([Line(row) for row in ROWS], width)
    assert max(map(len, lines)) <= max(width, 34)
    assert any(line.endswith("-1234.5") for line in lines)
    words = " ".join(lines).split()
    assert {"images,", "depths,", "poses"} <= set(words)
    assert any("another/one" in line for line in lines)


def test_a_long_name_is_broken_after_a_slash_and_nothing_of_it_is_lost() -> None:
    name = "a_method_with_a_long_name/and_a_variant"
    lines = printed([Line(("1", name, "image", "1.0"))])
    assert lines[1].split() == ["1", "a_method_with_a_long_name/", "image", "1.0"]
    assert lines[2].split() == ["and_a_variant"]


@pytest.mark.parametrize("name", ["x" * 50, "\u6f22\u5b57" * 20, "e\u0301" * 40])
def test_whole_names_are_there_and_columns_in_line_whatever_their_letters(name: str) -> None:
    first, *rest = printed([Line(("1", name, "image", "1.0")), Line(("2", "b", "image", "2.0"))])[1:]
    cells = [first.partition("image")[0].removeprefix("1").strip(), *(line.strip() for line in rest[:-1])]
    assert "".join(cells) == name
    places = {cell_len(line.partition("image")[0]) for line in (first, rest[-1])}
    assert len(places) == 1


def test_a_note_stands_below_the_name_and_what_looks_like_markup_is_text() -> None:
    lines = printed([Line(("1", "[red]a[/red]/b", "image", "1.0"), note="baseline, cut short")])
    assert "[red]a[/red]/b" in lines[1]
    assert lines[2] == "     baseline, cut short"


def test_a_row_has_its_style_on_a_terminal() -> None:
    stream = io.StringIO()
    out = Console(file=stream, width=100, force_terminal=True, color_system="standard")
    print_long(out, HEADS, [Line(ROWS[0], style="bold"), Line(ROWS[1], note="baseline")], TEXTS)
    _, first, second, third = stream.getvalue().splitlines()
    assert first.startswith("\x1b[1m")
    assert "\x1b" not in second
    assert third.startswith("\x1b[2m")
