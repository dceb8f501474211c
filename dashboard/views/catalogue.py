"""The catalogue page: the cards of the methods, datasets and suites that the store's results come from."""

import re
from typing import Any

import pandas as pd
import streamlit as st

from deep3dmap.dashboard import reading
from deep3dmap.dashboard.look import arrow, nothing_yet

KINDS = {"method": "Methods", "dataset": "Datasets", "suite": "Suites"}
# A README's pictures lie beside it in the sources, which a page that reads tables does not have.
LOCAL_PICTURE = re.compile(r"!\[([^\]]*)\]\((?!https?:)[^)]*\)")
HEADING = re.compile(r"^#(#*) ", re.MULTILINE)


def show() -> None:
    """Show the page."""
    found = {kind: reading.cards(kind) for kind in KINDS}
    if not any(found.values()):
        nothing_yet(reading.store_uri())
        return
    st.header("Catalogue")
    for tab, (kind, label) in zip(st.tabs(list(KINDS.values())), KINDS.items()):
        with tab:
            _kind(kind, label, found[kind])


def _kind(kind: str, label: str, pages: dict[str, dict[str, Any]]) -> None:
    if not pages:
        st.caption(f"The store holds no cards of {label.lower()}.")
        return
    name = str(st.selectbox(label, sorted(pages), key=f"catalogue {kind}", label_visibility="collapsed"))
    page = pages.get(name)
    if page is None:
        return
    st.subheader(name)
    card = page.get("card", {})
    st.write(card.get("title", ""))
    (_suite if kind == "suite" else _fields)(card)
    _options(page)
    if page.get("readme"):
        with st.expander("README", expanded=True):
            st.markdown(_readme(page["readme"]))


def _fields(card: dict[str, Any]) -> None:
    lines = {
        name.replace("_", " "): _text(value) for name, value in card.items() if name != "title" and value not in ("", [], None)
    }
    st.table(pd.DataFrame({"field": lines.keys(), "value": lines.values()}).set_index("field"))


def _suite(card: dict[str, Any]) -> None:
    task = card.get("task", {})
    st.write(
        f"**Given** {_text(task.get('given', []))}. **Wanted** {_text(task.get('wanted', []))}: {task.get('meaning', '')}."
    )
    metrics = pd.DataFrame(
        [
            {
                "metric": item["name"] + (" (ranks)" if item["name"] == card.get("headline") else ""),
                "unit": item["unit"],
                "better": arrow(item["better"]),
                "meaning": item["meaning"],
            }
            for item in card.get("metrics", ())
        ]
    )
    if len(metrics):
        st.dataframe(metrics, hide_index=True, column_config={"meaning": st.column_config.Column(width="large")})
    st.caption(
        f"Datasets: {_text(card.get('datasets', []))} · protocol {card.get('version', '')} · {card.get('reference', '')}"
    )


def _options(page: dict[str, Any]) -> None:
    if page.get("options"):
        with st.expander("Options"):
            options = pd.DataFrame(page["options"]).astype(str)
            st.dataframe(options, hide_index=True, column_config={"help": st.column_config.Column(width="large")})
    if page.get("variants"):
        with st.expander("Variants"):
            st.json(page["variants"])


def _readme(text: str) -> str:
    """Return a README whose headings stand below those of the page."""
    return HEADING.sub(r"####\1 ", LOCAL_PICTURE.sub(r"*\1*", text))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
