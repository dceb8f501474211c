"""The sweeps page: the trials of a hyperparameter search, importance of the settings, and the best configuration."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from deep3dmap.dashboard import markup, reading
from deep3dmap.dashboard.charts import chart
from deep3dmap.dashboard.charts.curves import curve_chart
from deep3dmap.dashboard.charts.sweep import front_chart, history_chart, parallel_chart
from deep3dmap.dashboard.look import DASH, arrow, axis_title, duration, memory, number, one_line, with_unit
from deep3dmap.dashboard.markup import Column
from deep3dmap.dashboard.views.filters import URL, select
from deep3dmap.results.schema import ENDED_EARLY, SWEEPS
from deep3dmap.results.sweeps import Sweep, Trial, is_number, sweep_of

TRIALS_SHOWN, CURVES_SHOWN = 100, 8


def show() -> None:
    """Show the page."""
    groups = [group for group in reading.snapshot().groups() if group.suite.startswith(SWEEPS)]
    if not groups:
        _show_empty()
        return
    with st.sidebar:
        name = select("Sweep", "sweep", [group.suite.removeprefix(SWEEPS) for group in groups])
        group = next(group for group in groups if group.suite == SWEEPS + name)
        metric = select("Objective", "metric", reading.snapshot().metric_names(group))
    own = reading.snapshot().runs_of(group)
    sweep = sweep_of(own, reading.snapshot().metrics(own), metric)
    _heading(sweep, name, f"{own.method.iloc[0]}/{own.variant.iloc[0]} on {group.dataset}/{group.dataset_variant}")
    _best(sweep, name)
    if any(trial.value is not None for trial in sweep.trials):
        _figures(sweep)
    _table(sweep)


def _show_empty() -> None:
    markup.show(markup.heading("Sweeps", "Searches for the settings of a method that perform best on the validation split."))
    st.write("The store contains no sweeps yet. To run one:")
    st.code(
        f"deep3dmap tune method=prnet/mini dataset=heads/smoke tune.trials=12 results={reading.store_uri()}", language="bash"
    )


def _heading(sweep: Sweep, name: str, what: str) -> None:
    ended = [trial for trial in sweep.trials if trial.status == "ok"]
    stopped = [trial for trial in sweep.trials if trial.status in ENDED_EARLY]
    values = {"Trials": str(len(sweep.trials)), "Completed": str(len(ended)), "Stopped early": str(len(stopped))}
    values["Failed"] = str(len(sweep.trials) - len(ended) - len(stopped))
    values["Best " + one_line(sweep.metric, 30)] = number(sweep.best.value) if sweep.best else DASH
    values["Total time"] = duration(sum(trial.seconds for trial in sweep.trials))
    markup.show(
        markup.heading(f"Sweep {name}", f"{markup.text(what)} · <b>{markup.text(sweep.metric)}</b>, {arrow(sweep.better)}"),
        markup.facts({key: markup.text(value) for key, value in values.items()}),
    )


def _best(sweep: Sweep, name: str) -> None:
    if sweep.best is None:
        return
    markup.show(markup.section("Best configuration", f"trial {sweep.best.number}"))
    lines = [f"{key}={format_setting(value)}" for key, value in sweep.best.settings.items()]
    store = reading.open_store()
    file = f"tune/{name}/best.yaml"
    if file in {f"tune/{name}/{own}" for own in store.storage.names(f"tune/{name}", "best.yaml")}:
        lines += ["", f"deep3dmap train from={store.uri}/{file}"]
    st.code("\n".join(lines) or "the unchanged configuration", language="bash")


def format_setting(value: object) -> str:
    """Format a setting as for the command line, with at most four significant digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return one_line(value, 60) if not isinstance(value, list) else "[" + ", ".join(map(format_setting, value)) + "]"


def _figures(sweep: Sweep) -> None:
    title = axis_title(sweep.metric, sweep.unit, sweep.better)
    drawn: dict[str, Callable[[], None]] = {
        "History": lambda: chart.show(history_chart(sweep, title), "value of each trial"),
        "Learning curves": lambda: _curves(sweep),
        "Settings": lambda: chart.show(parallel_chart(sweep), "settings of each trial"),
        "Importance": lambda: _importance(sweep),
        "Time": lambda: chart.show(front_chart(sweep, title, "seconds"), "value against seconds"),
        "Memory": lambda: chart.show(front_chart(sweep, title, "memory"), "value against memory"),
    }
    names = list(drawn)
    picked = st.segmented_control("Figure", names, default=names[0], key="view", bind=URL, label_visibility="collapsed")
    drawn[picked or names[0]]()


def _curves(sweep: Sweep) -> None:
    """Draw the curves of the best trials."""
    best = sorted(sweep.trials, key=sweep.loss)[:CURVES_SHOWN]
    runs = reading.snapshot().runs()
    found = reading.curves_of(runs[runs.run_id.isin([trial.run_id for trial in best])])
    parts = [found[found.run_id == trial.run_id].assign(run=f"trial {trial.number}") for trial in best]
    frame = pd.concat(parts)
    if frame.empty:
        st.caption("The trials have no curves.")
        return
    names = sorted(set(frame.name), key=lambda name: (name != sweep.metric, name != "validation_loss", name))
    name = st.selectbox("Curve", names, key="curve", format_func=one_line)
    own = frame[frame.name == name]
    chart.show(curve_chart(own, str(name), list(dict.fromkeys(own.run)), "step", False), "curves of the best trials")


def _importance(sweep: Sweep) -> None:
    found = sweep.importance()
    if not found:
        st.caption("There are too few trials with a value, or their settings do not vary.")
        return
    columns = [Column("setting", "name"), Column("importance"), Column("", "number")]
    lines = [[markup.name(name), markup.share(value), f"{value:.2f}"] for name, value in found.items()]
    note = "Absolute rank correlation of a setting with the objective over all trials (Spearman)."
    markup.show(markup.table(columns, lines, name="importance"), markup.note(note))


def _table(sweep: Sweep) -> None:
    markup.show(markup.section("Trials", "best first"))
    heads = [
        Column("trial", "number"),
        Column("run"),
        Column("state"),
        Column(with_unit(sweep.metric, sweep.unit), "number value"),
    ]
    heads += [Column(name.rpartition(".")[2], "number wide", name) for name in sweep.parameters]
    heads += [Column("training", "number"), Column("memory", "number wide")]
    ordered = sorted(sweep.trials, key=lambda trial: (trial.status != "ok", sweep.loss(trial)))
    kinds = ["best" if trial is sweep.best else "" for trial in ordered]
    markup.show(markup.table(heads, [_line(sweep, trial) for trial in ordered[:TRIALS_SHOWN]], kinds, "trials"))
    if len(ordered) > TRIALS_SHOWN:
        st.caption(f"Showing the best {TRIALS_SHOWN} of {len(ordered)} trials.")


def _line(sweep: Sweep, trial: Trial) -> list[str]:
    settings = [trial.settings.get(name, DASH) for name in sweep.parameters]
    return [
        str(trial.number),
        markup.link("run", markup.text(trial.run_id[:8]), run_id=trial.run_id),
        markup.status(trial.status),
        number(trial.value),
        *(markup.text(format_setting(value) if is_number(value) else one_line(value, 40)) for value in settings),
        duration(trial.seconds),
        memory(trial.memory_mb),
    ]
