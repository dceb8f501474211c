"""Writes the site: an index and a page for each board, scene and run."""

from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from deep3dmap.dashboard import scene_cards
from deep3dmap.dashboard.markup import breakable
from deep3dmap.dashboard.site.board_page import board_page
from deep3dmap.dashboard.site.folder import SiteFolder
from deep3dmap.dashboard.site.run_page import run_page
from deep3dmap.dashboard.site.scene_page import ScenePages
from deep3dmap.dashboard.site.shell import page, slug
from deep3dmap.dashboard.verdicts import headline_first, names_of, unit_suffix
from deep3dmap.dashboard.viewer3d.component import SCRIPTS, STYLE, static_file
from deep3dmap.results import html_page
from deep3dmap.results.board import Board
from deep3dmap.results.entries import Group
from deep3dmap.results.export import significant
from deep3dmap.results.leaderboard import boards
from deep3dmap.results.store import ResultStore

EMPTY = "<p>No results yet: this store contains no benchmark results.</p>"
MEGABYTE = 1e6
Suites = dict[str, dict[str, Any]]


def export(store: ResultStore, folder: Path) -> str:
    """Write a store as a site and return a one-line summary; raises UserError if the folder contains other files."""
    site = SiteFolder(folder)
    for name in SCRIPTS:
        site.write(f"static/{name}", static_file(name))
    own = Path(__file__).parent / "static"
    site.write("static/site.js", (own / "site.js").read_text(encoding="utf-8"))
    style = (own / "site.css").read_text(encoding="utf-8")
    site.write("static/site.css", "\n".join((html_page.STYLE, scene_cards.STYLE, static_file(STYLE), style)))
    by_group: dict[Group, list[Board]] = {}
    for board in boards(store, metric="all"):
        by_group.setdefault(board.group, []).append(board)
    runs = store.runs()
    suites = {name: data.get("card", {}) for name, data in store.cards("suite").items()}
    cards = [_group(site, store, runs, found, suites) for found in by_group.values()]
    site.write("index.html", page("Results", f"<div class=site-boards>{''.join(cards)}</div>" if cards else EMPTY))
    site.finish()
    return f"{folder}/index.html: {site.pages()} pages, {site.size / MEGABYTE:.1f} MB"


def _group(site: SiteFolder, store: ResultStore, runs: pd.DataFrame, boards_of: list[Board], suites: Suites) -> str:
    """Write the pages of one group and return its link for the index as HTML."""
    group = boards_of[0].group
    card = suites.get(group.suite, {})
    found = headline_first(boards_of, card)
    address = f"boards/{slug(*vars(group).values())}.html"
    title = str(card.get("title", group.suite))
    trail = [("index.html", "Results"), (address, title)]
    own = runs[runs.run_id.isin({run_id for row in found[0].rows for run_id in row.run_ids})]
    scenes = ScenePages(site, store, own, found, trail)
    # Read all runs at once, to avoid opening a file or segment for each run.
    metrics, curves = store.metrics(own), store.curves(own)
    metrics_of, curves_of = dict(iter(metrics.groupby("run_id"))), dict(iter(curves.groupby("run_id")))
    for _, run in own.iterrows():
        rows = metrics_of.get(run.run_id, metrics[:0]), curves_of.get(run.run_id, curves[:0])
        run_page(site, store, run, *rows, [board.metric for board in found], trail)
    site.write(address, board_page(title, found, scenes.write(), own))
    picture = scenes.picture_of_first()
    image = f'<img src="{escape(picture.removeprefix("../"))}" alt="">' if picture else ""
    count = len(found[0].rows)
    where = f"tier {group.tier} · {group.dataset}/{group.dataset_variant} · {count} {'entry' if count == 1 else 'entries'}"
    words = f"<b>{escape(title)}</b><small>{escape(where)}</small><span>{_first(found[0])}</span>"
    return f'<a href="{escape(address)}">{image}<div>{words}</div></a>'


def _first(board: Board) -> str:
    first = board.rows[0]
    if first.value is None:
        return "no values"
    value = f"{board.metric} {significant(first.value)}{unit_suffix(first.unit)}"
    return f"{breakable(names_of(board.rows)[0])}: {escape(value)}"
