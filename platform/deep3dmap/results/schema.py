"""The rows of the result tables and their Parquet schemas. docs/results.md describes every column."""

import typing
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 1
STATUSES = ("ok", "failed", "diverged", "out_of_memory", "no_resources", "stopped")
# The trials of a sweep are stored under the suite "tune:NAME".
SWEEPS = "tune:"


@dataclass(frozen=True)
class RunRow:
    """One attempt at one run. Seconds are wall-clock; fit_s, reconstruct_s and evaluate_s are totals over the scenes.

    scene: the only one that was scored, "" where the run covers its split. cut_short: how far it came before its limit in
    seconds, "" where it took all its steps. device: what it ran on, "cpu" or the name of a GPU.
    """

    run_id: str
    attempt: int
    suite: str
    protocol_version: int
    tier: str
    task: str
    method: str
    variant: str
    method_version: str
    dataset: str
    dataset_variant: str
    dataset_version: str
    seed: int
    config: str
    inputs: list[str]
    git_commit: str
    git_dirty: bool
    packages: str
    hardware: str
    engine: str
    backends: str
    status: str
    error: str
    started_at: datetime
    train_s: float
    reconstruct_s: float
    evaluate_s: float
    peak_ram_mb: float
    peak_gpu_mb: float
    parameters: int
    steps: int
    checkpoint_uri: str
    artifacts_uri: str
    command: str
    scene: str = ""
    fit_s: float = 0.0
    render_frames_per_s: float = 0.0
    cut_short: str = ""
    device: str = ""
    config_hash: str = ""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status is one of {STATUSES}, not '{self.status}'")


@dataclass(frozen=True)
class MetricRow:
    """One metric of one scene, or of the whole run where scene is empty. better: "up" or "down"."""

    run_id: str
    attempt: int
    scene: str
    metric: str
    value: float
    unit: str
    better: str
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class CurveRow:
    """One point of a curve, of training or of the fit to a scene. seconds: time spent learning."""

    run_id: str
    attempt: int
    step: int
    seconds: float
    name: str
    value: float
    scene: str = ""
    schema_version: int = SCHEMA_VERSION


Row = RunRow | MetricRow | CurveRow
TABLES: dict[str, type[Row]] = {"runs": RunRow, "metrics": MetricRow, "curves": CurveRow}

_ARROW = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    list[str]: pa.list_(pa.string()),
    datetime: pa.timestamp("us", tz="UTC"),
}


def arrow_schema(row_type: type[Any]) -> pa.Schema:
    """Return the Parquet schema of a row type."""
    hints = typing.get_type_hints(row_type)
    return pa.schema([pa.field(field.name, _ARROW[hints[field.name]]) for field in fields(row_type)])


def to_table(rows: Sequence[Row], row_type: type[Row]) -> pa.Table:
    """Turn rows into an Arrow table of the row type's schema."""
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=arrow_schema(row_type))


# From version N to N + 1, for each table that changed: a function from the old table to the new one.
MIGRATIONS: dict[tuple[str, int], Callable[[pa.Table], pa.Table]] = {}


def migrate(name: str, table: pa.Table) -> pa.Table:
    """Bring a table of an older schema version up to date; raises ValueError for a newer one."""
    if table.num_rows == 0:
        return table.select([]) if table.num_columns == 0 else table.cast(_schema_of(name))
    version = table["schema_version"][0].as_py()
    if version > SCHEMA_VERSION:
        raise ValueError(f"schema version {version} is newer than this deep3dmap reads ({SCHEMA_VERSION}); update deep3dmap")
    for step in range(version, SCHEMA_VERSION):
        table = MIGRATIONS[name, step](table)
    wanted = _schema_of(name)
    return table if table.schema.equals(wanted) else table.select(wanted.names).cast(wanted)


@cache
def _schema_of(name: str) -> pa.Schema:
    return arrow_schema(TABLES[name])


def plain(row: Row) -> dict[str, Any]:
    """Return a row as plain data."""
    return asdict(row)
