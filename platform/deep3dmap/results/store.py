"""The result store: append-only, one immutable Parquet file per table and attempt, so that writers need no lock."""

import io
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from deep3dmap.core.errors import UserError
from deep3dmap.results.run_id import content_hash
from deep3dmap.results.schema import TABLES, CurveRow, MetricRow, RunRow, arrow_schema, migrate, to_table
from deep3dmap.results.storage import Storage

_SINCE = ("since", pa.timestamp("us", tz="UTC"))
_CARDS = pa.schema([("kind", pa.string()), ("name", pa.string()), ("version", pa.string()), ("data", pa.string()), _SINCE])
_STATES = pa.schema([("run_id", pa.string()), ("state", pa.string()), ("text", pa.string()), _SINCE])


class ResultStore:
    """Tables `runs`, `metrics`, `curves`, the cards of what ran, and the states of running trials."""

    def __init__(self, uri: str) -> None:
        self.storage = Storage(uri)
        self.uri = self.storage.uri

    # -- writing ------------------------------------------------------------------------------------------------------

    def next_attempt(self, run_id: str) -> int:
        """Return the number of the next attempt at a run, from 1."""
        named = re.compile(re.escape(run_id) + r"-(\d+)\.parquet")
        taken = [int(found[1]) for name in self._files("runs") if (found := named.fullmatch(name))]
        return max(taken, default=0) + 1

    def write_attempt(self, run: RunRow, metrics: Sequence[MetricRow], curves: Sequence[CurveRow]) -> None:
        """Write the rows of one attempt; the run's own row is written last, so a crash leaves nothing that is half-read."""
        run = replace(run, config_hash=content_hash(json.loads(run.config)))
        for name, rows in (("metrics", metrics), ("curves", curves), ("runs", [run])):
            table = to_table(rows, TABLES[name])
            self._write(f"tables/{name}/{_file(run.run_id, run.attempt)}", table)

    def write_card(self, kind: str, name: str, version: str, data: dict[str, Any]) -> None:
        """Keep the card of a method, dataset or suite as it was in a version."""
        row = {
            "kind": kind,
            "name": name,
            "version": version,
            "data": json.dumps(data, default=str),
            "since": datetime.now(UTC),
        }
        file_name = f"{kind}-{name}-{version}".replace("/", "_").replace(":", "_")
        self._write(f"tables/cards/{file_name}.parquet", pa.Table.from_pylist([row], schema=_CARDS))

    def write_trial_state(self, run_id: str, state: str, text: str = "") -> None:
        """Say where a trial is: pending, running, or how it ended."""
        row = {"run_id": run_id, "state": state, "text": text, "since": datetime.now(UTC)}
        self._write(f"tables/trials/{run_id}.parquet", pa.Table.from_pylist([row], schema=_STATES))

    def artifacts_name(self, run_id: str, attempt: int) -> str:
        """Return the folder, within the store, of an attempt's reconstructions and pictures."""
        return f"artifacts/{run_id}/{attempt}"

    def artifacts_path(self, run_id: str, attempt: int) -> str:
        """Return where an attempt keeps its reconstructions and pictures: a folder, or a URI."""
        return f"{self.uri}/{self.artifacts_name(run_id, attempt)}"

    def artifacts(self, run_id: str, attempt: int, ending: str) -> list[str]:
        """Return the full paths of an attempt's artifacts that end with `ending`, in all its folders, sorted."""
        folder = self.artifacts_name(run_id, attempt)
        return [f"{self.uri}/{folder}/{name}" for name in self.storage.names(folder, ending, recursive=True)]

    # -- reading ------------------------------------------------------------------------------------------------------

    def runs(self, newest_only: bool = True) -> pd.DataFrame:
        """Return the runs. newest_only: of each run the newest attempt that ended well, else the newest."""
        frame = self._read("runs", self._files("runs"))
        if not newest_only or frame.empty:
            return frame
        ranked = frame.assign(_ok=frame.status == "ok").sort_values(["_ok", "attempt"])
        newest = ranked.groupby("run_id", sort=False).tail(1).drop(columns="_ok")
        return newest.sort_values("started_at", ascending=False).reset_index(drop=True)

    def metrics(self, runs: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return the metrics of `runs` (default: of the newest attempt at every run)."""
        return self._rows_of("metrics", self.runs() if runs is None else runs)

    def curves(self, runs: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return the curves of `runs` (default: of the newest attempt at every run)."""
        return self._rows_of("curves", self.runs() if runs is None else runs)

    def finished_ids(self) -> set[str]:
        """Return the ids of the runs that ended well and whose metrics are there (a damaged file may have been deleted)."""
        runs, scored = self.runs(), set(self._files("metrics"))
        return {str(row.run_id) for row in runs.itertuples() if row.status == "ok" and _file(row.run_id, row.attempt) in scored}

    def cards(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return {name: data} of the cards of one kind; of several versions the one written last."""
        rows = sorted(self._plain_table("cards", _CARDS).to_pylist(), key=lambda row: row["since"])
        return {row["name"]: json.loads(row["data"]) for row in rows if row["kind"] == kind}

    def trial_states(self) -> pd.DataFrame:
        """Return where each trial is or how it ended."""
        return self._plain_table("trials", _STATES).to_pandas()

    def damaged(self) -> list[str]:
        """Return the names of the files that cannot be read."""
        found = []
        for table in (*TABLES, "cards", "trials"):
            for name in self._files(table):
                try:
                    self._table(table, name)
                except (pa.ArrowException, OSError, ValueError, KeyError) as error:
                    found.append(f"tables/{table}/{name}: {_reason(error)}")
        return found

    # -- files --------------------------------------------------------------------------------------------------------

    def _files(self, table: str) -> list[str]:
        return self.storage.names(f"tables/{table}", ".parquet")

    def _write(self, name: str, table: pa.Table) -> None:
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        self.storage.write(name, buffer.getvalue())

    def _table(self, table: str, name: str) -> pa.Table:
        read = pq.ParquetFile(pa.py_buffer(self.storage.read(f"tables/{table}/{name}"))).read(use_threads=False)
        return migrate(table, read) if table in TABLES else read

    def _tables(self, table: str, names: Iterable[str]) -> list[pa.Table]:
        tables = []
        for name in names:
            try:
                tables.append(self._table(table, name))
            except (pa.ArrowException, OSError, KeyError) as error:
                warnings.warn(f"{self.uri}/tables/{table}/{name} is damaged and left out: {_reason(error)}", stacklevel=4)
            except ValueError as error:
                raise UserError(f"{self.uri}/tables/{table}/{name}: {error}") from error
        return tables

    def _read(self, table: str, names: Iterable[str]) -> pd.DataFrame:
        tables = self._tables(table, names)
        if not tables:
            return arrow_schema(TABLES[table]).empty_table().to_pandas()
        return pa.concat_tables(tables).to_pandas()

    def _rows_of(self, table: str, runs: pd.DataFrame) -> pd.DataFrame:
        wanted = {_file(row.run_id, row.attempt) for row in runs.itertuples()}
        return self._read(table, [name for name in self._files(table) if name in wanted])

    def _plain_table(self, table: str, schema: pa.Schema) -> pa.Table:
        return pa.concat_tables([schema.empty_table(), *self._tables(table, self._files(table))])


def _file(run_id: Any, attempt: Any) -> str:
    return f"{run_id}-{attempt}.parquet"


def _reason(error: Exception) -> str:
    # Arrow repeats the path before it says what is wrong.
    return (str(error).splitlines() or [type(error).__name__])[0].rpartition("': ")[2]
