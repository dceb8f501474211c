"""The leaderboard page: who is best, how sure that is, what it costs and what failed."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from deep3dmap.dashboard import reading
from deep3dmap.dashboard.charts import cost_chart, values_chart
from deep3dmap.dashboard.look import DASH, arrow, duration, integer, nothing_yet, number, table_height, text_width, with_unit
from deep3dmap.dashboard.views.filters import Choice, choose
from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.export import to_csv, to_json, to_latex
from deep3dmap.results.schema import ENDED_EARLY

HELP = {
    "interval": "95 % interval over scenes and seeds",
    "p": "against the first, over scenes and seeds, adjusted for all pairs",
    "front": "on the Pareto front: nothing else is both better and faster",
    "inputs": "what the method was handed, of what the suite gives; poses are with intrinsics",
}


def show() -> None:
    """Show the page."""
    attempts = reading.attempts()
    if not (attempts.suite != "").any():
        nothing_yet(reading.store_uri())
        return
    choice = choose(attempts[attempts.suite != ""], reading.cards("suite"))
    shown = choice.rows
    _heading(choice)
    if not shown:
        st.info("No method is left with these filters.")
        return
    _table(shown, choice.others)
    _charts([row for row in shown if row.value is not None])
    _failures(choice)
    _exports(shown, choice)


def _heading(choice: Choice) -> None:
    st.header(choice.suite_title)
    group = choice.group
    tier = f"tier **{group.tier}** · " if group.tier else ""
    st.caption(
        f"Suite **{group.suite}** · {tier}dataset **{group.dataset}/{group.dataset_variant}** · "
        f"protocol {group.protocol_version} · data version `{group.dataset_version[:8]}`"
    )
    if choice.meaning:
        st.caption(f"**{choice.metric}**: {choice.meaning}")


def _table(rows: Sequence[LeaderboardRow], others: dict[str, list[LeaderboardRow]]) -> None:
    frame = table_frame(rows, others)
    value = frame.columns[3]
    formats: dict[str, Callable[[Any], str]] = {
        name: number for name in frame.columns if name == value or name in _other_names(others)
    }
    formats |= {"training": duration, "per scene": duration, "parameters": integer, "RAM (MB)": integer, "GPU (MB)": integer}
    style = frame.style.format({name: formats[name] for name in formats if name in frame}, na_rep=DASH)
    style = style.set_properties(subset=[value], **{"font-weight": "bold"})
    st.dataframe(
        style,
        hide_index=True,
        height=table_height(len(frame)),
        column_config=_columns(frame),
        placeholder=DASH,
    )


def table_frame(rows: Sequence[LeaderboardRow], others: dict[str, list[LeaderboardRow]]) -> pd.DataFrame:
    """Return the table: one line per entry, further metrics after the ranked one; numbers stay numbers, for sorting."""
    heading = with_unit(rows[0].metric, rows[0].unit)
    lines = []
    for row in rows:
        line = {"#": row.rank, "method": entry(row), "inputs": row.given, heading: row.value}
        line |= {"settings": row.note, "95 % interval": interval(row)}
        line |= {name: _value_of(row, found) for name, found in _other_names_and_rows(others)}
        line |= {"p": "" if row.p_value is None else f"{row.p_value:.2g}", "Pareto": "●" if row.on_pareto_front else ""}
        line |= {"seeds": row.seeds, "scenes": row.scenes, "failed": row.failed}
        line |= {"training": row.train_s, "per scene": row.reconstruct_s}
        line |= {"RAM (MB)": row.peak_ram_mb, "GPU (MB)": row.peak_gpu_mb or None, "parameters": row.parameters or None}
        lines.append(line)
    frame = pd.DataFrame(lines)
    numbers = [heading, *_other_names(others), "training", "per scene", "RAM (MB)", "GPU (MB)", "parameters"]
    frame = frame.astype(dict.fromkeys(numbers, "float64")).astype({"#": "Int64"})
    optional = ("settings", "95 % interval", "p", "per scene", "GPU (MB)", "parameters")
    return frame.drop(columns=[name for name in optional if not _says_anything(frame[name])])


def _says_anything(column: "pd.Series[float]") -> bool:
    return bool(column.notna().any() and (~column.isin(("", DASH))).any())


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    column = st.column_config.Column
    found: dict[str, Any] = {
        "#": column(width=40),
        "95 % interval": column(help=HELP["interval"]),
        "p": column(help=HELP["p"]),
        "Pareto": column(help=HELP["front"]),
        "method": column(width=text_width(frame.method)),
        "inputs": column(width=text_width(frame.inputs), help=HELP["inputs"]),
        "training": column(help="mean training time of a run"),
        "per scene": column(help="mean reconstruction time of a scene"),
        "RAM (MB)": column(help="highest peak of a run"),
        "GPU (MB)": column(help="highest peak of a run"),
        "failed": column(help="runs that did not end well"),
        "settings": column(width="large", help="what tells it from other entries of the method, and what was left out"),
    }
    return {name: config for name, config in found.items() if name in frame}


def _other_names(others: dict[str, list[LeaderboardRow]]) -> list[str]:
    return [name for name, _ in _other_names_and_rows(others)]


def _other_names_and_rows(others: dict[str, list[LeaderboardRow]]) -> list[tuple[str, list[LeaderboardRow]]]:
    return [(with_unit(metric, found[0].unit), found) for metric, found in others.items()]


def _value_of(row: LeaderboardRow, found: Sequence[LeaderboardRow]) -> float | None:
    same = (other.value for other in found if (other.method, other.variant, other.note) == (row.method, row.variant, row.note))
    return next(same, None)


def entry(row: LeaderboardRow) -> str:
    """Return an entry's name."""
    return f"{row.method}/{row.variant}" + (" · baseline" if row.is_baseline else "")


