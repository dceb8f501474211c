"""How a run was made: its configuration, differences from another run, key, machine and packages."""

import json
from typing import Any

import pandas as pd
import streamlit as st

from deep3dmap.dashboard import markup, reading
from deep3dmap.dashboard.look import one_line
from deep3dmap.dashboard.markup import Column
from deep3dmap.results.settings import find_differing, settings_of

RUNS_OFFERED = 200
FACTS = (
    *("run_id", "attempt", "suite", "protocol_version", "tier", "task", "method", "variant", "method_version"),
    *("dataset", "dataset_variant", "dataset_version", "seed", "scene", "config_hash", "engine", "git_commit", "git_dirty"),
    *("checkpoint_uri", "artifacts_uri"),
)


def configuration(attempt: pd.DataFrame) -> None:
    """Show the section."""
    run = attempt.iloc[0]
    markup.show(markup.section("How it was made"))
    if run.command:
        st.code(run.command, language="bash", wrap_lines=True)
    with st.expander("Configuration"):
        st.code(json.dumps(json.loads(run.config), indent=1, sort_keys=True), language="json")
    with st.expander("Differences from another run"):
        _difference(run)


def _difference(run: Any) -> None:
    runs = reading.snapshot().runs()
    others = reading.first(runs, (runs.suite == run.suite) & (runs.run_id != run.run_id), RUNS_OFFERED)
    names = {str(row.run_id): _name(row) for row in others.itertuples()}
    other = st.selectbox("Other run", list(names), index=None, format_func=names.__getitem__, key="other")
    if other is None:
        return
    both = [flat_facts(run), flat_facts(runs[runs.run_id == other].iloc[0])]
    keys = find_differing(both)
    if not keys:
        st.caption("Only the results differ.")
        return
    lines = [[markup.text(key), *(markup.text(flat.get(key, "")) for flat in both)] for key in keys]
    heads = [Column("setting", "name"), Column(run.run_id[:8], "text"), Column(other[:8], "text")]
    markup.show(markup.table(heads, lines, name="differences"))


def flat_facts(run: Any) -> dict[str, Any]:
    """Return the settings, seed, and code, data and package versions of a run as one flat dict."""
    versions = ("seed", "variant", "method_version", "dataset", "dataset_variant", "dataset_version", "git_commit", "device")
    packages = {f"package {name}": version for name, version in json.loads(run.packages).items()}
    return {**settings_of(run.config), **{name: run[name] for name in versions}, **packages}


def environment(attempt: pd.DataFrame) -> None:
    """Show the section."""
    run = attempt.iloc[0]
    with st.expander("Key, code and location"):
        markup.show(markup.definition_table({name: run[name] for name in FACTS if str(run[name])}))
    with st.expander("Machine, packages and backends"):
        for name in ("hardware", "packages", "backends"):
            values = json.loads(run[name])
            if values:
                markup.show(markup.section(name), markup.definition_table(values))


def _name(run: Any) -> str:
    return one_line(f"{run.method}/{run.variant} · {run.tier} · {run.dataset} · seed {run.seed} · {run.run_id[:8]}", 80)
