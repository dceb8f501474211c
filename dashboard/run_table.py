"""A table of runs with links to their pages."""

from typing import Any

import pandas as pd

from deep3dmap.dashboard import markup
from deep3dmap.dashboard.markup import Column

COLUMNS = (
    *(Column("run", "id"), Column("method", "name"), Column("status")),
    *(Column("seed", "number"), Column("started", "number wide")),
)
ERROR = Column("error", "text wide")


def run_table(runs: pd.DataFrame) -> str:
    """Return the table; if any run has an error, a column shows the last line of it."""
    columns = [*COLUMNS, ERROR] if (runs.error != "").any() else COLUMNS
    return markup.table(columns, [_line(run) for run in runs.itertuples()], name="runs")


def _line(run: Any) -> list[str]:
    about = filter(None, [run.suite or "training", run.tier, f"{run.dataset}/{run.dataset_variant}", run.scene])
    return [
        markup.link("run", markup.text(run.run_id[:8]), run_id=run.run_id),
        markup.name(f"{run.method}/{run.variant}") + markup.element("small", " · ".join(map(markup.name, about))),
        markup.status(run.status),
        str(run.seed),
        f"{run.started_at:%Y-%m-%d %H:%M}",
        markup.text((run.error.strip().splitlines() or [""])[-1]),
    ]
