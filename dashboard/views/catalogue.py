"""The catalogue page: cards of the methods, datasets, suites and metrics behind the results in the store."""

import re
from typing import Any

import streamlit as st

from deep3dmap.dashboard import markup, reading
from deep3dmap.dashboard.look import arrow, one_line, show_empty_store
from deep3dmap.dashboard.markup import Column
from deep3dmap.dashboard.plugins import findings
from deep3dmap.dashboard.views.filters import URL

KINDS = {"method": "Methods", "dataset": "Datasets", "suite": "Suites", "metric": "Metrics", "installed": "Installed here"}
# Pictures in a README are removed: relative ones are only available in the sources, and external ones must not be fetched.
PICTURE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
HTML = re.compile(r"<(?=[a-zA-Z/!])")
HEADING = re.compile(r"^#(#*) ", re.MULTILINE)


def show() -> None:
    """Show the page."""
    found = {kind: reading.cards(kind) for kind in ("method", "dataset", "suite")}
    if not any(found.values()) and reading.snapshot().runs().empty:
        show_empty_store(reading.store_uri())
        return
    markup.show(markup.heading("Catalogue", "Methods, datasets, suites and metrics at the time the results were produced."))
    labels = list(KINDS.values())
    label = st.segmented_control("Kind", labels, default=labels[0], key="kind", bind=URL, label_visibility="collapsed")
    kind = next((kind for kind, own in KINDS.items() if own == label), "method")
    if kind == "metric":
        _metrics(found["suite"])
    elif kind == "installed":
        _installed()
    else:
        _cards(kind, found[kind])


def _cards(kind: str, pages: dict[str, dict[str, Any]]) -> None:
    if not pages:
        st.caption(f"The store contains no cards of {KINDS[kind].lower()}.")
        return
    name = str(st.selectbox(KINDS[kind], sorted(pages), key=kind, bind=URL, format_func=one_line, label_visibility="collapsed"))
    page = pages[name]
    card = page.get("card", {})
    markup.show(markup.section(name, card.get("title", "")))
    (_suite if kind == "suite" else _fields)(card)
    _options(page)
    if page.get("readme"):
        with st.expander("README", expanded=True):
            st.markdown(readme(page["readme"]))


def _fields(card: dict[str, Any]) -> None:
    kept = {name: value for name, value in card.items() if name not in ("title", "metrics") and value not in ("", [], None)}
    markup.show(markup.definition_table({name.replace("_", " "): _text(value) for name, value in kept.items()}))


def _suite(card: dict[str, Any]) -> None:
    task = card.get("task", {})
    about = {
        "given": _text(task.get("given", [])),
        "wanted": _text(task.get("wanted", [])),
        "meaning": task.get("meaning", ""),
        "datasets": _text(card.get("datasets", [])),
        "protocol": card.get("version", ""),
        "reference": card.get("reference", ""),
    }
    markup.show(markup.definition_table({name: value for name, value in about.items() if value}))
    lines = [_metric(item, item["name"] == card.get("headline")) for item in card.get("metrics", ())]
    markup.show(markup.table(METRIC, lines, name="metrics"))


METRIC = (Column("metric", "name"), Column("unit"), Column("better", "wide"), Column("meaning"))


def _metric(item: dict[str, Any], ranks: bool) -> list[str]:
    name = markup.name(item["name"]) + (markup.tag("ranks", "good", "the suite ranks by this metric") if ranks else "")
    return [name, markup.text(item.get("unit", "")), arrow(item.get("better", "")), markup.text(item.get("meaning", ""))]


def _metrics(suites: dict[str, dict[str, Any]]) -> None:
    lines = []
    for suite, page in sorted(suites.items()):
        card = page.get("card", {})
        for item in card.get("metrics", ()):
            link = markup.link("leaderboard", markup.name(suite), suite=suite, metric=item["name"])
            lines.append([link, *_metric(item, item["name"] == card.get("headline"))])
    markup.show(markup.table((Column("suite", "name"), *METRIC), lines, name="metrics of all suites"))


def _options(page: dict[str, Any]) -> None:
    if page.get("options"):
        with st.expander("Options"):
            names = list(page["options"][0])
            columns = [Column(name, "name" if name == "name" else "") for name in names]
            lines = [[markup.text(option.get(name, "")) for name in names] for option in page["options"]]
            markup.show(markup.table(columns, lines, name="options"))
    if page.get("variants"):
        with st.expander("Variants"):
            for name, values in page["variants"].items():
                flat = values if isinstance(values, dict) else {"": values}
                markup.show(markup.section(name), markup.definition_table(flat))


def _installed() -> None:
    st.caption(
        "Loads every method, dataset and suite installed on the machine that serves this page, and reports what does not work."
    )
    if not st.button("Check", key="look"):
        return
    with st.spinner("Loading everything that is installed"):
        found = sorted(findings(), key=lambda one: one["works"])
    columns = [Column("component", "name"), Column(""), Column("found"), Column("fix", "wide")]
    markup.show(markup.table(columns, [_finding(one) for one in found], name="installed components"))


def _finding(one: dict[str, Any]) -> list[str]:
    state = markup.tag("works", "good") if one["works"] else markup.tag("broken", "warn")
    return [markup.name(one["what"]), state, markup.text(one["detail"]), "" if one["works"] else markup.text(one["remedy"])]


def readme(text: str) -> str:
    """Return a README with its headings lowered to fit the page, and without pictures and HTML."""
    return HEADING.sub(r"####\1 ", HTML.sub("&lt;", PICTURE.sub(r"*\1*", text)))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
