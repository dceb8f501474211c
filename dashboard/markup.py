"""Building blocks of HTML; all values from the store are escaped, and nothing refers to external resources."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from deep3dmap.dashboard.look import LONGEST_NAME, one_line, replace_direction_controls
from deep3dmap.results.schema import ENDED_EARLY


@dataclass(frozen=True)
class Column:
    """A column of a table.

    kind: CSS classes, such as `number`, `wide` (hidden on a phone) or `bar`. help: tooltip of the heading.
    """

    title: str
    kind: str = ""
    help: str = ""


def show(*parts: str) -> None:
    """Show pieces of HTML one below the other."""
    st.html("".join(parts))


def text(value: Any) -> str:
    """Return a value as escaped text."""
    return escape(replace_direction_controls(str(value)))


def name(value: Any) -> str:
    """Return a name as HTML with line breaks allowed after separators; the middle of a long name is elided."""
    return breakable(one_line(value, LONGEST_NAME))


def breakable(value: str) -> str:
    """Return text as HTML with line breaks allowed after separators."""
    return re.sub(r"([/_.·-])", r"\1<wbr>", text(value))


def element(tag: str, content: str, kind: str = "", hint: str = "") -> str:
    """Return an element. content: HTML. kind: CSS classes. hint: tooltip."""
    about = (f' class="{escape(kind)}"' if kind else "") + (f' title="{escape(hint)}"' if hint else "")
    return f"<{tag}{about}>{content}</{tag}>"


def heading(title: Any, *lines: str) -> str:
    """Return the heading of a page. lines: HTML, shown in small type below the title."""
    return f"<header class=d3-head><h1>{text(title)}</h1>{''.join(f'<p>{line}</p>' for line in lines if line)}</header>"


def section(title: Any, note: str = "") -> str:
    """Return the heading of a section. note: text shown next to the title."""
    return f"<h2 class=d3-section>{text(title)}{f' <small>{text(note)}</small>' if note else ''}</h2>"


def note(content: str) -> str:
    """Return a separate line in small type. content: HTML."""
    return element("p", content, "d3-note")


def link(page: str, content: str, kind: str = "", /, **query: Any) -> str:
    """Return a link to another page of the app. content: HTML. kind: a CSS class."""
    style = f' class="{escape(kind)}"' if kind else ""
    return f'<a{style} href="{escape(page + ("?" + urlencode(query) if query else ""))}" target="_self">{content}</a>'


def board_link(of: Any, content: str, kind: str = "") -> str:
    """Return a link to a leaderboard. of: a group, or the row of a run. content: HTML. kind: a CSS class."""
    return link("leaderboard", content, kind, suite=of.suite, tier=of.tier, dataset=f"{of.dataset}/{of.dataset_variant}")


def tag(word: Any, kind: str = "", hint: str = "") -> str:
    """Return a word in a small frame. kind: CSS classes. hint: tooltip."""
    return element("span", text(word), f"d3-tag {kind}".strip(), hint)


def status(word: str) -> str:
    """Return the status of a run with a coloured dot."""
    kind = "" if word == "ok" else word if word in ("running", "pending", *ENDED_EARLY) else "failed"
    return f'<span class="d3-dot {kind}"></span>{text(word)}'


def facts(values: Mapping[str, str]) -> str:
    """Return a list of values, each with its name above it. values: HTML."""
    items = "".join(f"<div><dt>{text(name)}</dt><dd>{value}</dd></div>" for name, value in values.items())
    return f"<dl class=d3-facts>{items}</dl>"


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], kinds: Iterable[str] = (), name: str = "", kind: str = ""
) -> str:
    """Return a table.

    rows: HTML of the cells. kinds: CSS classes of the rows. name: label for screen readers. kind: CSS class of the table,
    "first-stays" to keep the first column visible while scrolling.
    """
    heads = "".join(element("th", breakable(column.title), column.kind, column.help) for column in columns)
    marks = iter(kinds)
    lines = "".join(
        f'<tr class="{next(marks, "")}">' + "".join(element("td", cell, own.kind) for own, cell in zip(columns, row)) + "</tr>"
        for row in rows
    )
    label = f' aria-label="{escape(name)}"' if name else ""
    head = f"<thead><tr>{heads}</tr></thead>"
    return f'<div class=d3-scroll><table class="d3-table {kind}"{label}>{head}<tbody>{lines}</tbody></table></div>'


def definition_table(values: Mapping[Any, Any]) -> str:
    """Return a table with one row per name and value."""
    lines = "".join(f"<tr><th>{text(name)}</th><td>{text(value)}</td></tr>" for name, value in values.items())
    return f"<div class=d3-scroll><table class='d3-table d3-pairs'><tbody>{lines}</tbody></table></div>"


def bar(low: float | None, value: float | None, high: float | None, ends: tuple[float, float], kind: str = "") -> str:
    """Return a drawing of a value and its interval on a line from ends[0] to ends[1], to which values beyond it are clipped."""
    if value is None:
        return ""
    span = (ends[1] - ends[0]) or 1.0
    places = [100 * ((value if x is None else x) - ends[0]) / span for x in (low, value, high)]
    begin, middle, end = (min(max(place, 0.0), 100.0) for place in places)
    line = f'<i style="left:{begin:.2f}%;width:{end - begin:.2f}%"></i>'
    beyond = "" if middle == places[1] else "beyond"
    return f'<span class="d3-bar {kind} {beyond}">{line}<b style="left:{middle:.2f}%"></b></span>'


def share(part: float) -> str:
    """Return a progress bar for a share in [0, 1]."""
    return f'<span class="d3-share"><i style="width:{100 * min(max(part, 0.0), 1.0):.1f}%"></i></span>'
