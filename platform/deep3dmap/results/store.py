"""The result store: append-only, with one immutable Parquet file per table and attempt, so that writers need no lock."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from deep3dmap.core.errors import UserError
from deep3dmap.results.attempt_numbers import attempt_name, check_id, new_attempt
from deep3dmap.results.digest import bytes_digest, table_digest
from deep3dmap.results.leases import FOLDER as LEASES
from deep3dmap.results.leases import LIFETIME_S, Lease, acquire_lease
from deep3dmap.results.parquet_files import encode
from deep3dmap.results.remembered import recall, remember
from deep3dmap.results.run_id import content_hash
from deep3dmap.results.schema import TABLES, CurveRow, FileRow, MetricRow, Row, RunRow, to_table
from deep3dmap.results.settings import settings_hash
from deep3dmap.results.small_files import SmallFiles
from deep3dmap.results.storage import Storage
from deep3dmap.results.table_files import TableFiles, only_attempts, uncoded

_SINCE = ("since", pa.timestamp("us", tz="UTC"))
_CARDS = pa.schema([("kind", pa.string()), ("name", pa.string()), ("version", pa.string()), ("data", pa.string()), _SINCE])
_STATES = pa.schema([("run_id", pa.string()), ("state", pa.string()), ("text", pa.string()), _SINCE])
# In addition to the tables of the attempts.
SMALL_TABLES = ("cards", "trials")
# With more runs than this, reading the whole table is faster than reading the files of single attempts.
MANY_RUNS = 100
REMEMBERED = ("runs", "metrics")


class ResultStore:
    """Result store with the tables `runs`, `metrics`, `curves` and `files`, cards, and the states of running trials."""

    def __init__(self, uri: str) -> None:
        self.storage = Storage(uri)
        self.uri = self.storage.uri
        self._tables = {name: TableFiles(name) for name in TABLES}
        self._card_files, self._state_files = SmallFiles("cards", _CARDS), SmallFiles("trials", _STATES)

    # -- writing ------------------------------------------------------------------------------------------------------

    def next_attempt(self, run_id: str) -> int:
        """Return a unique number for a new attempt at a run; later attempts have larger numbers."""
        check_id(run_id)
        return new_attempt()

    def write_attempt(self, run: RunRow, metrics: Sequence[MetricRow], curves: Sequence[CurveRow]) -> None:
        """Write the rows of one attempt, with digests of its artifacts if `artifacts_uri` is set.

        The row of the run is written last, so a crash leaves no visible partial attempt.
        """
        check_id(run.run_id)
        scored = sorted(metrics, key=lambda row: (row.scene, row.metric))
        points = sorted(curves, key=lambda row: (row.scene, row.name, row.step))
        rows: dict[str, Sequence[Row]] = {
            "files": self._file_rows(run.run_id, run.attempt) if run.artifacts_uri else [],
            "metrics": scored,
            "curves": points,
        }
        tables = {name: to_table(own, TABLES[name]) for name, own in rows.items()}
        run = replace(run, config_hash=content_hash(json.loads(run.config)), settings_hash=settings_hash(run.config))
        tables["runs"] = to_table([replace(run, content_hash=attempt_digest(run, tables))], RunRow)
        for name, table in tables.items():
            if table.num_rows or name in ("runs", "metrics"):
                self.storage.write(f"tables/{name}/{attempt_name(run.run_id, run.attempt)}.parquet", encode(table))

    def lease(self, run_ids: Iterable[str], lifetime_s: float = LIFETIME_S) -> Lease:
        """Lease the runs that no other process is working on until the lease is released; see `leases`."""
        for folder in ("tables", LEASES):
            self.storage.sweep(folder)
        return acquire_lease(self.storage, run_ids, lifetime_s)

    def _file_rows(self, run_id: str, attempt: int) -> list[FileRow]:
        folder, found = self.artifacts_name(run_id, attempt), []
        try:
            for name in self.storage.names(folder, "", recursive=True):
                data = self.storage.read(f"{folder}/{name}")
                found.append(FileRow(run_id, attempt, name, len(data), bytes_digest(data)))
        except OSError as error:
            raise UserError(f"{self.uri}/{folder}: cannot read the artifacts: {error.strerror or error}") from error
        return found

    def write_card(self, kind: str, name: str, version: str, data: dict[str, Any]) -> None:
        """Store a version of the card of a method, dataset or suite."""
        row = {
            "kind": kind,
            "name": name,
            "version": version,
            "data": json.dumps(data, default=str),
            "since": datetime.now(UTC),
        }
        file_name = f"{kind}-{name}-{version}".replace("/", "_").replace(":", "_")
        self.storage.write(f"tables/cards/{file_name}.parquet", encode(pa.Table.from_pylist([row], schema=_CARDS)))

    def write_trial_state(self, run_id: str, state: str, text: str = "") -> None:
        """Record the state of a trial: pending, running, or how it ended."""
        row = {"run_id": run_id, "state": state, "text": text, "since": datetime.now(UTC)}
        self.storage.write(f"tables/trials/{check_id(run_id)}.parquet", encode(pa.Table.from_pylist([row], schema=_STATES)))

    def artifacts_name(self, run_id: str, attempt: int) -> str:
        """Return the folder of an attempt's reconstructions and pictures, relative to the store."""
        return f"artifacts/{check_id(run_id)}/{attempt}"

    def artifacts_path(self, run_id: str, attempt: int) -> str:
        """Return the full path or URI of the folder of an attempt's reconstructions and pictures."""
        return f"{self.uri}/{self.artifacts_name(run_id, attempt)}"

    def artifacts(self, run_id: str, attempt: int, ending: str) -> list[str]:
        """Return the sorted full paths of an attempt's artifacts that end with `ending`, including subfolders."""
        folder = self.artifacts_name(run_id, attempt)
        return [f"{self.uri}/{folder}/{name}" for name in self.storage.names(folder, ending, recursive=True)]

    # -- reading ------------------------------------------------------------------------------------------------------

    def runs(self, newest_only: bool = True) -> pd.DataFrame:
        """Return the runs. newest_only: only the newest successful attempt at each run, or the newest if none succeeded."""
        frame = self._tables["runs"].read(self.storage).to_pandas()
        frame = frame.drop_duplicates(["run_id", "attempt"], ignore_index=True)
        return newest_attempts(frame) if newest_only else frame

    def attempt(self, run_id: str, attempt: int) -> pd.DataFrame:
        """Return the row of one attempt, an empty frame if there is none, without reading the others."""
        return self._tables["runs"].rows_of(self.storage, [attempt_name(check_id(run_id), attempt)]).to_pandas()

    def metrics(self, runs: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return the metrics of `runs`, by default of the newest attempt at every run."""
        return self._rows_of("metrics", self.runs() if runs is None else runs)

    def curves(self, runs: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return the curves of `runs`, by default of the newest attempt at every run."""
        return self._rows_of("curves", self.runs() if runs is None else runs)

    def metric_table(self, runs: pd.DataFrame) -> pa.Table:
        """Return the metrics of `runs` as an Arrow table, which may also include rows of other attempts."""
        return self._table("metrics", runs)

    def finished_ids(self) -> set[str]:
        """Return the ids of the successful runs whose metrics exist (a damaged file may have been deleted)."""
        runs, scored = self.runs(), self.covered("metrics")
        ended_well = runs[runs.status == "ok"]
        pairs = zip(ended_well.run_id, ended_well.attempt)
        return {str(run_id) for run_id, attempt in pairs if attempt_name(run_id, attempt) in scored}

    def covered(self, table: str) -> set[str]:
        """Return the names RUN_ID-ATTEMPT of the attempts that a table contains, in single files or segments."""
        return self._tables[table].covered(self.storage)

    def cards(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return {name: data} for the cards of one kind, each in the version written last."""
        return self.all_cards().get(kind, {})

    def all_cards(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return {kind: {name: data}} for all cards, each in the version written last."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for row in sorted(self._card_files.read(self.storage).to_pylist(), key=lambda row: row["since"]):
            found.setdefault(row["kind"], {})[row["name"]] = json.loads(row["data"])
        return found

    def trial_states(self) -> pd.DataFrame:
        """Return the state of each trial."""
        return self._state_files.read(self.storage).to_pandas()

    def unread(self) -> int:
        """Return how many single-attempt files the next read of the tables in REMEMBERED will open."""
        return sum(self._tables[name].unread(self.storage) for name in REMEMBERED)

    def recall(self, folder: Path) -> bool:
        """Load the tables cached by `remember` from a local folder; returns whether all of them were cached and valid."""
        found = [recall(self._tables[name], self.storage, folder) for name in REMEMBERED]
        return all(found)

    def remember(self, folder: Path) -> None:
        """Cache the tables in REMEMBERED, which must have been read, in a local folder."""
        for name in REMEMBERED:
            remember(self._tables[name], self.storage, folder)

    def table(self, name: str) -> pa.Table:
        """Return a whole table as an Arrow table."""
        return self._tables[name].read(self.storage)

    def _table(self, name: str, runs: pd.DataFrame) -> pa.Table:
        if len(runs) > MANY_RUNS:
            return self._tables[name].read(self.storage)
        wanted = [attempt_name(run_id, attempt) for run_id, attempt in zip(runs.run_id, runs.attempt)]
        return self._tables[name].rows_of(self.storage, wanted)

    def _rows_of(self, name: str, runs: pd.DataFrame) -> pd.DataFrame:
        wanted = {attempt_name(run_id, attempt) for run_id, attempt in zip(runs.run_id, runs.attempt)}
        return uncoded(only_attempts(self._table(name, runs), wanted)).to_pandas()


def newest_attempts(attempts: pd.DataFrame) -> pd.DataFrame:
    """Return the newest successful attempt at each run, or the newest if none is ok; most recently started runs first."""
    if attempts.empty:
        return attempts
    ranked = attempts.assign(_ok=attempts.status == "ok").sort_values(["_ok", "attempt"])
    newest = ranked.drop_duplicates("run_id", keep="last").drop(columns="_ok")
    return newest.sort_values("started_at", ascending=False).reset_index(drop=True)


def attempt_digest(run: RunRow, tables: dict[str, pa.Table]) -> str:
    """Return the hash of an attempt's content: its sorted rows and, through the table `files`, its artifacts."""
    own = {name: value for name, value in asdict(run).items() if name not in ("content_hash", "verdict", "verdict_at")}
    digests = {name: table_digest(uncoded(tables[name])) for name in ("files", "metrics", "curves")}
    return content_hash({"run": json.loads(json.dumps(own, default=str)), **digests})
