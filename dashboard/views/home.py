"""The home page: an overview of the store, the newest results with pictures, and how to add more."""

import pandas as pd
import streamlit as st

from deep3dmap.dashboard import markup, reading
from deep3dmap.dashboard.look import number, one_line, with_unit
from deep3dmap.dashboard.run_table import run_table
from deep3dmap.dashboard.views.filters import suite_groups
from deep3dmap.dashboard.views.run_files import picture, sheets_first
from deep3dmap.results.board import Board
from deep3dmap.results.entries import Group
from deep3dmap.results.schema import ENDED_EARLY, SWEEPS

GROUPS_READ, GROUPS_SHOWN, RUNS_SHOWN, PICTURES_SHOWN = 12, 6, 8, 3
MANY_FILES, LONGEST = 1000, 120
# Its size in bytes, the entry, its run, and the name of the picture within the store.
Sheet = tuple[int, str, str, str]


def show() -> None:
    """Show the page."""
    runs = reading.snapshot().runs()
    markup.show(markup.heading("3D reconstruction benchmarks", f"Results in <code>{markup.text(reading.store_uri())}</code>"))
    if runs.empty:
        _empty()
        return
    markup.show(markup.facts(_figures(runs)))
    groups = suite_groups()[:GROUPS_READ]
    if groups:
        cards = "".join(_card(group) for group in groups[:GROUPS_SHOWN])
        markup.show(markup.section("Leaderboards", "newest first"), f"<div class=d3-cards>{cards}</div>")
    _pictures(groups)
    markup.show(markup.section("Newest runs"), run_table(runs.head(RUNS_SHOWN)))
    _show_commands_section()


def _empty() -> None:
    st.write("There are no results yet. The first command produces some in a few minutes:")
    _commands()
    markup.show(markup.note("Runs appear here when they finish; the Live page shows them while they are running."))


def _figures(runs: pd.DataFrame) -> dict[str, str]:
    of_suites = runs[(runs.suite != "") & ~runs.suite.str.startswith(SWEEPS)]
    failed = int((~runs.status.isin(("ok", *ENDED_EARLY))).sum())
    found = {"Runs": f"{len(runs):,}", "Methods": f"{of_suites.method.nunique():,}", "Suites": f"{of_suites.suite.nunique():,}"}
    sweeps = runs[runs.suite.str.startswith(SWEEPS)].suite.nunique()
    found |= {"Sweeps": f"{sweeps:,}"} if sweeps else {}
    found |= {"Failed": f"{failed:,}"} if failed else {}
    return found | {"Newest": f"{runs.started_at.iloc[0]:%Y-%m-%d %H:%M}"}


def _card(group: Group) -> str:
    board = headline(group)
    card = reading.snapshot().suite_card(group.suite)
    first = [row for row in board.rows if row.rank == 1]
    lead = first[0] if first else None
    content = f"<b>{markup.text(one_line(card.get('title', group.suite), LONGEST))}</b>"
    content += markup.element(
        "small", markup.text(" · ".join(filter(None, [group.tier, f"{group.dataset}/{group.dataset_variant}"])))
    )
    if lead:
        more = f", {len(first) - 1} more with the same rank" if len(first) > 1 else ""
        content += f"<div class=lead>{markup.name(f'{lead.method}/{lead.variant}')}</div>"
        content += markup.element("small", markup.text(f"{with_unit(lead.metric, lead.unit)} {number(lead.value)}{more}"))
    entries = f"{len(board.rows)} entries" if len(board.rows) != 1 else "1 entry"
    when = reading.snapshot().groups()[group]
    content += markup.element("small", f"{entries} · {when:%Y-%m-%d}")
    return markup.board_link(group, content, "d3-card")


def headline(group: Group) -> Board:
    """Return the board of a group under its suite's headline metric."""
    return reading.snapshot().board(group, reading.snapshot().metric_names(group)[0])


def _pictures(groups: list[Group]) -> None:
    """Show contact sheets of the best methods of a few groups, preferring sheets with the most detail."""
    sheets = [(group, sheet) for group in groups if (sheet := _sheet(group))]
    # The size of a PNG file is a measure of its detail.
    found = [(group, *sheet[1:]) for group, sheet in sorted(sheets, key=lambda one: -one[1][0])][:PICTURES_SHOWN]
    if not found:
        return
    markup.show(markup.section("Example scenes", "reconstructed by the best method"))
    for place, (group, method, run_id, name) in zip(st.columns(PICTURES_SHOWN, gap="medium"), found):
        with place:
            picture(name, "stretch")
            caption = f"{markup.text(group.suite)}: {markup.link('run', markup.name(method), run_id=run_id)}"
            markup.show(markup.note(caption))


def _sheet(group: Group) -> Sheet | None:
    return reading.snapshot().cached(("sheet", group), lambda: _find_sheet(group))


def _find_sheet(group: Group) -> Sheet | None:
    runs = reading.snapshot().runs()
    ranked = [row for row in headline(group).rows if row.rank is not None]
    for row in sorted(ranked, key=lambda row: row.is_baseline)[:2]:
        own = runs[(runs.run_id == row.run_ids[0]) & (runs.artifacts_uri != "")]
        names = [name for one in reading.pictures_of(own).values() for name in one] if len(own) else []
        if names:
            name = min(names, key=sheets_first)
            storage = reading.open_store().storage
            size = storage.filesystem.get_file_info(storage.path(name)).size or 0
            return size, f"{row.method}/{row.variant}", row.run_ids[0], name
    return None


def _show_commands_section() -> None:
    markup.show(markup.section("Add results"))
    _commands()
    files = reading.open_store().storage.names("tables/runs", ".parquet")
    if len(files) > MANY_FILES:
        markup.show(markup.note(f"{len(files):,} runs are stored in separate files; this command makes the store open faster:"))
        st.code(f"deep3dmap results compact results={reading.store_uri()}", language="bash")


def _commands() -> None:
    uri = reading.store_uri()
    lines = [
        f"deep3dmap benchmark suite=face tier=smoke results={uri}      # a small test run",
        f"deep3dmap benchmark suite=face tier=quick seeds=3 --resume results={uri}",
        f"deep3dmap results merge OTHER results={uri}                  # add the results of another store",
    ]
    st.code("\n".join(lines), language="bash")
