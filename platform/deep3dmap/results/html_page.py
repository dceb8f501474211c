"""Export of the leaderboard as one HTML file without scripts or external requests, with a light and a dark theme."""

from collections.abc import Sequence
from html import escape

from deep3dmap.results.board import Board
from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.export import significant
from deep3dmap.results.quoted import Quoted
from deep3dmap.results.row_facts import name_scenes

WIDTH, HEIGHT = 130, 14
# Further rows are collapsed, with a separate scale for their intervals.
ROWS_SHOWN = 50
STYLE = """
:root { color-scheme: light dark; --line: #8884; --mark: light-dark(#0072b2, #56b4e9); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .5rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:nth-child(2), td:nth-child(2), th:last-child, td:last-child { text-align: left; overflow-wrap: break-word; }
th:nth-child(2) { min-width: 9rem; } th:last-child { min-width: 7rem; } td:is(:nth-child(4), :nth-child(8)) { white-space:
nowrap; } table.scenes :is(th, td):last-child { text-align: right; } tr.first td { font-weight: 600; }
tr.apart { opacity: .65; } .scroll { overflow-x: auto; } svg { fill: var(--mark); stroke: var(--mark); }
small, figcaption { opacity: .75; } tr.quoted td { font-style: italic; opacity: .75; } summary { cursor: pointer; }
"""
COLUMNS = ("#", "Method", "Value", "95 % interval", "", "Median", "IQM", "p", "Seeds", "Scenes", "Seconds", "Inputs")


def to_html(boards: Sequence[Board], title: str = "Leaderboard") -> str:
    """Return a page with one table per board; all names are escaped."""
    body = "".join(section(board) for board in boards) or "<p>No results yet.</p>"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    head = f"<head>{head}{policy}<style>{STYLE}</style></head>"
    return f"<!doctype html><html lang=en>{head}<body><h1>{escape(title)}</h1>{body}</body></html>\n"


def section(board: Board) -> str:
    """Return a board's heading, table, notes and values per scene."""
    group, first = board.group, board.rows[0]
    arrow = {"up": "higher is better", "down": "lower is better"}.get(first.better, "")
    about = f"tier {group.tier}, {group.dataset}/{group.dataset_variant}, data {group.dataset_version}"
    about += f", protocol {group.protocol_version}"
    unit = f" ({first.unit})" if first.unit else ""
    more = len(board.rows) - ROWS_SHOWN
    rest = f"<details><summary>{more} more entries</summary>{_table(board.rows[ROWS_SHOWN:])}</details>" if more > 0 else ""
    notes = "".join(f"<br>{escape(note)}" for row in board.rows for note in _notes(row))
    notes += "".join(f"<br>{escape(one.method)}, quoted: {escape(one.provenance)}" for one in board.quoted)
    return (
        f"<h2>{escape(group.suite)}: {escape(board.metric + unit)}</h2><p><small>{escape(about)}; {arrow}</small></p>"
        f"{_table(board.rows[:ROWS_SHOWN], board.quoted)}{rest}"
        "<p><small>Entries with the same rank do not differ significantly. "
        f"p: compared with the first entry, adjusted for all pairs.{notes}</small></p>"
        f"{_scenes(board)}"
    )


def _table(rows: Sequence[LeaderboardRow], quoted: Sequence[Quoted] = ()) -> str:
    heads, span = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS), _span(rows)
    lines = "".join(_line(row, *span) for row in rows) + "".join(_quoted_line(one) for one in quoted)
    return f"<div class=scroll><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"


def _line(row: LeaderboardRow, low: float, high: float) -> str:
    name = f"{row.method}/{row.variant}" + " (baseline)" * row.is_baseline + " (cut short)" * row.is_cut_short
    interval = "" if row.low is None else f"{significant(row.low)} – {significant(row.high)}"
    cells = [
        "–" if row.rank is None else str(row.rank),
        escape(name),
        significant(row.value) or "–",
        interval,
        _bar(row, low, high),
        significant(row.median),
        significant(row.interquartile_mean),
        "" if row.p_value is None else f"{row.p_value:.2g}",
        f"{row.seeds}{'?' if row.is_provisional and row.seeds else ''}",
        row.coverage,
        significant(row.seconds, 3),
        escape(row.given),
    ]
    kind = "first" if row.rank == 1 else "apart" if row.rank is None else ""
    return f"<tr class={kind or 'other'}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _quoted_line(quoted: Quoted) -> str:
    cells = ["–", f"{escape(quoted.method)} (quoted, {quoted.gap})", quoted.shown, *[""] * (len(COLUMNS) - 3)]
    return "<tr class=quoted>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _span(rows: Sequence[LeaderboardRow]) -> tuple[float, float]:
    ends = [end for row in rows for end in (row.low, row.value, row.high) if end is not None]
    return min(ends, default=0.0), max(ends, default=0.0)


def _bar(row: LeaderboardRow, low: float, high: float) -> str:
    if row.value is None:
        return ""
    scale = (WIDTH - 8) / ((high - low) or 1.0)
    begin, middle, end = (4 + scale * ((row.value if x is None else x) - low) for x in (row.low, row.value, row.high))
    line = f'<line x1="{begin:.1f}" x2="{end:.1f}" y1="7" y2="7"/>'
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img">{line}<circle cx="{middle:.1f}" cy="7" r="3"/></svg>'


def _notes(row: LeaderboardRow) -> list[str]:
    name = f"{row.method}/{row.variant}"
    missing = f"not scored on {name_scenes(row.missing_scenes)}" if row.missing_scenes else ""
    failed = f"{row.failed} failed" if row.failed else ""
    return [f"{name}: {text}" for text in (", ".join(filter(None, [failed, row.error])), missing, row.note) if text]


def _scenes(board: Board) -> str:
    if len(board.scenes) < 2:
        return ""
    heads = "".join(f"<th>{escape(f'{row.method}/{row.variant}')}</th>" for row in board.rows)
    lines = "".join(
        f"<tr><td>{escape(scene)}</td>" + "".join(f"<td>{_number(value)}</td>" for value in values) + "</tr>"
        for scene, values in zip(board.scenes, board.per_scene.T)
    )
    table = f"<table class=scenes><thead><tr><th>Scene</th>{heads}</tr></thead><tbody>{lines}</tbody></table>"
    return f"<details><summary>Values per scene, mean over seeds</summary><div class=scroll>{table}</div></details>"


def _number(value: float) -> str:
    return significant(value) if value == value else "–"
