"""A store as it was at one moment, read once, since opening a thousand small files takes seconds."""

import warnings
from typing import Any

import pandas as pd

from deep3dmap.results.store import ResultStore


class Snapshot(ResultStore):
    """Answers from memory what the leaderboard asks of a store. problems: the files that could not be read."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            every = super().runs(newest_only=False)
            self._runs = {False: every, True: super().runs()}
            self._metrics = super().metrics(every)
            self._cards = {kind: super(Snapshot, self).cards(kind) for kind in ("method", "dataset", "suite")}
        self.problems = sorted({str(one.message) for one in caught if "is damaged" in str(one.message)})

    def runs(self, newest_only: bool = True) -> pd.DataFrame:
        """Return the runs."""
        return self._runs[newest_only].copy()

    def metrics(self, runs: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return the metrics of `runs` (default: of the newest attempt at every run)."""
        wanted = (self._runs[True] if runs is None else runs)[["run_id", "attempt"]]
        return self._metrics.merge(wanted, on=["run_id", "attempt"])

    def cards(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return {name: data} of the cards of one kind."""
        return self._cards[kind]
