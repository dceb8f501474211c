"""A store as it was at one moment; what an earlier moment has read is not read again."""

import warnings
from typing import Any

import pandas as pd
import pyarrow as pa

from deep3dmap.results.store import ResultStore
from deep3dmap.results.table_files import uncoded


class Snapshot(ResultStore):
    """Answers from memory what the leaderboard asks of a store. problems: the files that could not be read."""

    def __init__(self, store: ResultStore) -> None:
        super().__init__(store.uri)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self._runs = {False: store.runs(newest_only=False), True: store.runs()}
            self._metrics = store.table("metrics")
            self._cards = {kind: store.cards(kind) for kind in ("method", "dataset", "suite")}
        self.problems = sorted({str(one.message) for one in caught if "is damaged" in str(one.message)})

    def runs(self, newest_only: bool = True) -> pd.DataFrame:
        """Return the runs."""
        return self._runs[newest_only].copy()

    def metric_table(self, runs: pd.DataFrame) -> pa.Table:
        """Return the metrics of `runs` and of other attempts."""
        return self._metrics

    def metrics(self, runs: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return the metrics of `runs` (default: of the newest attempt at every run)."""
        wanted = (self._runs[True] if runs is None else runs)[["run_id", "attempt"]]
        return uncoded(self._metrics).to_pandas().merge(wanted, on=["run_id", "attempt"])

    def cards(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return {name: data} of the cards of one kind."""
        return self._cards[kind]
