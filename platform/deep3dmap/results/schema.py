"""Row types of the result tables and their Parquet schemas. docs/results.md describes every column."""

import typing
from collections.abc import Callable, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any

import pyarrow as pa

from deep3dmap.results.settings import settings_hash

SCHEMA_VERSION = 2
STATUSES = ("ok", "failed", "diverged", "out_of_memory", "no_resources", "stopped", "interrupted")
# Runs that were ended from outside: neither results nor failures.
ENDED_EARLY = ("stopped", "interrupted")
# The trials of a sweep are stored under the suite "tune:NAME".
SWEEPS = "tune:"
# Columns of the table of runs that contain JSON.
JSON_COLUMNS = ("config", "packages", "hardware", "backends")


@dataclass(frozen=True)
class RunRow:
    """One attempt at one run. Seconds are wall-clock time; fit_s, reconstruct_s and evaluate_s are totals over the scenes.

    scene: the scene of a single-scene run; empty if the run covers the whole dataset. cut_short: why the run ended before its
    budget of steps, such as "cut short at step 94 of 180"; empty if it is complete. render_fps: rendered frames per second.
    device: "cpu" or the name of a GPU. reproduces, verdict, verdict_at: for an attempt that repeats an earlier one, the number
    of that attempt, the outcome (JSON) and its time. config_hash, settings_hash and content_hash are filled in when the row is
    written.
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
    cut_short: str = ""
    fit_s: float = 0.0
    render_fps: float = 0.0
    device: str = ""
    reproduces: int = 0
    verdict: str = ""
    verdict_at: datetime | None = None
    config_hash: str = ""
    settings_hash: str = ""
    content_hash: str = ""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status must be one of {STATUSES}, not '{self.status}'")


@dataclass(frozen=True)
class MetricRow:
    """One metric of one scene, or of the whole run if scene is empty. better: "up" or "down"."""

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
    """One point of a curve, of training (scene "") or of the fit to a scene. seconds: training time so far."""

    run_id: str
    attempt: int
    step: int
    seconds: float
    name: str
    value: float
    scene: str = ""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class FileRow:
    """One artifact of an attempt. name: path within the attempt's folder. sha256: of its bytes, in hexadecimal."""

    run_id: str
    attempt: int
    name: str
    size: int
    sha256: str
    schema_version: int = SCHEMA_VERSION


Row = RunRow | MetricRow | CurveRow | FileRow
# In the order they are written: the row of a run comes last, so that incomplete attempts are not visible.
TABLES: dict[str, type[Row]] = {"files": FileRow, "metrics": MetricRow, "curves": CurveRow, "runs": RunRow}

_ARROW = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    list[str]: pa.list_(pa.string()),
    datetime: pa.timestamp("us", tz="UTC"),
    datetime | None: pa.timestamp("us", tz="UTC"),
}


def arrow_schema(row_type: type[Any]) -> pa.Schema:
    """Return the Parquet schema of a row type."""
    hints = typing.get_type_hints(row_type)
    return pa.schema([pa.field(field.name, _ARROW[hints[field.name]]) for field in fields(row_type)])


def to_table(rows: Sequence[Row], row_type: type[Row]) -> pa.Table:
    """Convert rows to an Arrow table with the row type's schema."""
    return pa.Table.from_pylist([vars(row) for row in rows], schema=arrow_schema(row_type))


def _with_settings(table: pa.Table) -> pa.Table:
    found = [settings_hash(config) for config in table["config"].to_pylist()]
    return table.append_column("settings_hash", pa.array(found, pa.string()))


# Migrations from version N to N + 1, for tables with changes other than added columns that have a default.
MIGRATIONS: dict[tuple[str, int], Callable[[pa.Table], pa.Table]] = {("runs", 1): _with_settings}


def migrate(name: str, table: pa.Table) -> pa.Table:
    """Migrate a table of an older schema version to the current one.

    Raises NewerSchemaError for a newer version, and KeyError if the table lacks a column that its version should have.
    """
    if table.num_rows == 0:
        return _schema_of(name).empty_table()
    version = table["schema_version"][0].as_py()
    if version > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"schema version {version} is newer than this deep3dmap supports ({SCHEMA_VERSION}); update deep3dmap"
        )
    for step in range(version, SCHEMA_VERSION):
        if (name, step) in MIGRATIONS:
            table = MIGRATIONS[name, step](table)
    if version < SCHEMA_VERSION:
        table = _with_defaults(table, TABLES[name])
        place = table.column_names.index("schema_version")
        table = table.set_column(place, "schema_version", pa.array([SCHEMA_VERSION] * table.num_rows, pa.int64()))
    wanted = _schema_of(name)
    return table if _fits(table.schema, wanted) else table.select(wanted.names).cast(wanted)


def _fits(schema: pa.Schema, wanted: pa.Schema) -> bool:
    """Return whether a schema is the expected one; text columns may be dictionary-encoded."""
    if schema.equals(wanted):
        return True
    types = [field.type.value_type if pa.types.is_dictionary(field.type) else field.type for field in schema]
    return schema.names == wanted.names and types == wanted.types


class NewerSchemaError(ValueError):
    """A table was written by a newer deep3dmap."""


def _with_defaults(table: pa.Table, row_type: type[Row]) -> pa.Table:
    """Add the columns introduced in later versions, with their defaults."""
    schema = arrow_schema(row_type)
    for field in fields(row_type):
        if field.name not in table.column_names and field.default is not MISSING:
            kind = schema.field(field.name).type
            table = table.append_column(field.name, pa.array([field.default] * table.num_rows, kind))
    return table


@cache
def _schema_of(name: str) -> pa.Schema:
    return arrow_schema(TABLES[name])


def plain(row: Row) -> dict[str, Any]:
    """Return a row as a dict of plain data."""
    return asdict(row)
