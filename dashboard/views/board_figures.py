"""The figures of a board: quality against cost, intervals, performance profiles, and ranks across suites."""

from collections.abc import Callable, Sequence

import streamlit as st

from deep3dmap.dashboard import markup, reading
from deep3dmap.dashboard.charts import chart
from deep3dmap.dashboard.charts.cost import Point, cost_chart, front_of
from deep3dmap.dashboard.charts.critical import critical_chart
from deep3dmap.dashboard.charts.intervals import interval_chart
from deep3dmap.dashboard.charts.profiles import MOST, profile_chart
from deep3dmap.dashboard.look import axis_title, duration, memory, number, one_line
from deep3dmap.dashboard.views.board_table import entry_names, interval
from deep3dmap.dashboard.views.filters import URL, Choice
from deep3dmap.results.across import Ranking
from deep3dmap.results.board_row import LeaderboardRow

MOST_POINTS, LONGEST = 200, 28


def figures(choice: Choice) -> None:
    """Show a selector of figures and the selected figure."""
    drawn: dict[str, Callable[[Choice], None]] = {
        "Time": lambda own: _cost(own, "time"),
        "Memory": lambda own: _cost(own, "memory"),
        "Intervals": _intervals,
        "Profiles": _profiles,
        "Across suites": _across,
    }
    names = list(drawn)
    picked = st.segmented_control("Figure", names, default=names[0], key="figure", bind=URL, label_visibility="collapsed")
    drawn[picked or names[0]](choice)


def _title_of(row: LeaderboardRow) -> str:
    return axis_title(row.metric, row.unit, row.better)


def _cost(choice: Choice, over: str) -> None:
    points = cost_points(choice.rows, over)
    if not points:
        st.caption("No entry has both a value and a cost.")
        return
    row = choice.rows[0]
    chart.show(cost_chart(points, _title_of(row), row.better, over), f"{row.metric} against {over}")
    note = f"{_front_in_words(points, row.better)} {_measured_on(sorted(_devices(choice)))}"
    markup.show(markup.note(markup.text(note)))


def _front_in_words(points: Sequence[Point], better: str) -> str:
    first = [point for point, is_first in zip(points, front_of(points, better)) if is_first]
    if len({(point.value, point.cost) for point in first}) > 1:
        return "The dashed line is the Pareto front: no other entry is better in both value and cost."
    return f"{first[0].name} is best in both value and cost." if len(points) > 1 and len(first) == 1 else ""


def cost_points(rows: Sequence[LeaderboardRow], over: str) -> list[Point]:
    """Return the ranked entries that have a value and a cost. over: "time" or "memory"."""
    found = []
    for row, name in zip(rows, entry_names(rows)):
        cost = row.seconds if over == "time" else (row.peak_gpu_mb or row.peak_ram_mb)
        if row.value is not None and row.rank is not None and cost:
            cost_text = duration(cost) if over == "time" else memory(cost)
            found.append(Point(one_line(name, LONGEST), row.is_baseline, row.value, cost, number(row.value), cost_text))
    return found[:MOST_POINTS]


def _devices(choice: Choice) -> set[str]:
    shown = {run_id for row in choice.rows for run_id in row.run_ids}
    runs = reading.snapshot().runs()
    return {one for one in runs[runs.run_id.isin(shown)].device.unique() if one}


def _measured_on(devices: Sequence[str]) -> str:
    if not devices:
        return ""
    several = "; costs on different devices are not comparable." if len(devices) > 1 else "."
    return f"Measured on {', '.join(devices)}{several}"


def _intervals(choice: Choice) -> None:
    rows = [row for row in choice.rows if row.value is not None][:MOST_POINTS]
    if not rows:
        st.caption("No entry has a value.")
        return
    entries = [
        {"name": one_line(name, LONGEST), "kind": "baseline" if row.is_baseline else "method", "value": row.value}
        | {"low": row.value if row.low is None else row.low, "high": row.value if row.high is None else row.high}
        | {"label": number(row.value), "interval": interval(row)}
        for row, name in zip(rows, entry_names(rows))
    ]
    chart.show(interval_chart(entries, _title_of(rows[0])), "values with their intervals")


def _profiles(choice: Choice) -> None:
    board, shown = choice.board, {row.run_ids for row in choice.rows}
    names = [one_line(name, LONGEST) for name in entry_names(board.rows)]
    profiles = [
        (name, profile)
        for name, row, profile in zip(names, board.rows, board.profiles)
        if row.run_ids in shown and row.value is not None and row.rank is not None
    ]
    if not profiles or not len(board.thresholds):
        st.caption("No entry has a value.")
        return
    spec = profile_chart(board.thresholds.tolist(), profiles, _title_of(board.rows[0]), board.rows[0].better)
    chart.show(spec, "performance profiles")
    more = f" Showing the first {MOST} of {len(profiles)} entries." if len(profiles) > MOST else ""
    note = "Share of scenes and seeds on which an entry is at least this good; higher is better."
    markup.show(markup.note(markup.text(note + more)))


def _across(choice: Choice) -> None:
    ranking = reading.snapshot().ranking(choice.group)
    if len(ranking.names) < 2 or len(ranking.boards) < 2:
        st.caption("Mean ranks need at least two tables of this tier that share two entries.")
        _left_out(ranking)
        return
    chart.show(critical_chart(ranking), "mean ranks with the critical difference")
    caption = (
        f"Mean ranks over {len(ranking.boards)} tables. Entries joined by a bar do not differ significantly (Nemenyi, 5 %)."
    )
    if ranking.critical_difference is not None and ranking.p_value is not None:
        caption += f" Critical difference {ranking.critical_difference:.2f}; Friedman's p {ranking.p_value:.2g}."
    markup.show(markup.note(markup.text(caption)))
    _left_out(ranking)


def _left_out(ranking: Ranking) -> None:
    if ranking.boards:
        markup.show(markup.note("Tables: " + markup.text("; ".join(ranking.boards))))
    if ranking.left_out:
        markup.show(markup.note("Not in all tables: " + markup.text(", ".join(ranking.left_out))))