def chart_names(rows: Sequence[LeaderboardRow]) -> list[str]:
    """Return a name for each entry; those that share a method and variant, as trials of a sweep do, have their rank in it."""
    names = [f"{row.method}/{row.variant}" for row in rows]
    return [f"{name} #{row.rank}" if names.count(name) > 1 else name for name, row in zip(names, rows)]


def interval(row: LeaderboardRow) -> str:
    """Return an interval as text; a dash where one value gives none."""
    return DASH if row.low is None else f"{number(row.low)} – {number(row.high)}"


def _charts(rows: Sequence[LeaderboardRow]) -> None:
    if not rows:
        return
    frame = pd.DataFrame(
        {
            "entry": chart_names(rows),
            "kind": ["baseline" if row.is_baseline else "method" for row in rows],
            "value": [row.value for row in rows],
            "low": [row.value if row.low is None else row.low for row in rows],
            "high": [row.value if row.high is None else row.high for row in rows],
            "seconds": [row.seconds for row in rows],
            "front": [row.on_pareto_front for row in rows],
            "label": [number(row.value) for row in rows],
            "interval": [interval(row) for row in rows],
            "cost": [duration(row.seconds) for row in rows],
        }
    )
    title = f"{with_unit(rows[0].metric, rows[0].unit)}, {arrow(rows[0].better)}"
    left, right = st.columns(2, gap="large")
    left.subheader("Value and 95 % interval")
    left.altair_chart(values_chart(frame, title))
    right.subheader("Quality against time")
    right.altair_chart(cost_chart(frame, title))
    right.caption("Dashed: the Pareto front. Nothing on it is beaten in both quality and time.")


def _failures(choice: Choice) -> None:
    runs = choice.runs(reading.attempts())
    failed = runs[runs.counts & ~runs.status.isin(("ok", *ENDED_EARLY))]
    if failed.empty:
        return
    st.subheader(f"Failed runs ({len(failed)})")
    frame = pd.DataFrame(
        {
            "run": [f"run?run_id={run_id}" for run_id in failed.run_id],
            "method": failed.method + "/" + failed.variant,
            "seed": failed.seed,
            "status": failed.status,
            "error": [(text.strip().splitlines() or [""])[-1] for text in failed.error],
        }
    )
    link = st.column_config.LinkColumn("run", display_text=r"run_id=(.{8})", width="small")
    error = st.column_config.Column(width="large")
    st.dataframe(frame, hide_index=True, height=table_height(len(frame)), column_config={"run": link, "error": error})


def _exports(rows: Sequence[LeaderboardRow], choice: Choice) -> None:
    name = "-".join((choice.group.suite, choice.group.tier, choice.group.dataset, choice.metric))
    st.subheader("Export")
    with st.container(horizontal=True):
        st.download_button("CSV", to_csv(rows), f"{name}.csv", "text/csv", icon=":material/download:")
        st.download_button("JSON", to_json(rows), f"{name}.json", "application/json", icon=":material/download:")
        st.download_button("LaTeX", to_latex(rows), f"{name}.tex", "text/plain", icon=":material/download:")
