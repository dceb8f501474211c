"""The page of a board: its tables, its scenes and its runs."""

from html import escape

import pandas as pd

from deep3dmap.dashboard.scene_cards import verdict_box
from deep3dmap.dashboard.site.shell import link, page, table
from deep3dmap.dashboard.verdicts import names_of, verdict
from deep3dmap.results import html_page
from deep3dmap.results.board import Board

VERDICTS, RUNS_SHOWN = 6, 50


def board_page(title: str, found: list[Board], scenes: str, runs: pd.DataFrame) -> str:
    """Return the page of a group. found: its boards, the headline metric first. scenes: HTML. runs: rows of its runs."""
    first, *rest = found
    meaning = str(first.card.get("meaning", ""))
    parts = [f"<p><b>{escape(first.metric)}</b>: {escape(meaning)}</p>" if meaning else "", html_page.section(first)]
    parts += [_verdicts(first), scenes]
    if rest:
        inner = "".join(html_page.section(board) for board in rest)
        parts.append(f"<h2>Further metrics</h2><details><summary>{len(rest)} tables</summary>{inner}</details>")
    parts.append(f"<h2>Runs</h2>{_runs(first, runs)}")
    return page(title, "".join(parts), 1, trail=[("index.html", "Results")])


def _verdicts(board: Board) -> str:
    """Return verdicts on the first entry compared with the following ones."""
    found = [verdict(board, 0, place) for place in range(1, min(len(board.rows), VERDICTS + 1)) if place in board.compared]
    if not found or 0 not in board.compared:
        return ""
    boxes = "".join(verdict_box(one.kind, one.words, one.details) for one in found)
    return f"<h2>First entry compared with the others</h2>{boxes}"


def _runs(board: Board, runs: pd.DataFrame) -> str:
    lines, few = [], runs[["run_id", "seed", "status", "started_at"]]
    for row, name in zip(board.rows, names_of(board.rows)):
        own = few[few.run_id.isin(row.run_ids)].sort_values("seed")
        for run in own.itertuples():
            address = link(f"../runs/{run.run_id}.html", str(run.run_id)[:8])
            lines.append([address, escape(name), str(run.seed), escape(str(run.status)), f"{run.started_at:%Y-%m-%d}"])
    # The links are in the first column, so that a narrow screen shows them.
    heads, more = ("Run", "Method", "Seed", "Status", "Started"), len(lines) - RUNS_SHOWN
    rest = f"<details><summary>{more} more runs</summary>{table(heads, lines[RUNS_SHOWN:])}</details>" if more > 0 else ""
    return table(heads, lines[:RUNS_SHOWN]) + rest
