"""The run page: facts, metrics per scene, curves and pictures of one run, and its error where it failed."""

import json
from typing import Any

import pandas as pd
import streamlit as st

from deep3dmap.dashboard import reading
from deep3dmap.dashboard.charts import curve_chart
from deep3dmap.dashboard.look import DASH, compact, duration, integer, nothing_yet, number, state_icon, table_height, with_unit
from deep3dmap.dashboard.views.run_surfaces import surfaces

FACTS = (
    *("run_id", "attempt", "suite", "protocol_version", "tier", "task", "method", "variant", "method_version"),
    *("dataset", "dataset_variant", "dataset_version", "seed", "config_hash", "engine", "git_commit", "git_dirty"),
    *("checkpoint_uri", "artifacts_uri", "command"),
)


def show() -> None:
    """Show the page."""
    attempts = reading.attempts()
    if attempts.empty:
        nothing_yet(reading.store_uri())
        return
    chosen = _choose(attempts)
    if chosen is None:
        return
    run = chosen.iloc[0]
    _heading(run)
    if run.status != "ok":
        st.error(f"**{run.status}**" + ("" if run.error else ": nothing more is known"), icon=":material/error:")
    if run.error:
        st.code(run.error, language=None, wrap_lines=True)
    _metrics(reading.metrics_of(chosen), _order(run.suite))
    _pictures(reading.pictures_of(chosen))
    surfaces(chosen)
    _curves(reading.curves_of(chosen))
    _facts(run)


def _choose(attempts: pd.DataFrame) -> pd.DataFrame | None:
    counting = attempts[attempts.counts]
    names = {str(row.run_id): _name(row) for row in counting.itertuples()}
    asked = str(st.query_params.get("run_id", ""))
    matching = [run_id for run_id in names if asked and run_id.startswith(asked)]
    if asked and not matching:
        st.warning(f"There is no run `{asked}` in `{reading.store_uri()}`. Choose one of those below.")
    index = list(names).index(matching[0]) if matching else 0
    run_id = str(st.selectbox("Run", list(names), index=index, format_func=names.__getitem__, key="run chosen"))
    if run_id not in matching:
        st.query_params["run_id"] = run_id
    own = attempts[attempts.run_id == run_id].sort_values("attempt", ascending=False)
    if len(own) == 1:
        return own
    described = zip(own.attempt, own.status, own.counts)
    labels = {int(attempt): f"{attempt}: {status}{', counts' if counts else ''}" for attempt, status, counts in described}
    default = int(own[own.counts].attempt.iloc[0])
    picked = st.segmented_control(
        "Attempt", list(labels), default=default, format_func=labels.__getitem__, key=f"attempt {run_id}"
    )
    return own[own.attempt == (default if picked is None else picked)]


def _name(row: Any) -> str:
    where = f"{row.suite} {row.tier}" if row.suite else "training"
    state = "" if row.status == "ok" else f" · {row.status}"
    data = f"{row.dataset}/{row.dataset_variant}"
    return f"{row.method}/{row.variant} · {where} · {data} · seed {row.seed} · {row.run_id[:8]}{state}"


def _heading(run: "pd.Series[str]") -> None:
    st.header(f"{run.method}/{run.variant}")
    where = f"suite **{run.suite}**, tier **{run.tier}**" if run.suite else "training"
    st.caption(
        f"{state_icon(run.status)} {run.status} · {where} · "
        f"dataset **{run.dataset}/{run.dataset_variant}** · seed {run.seed} · started {run.started_at:%Y-%m-%d %H:%M} UTC · "
        f"inputs: {', '.join(run.inputs) or DASH}"
    )
    facts = {
        "Training": duration(run.train_s),
        "Reconstruction": duration(run.reconstruct_s),
        "Evaluation": duration(run.evaluate_s),
        "Steps": integer(run.steps),
        "Parameters": compact(run.parameters),
        "Peak RAM": f"{integer(run.peak_ram_mb)} MB",
        "Peak GPU": f"{integer(run.peak_gpu_mb)} MB" if run.peak_gpu_mb else DASH,
    }
    for place, (label, value) in zip(st.columns(len(facts)), facts.items()):
        place.metric(label, value)


def _order(suite: str) -> list[str]:
    """Return the suite's metrics as its card lists them, the one it ranks by first."""
    card = reading.cards("suite").get(suite, {}).get("card", {})
    return sorted((item["name"] for item in card.get("metrics", ())), key=lambda name: name != card.get("headline"))


def _metrics(metrics: pd.DataFrame, order: list[str]) -> None:
    if metrics.empty:
        return
    st.subheader("Metrics")
    named = metrics.assign(column=[with_unit(*pair) for pair in zip(metrics.metric, metrics.unit)])
    columns = dict(zip(named.metric, named.column))
    names = [name for name in order if name in columns] + sorted(set(columns) - set(order))
    table = named.pivot_table(index="scene", columns="column", values="value", sort=True, dropna=False)
    scenes = table[table.index != ""]
    summary = table[table.index == ""].rename(index={"": "whole run"})
    mean = scenes.mean().to_frame().T.set_axis(["mean over scenes"])
    parts = [part for part in (summary, mean if len(scenes) else scenes, scenes) if len(part)]
    frame = pd.concat([part.dropna(axis="columns", how="all") for part in parts]).reindex(
        columns=[columns[name] for name in names]
    )
    bold = [name for name in ("whole run", "mean over scenes") if name in frame.index]
    style = frame.rename_axis("scene").style.format(number, na_rep=DASH)
    styled = style.set_properties(subset=pd.IndexSlice[bold, :], **{"font-weight": "bold"})
    st.dataframe(styled, height=table_height(len(frame)), placeholder=DASH)


def _pictures(pictures: dict[str, list[str]]) -> None:
    if not pictures:
        return
    st.subheader("Pictures")
    scene = str(st.selectbox("Scene", list(pictures), format_func=lambda name: name or "whole run", key="scene chosen"))
    for name in sorted(pictures.get(scene, ()), key=lambda name: ("sheet" not in name, name)):
        st.image(reading.picture(reading.store_uri(), name), caption=name.rpartition("/")[2])


def _curves(curves: pd.DataFrame) -> None:
    if curves.empty:
        return
    st.subheader("Training")
    with st.container(horizontal=True):
        over = st.segmented_control("Over", ["step", "seconds"], default="step", key="curves over") or "step"
        logarithmic = st.toggle("Logarithmic", key="curves logarithmic")
    columns = st.columns(2, gap="large")
    for index, (name, own) in enumerate(curves.groupby("name", sort=True)):
        chart = curve_chart(own.sort_values("step"), str(name), over, logarithmic and bool((own.value > 0).all()))
        columns[index % 2].altair_chart(chart)


def _facts(run: "pd.Series[str]") -> None:
    st.subheader("How it was made")
    facts = {name: str(run[name]) for name in FACTS if str(run[name])}
    with st.expander("Key, code and place"):
        st.dataframe(
            pd.DataFrame({"field": facts.keys(), "value": facts.values()}), hide_index=True, height=table_height(len(facts))
        )
    with st.expander("Configuration"):
        st.json(json.loads(run.config))
    with st.expander("Machine, packages and backends"):
        st.json({name: json.loads(run[name]) for name in ("hardware", "packages", "backends")})
