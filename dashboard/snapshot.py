"""Snapshots of a store; data unchanged since an earlier snapshot are reused."""

import threading
import warnings
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

import pandas as pd
import pyarrow as pa

from deep3dmap.results.across import Ranking, rank_across
from deep3dmap.results.board import Board, Contest
from deep3dmap.results.contenders import Contenders
from deep3dmap.results.entries import Group
from deep3dmap.results.leaderboard import chosen_metrics, contenders_of
from deep3dmap.results.schema import SWEEPS
from deep3dmap.results.store import ResultStore, newest_attempts
from deep3dmap.results.table_files import of_runs, uncoded

Result = TypeVar("Result")


class Snapshot(ResultStore):
    """The state of a store at one moment, held in memory. Returned frames and tables are shared and must not be modified.

    number: counts the snapshots within a process. problems: messages about files that could not be read.
    """

    def __init__(self, store: ResultStore, previous: "Snapshot | None" = None) -> None:
        super().__init__(store.uri)
        self.number: int = previous.number + 1 if previous else 0
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            every = store.runs(newest_only=False)
            self._runs = {False: every, True: newest_attempts(every)}
            self._metrics = store.table("metrics")
            self._cards = store.all_cards()
        self.problems = sorted({str(one.message) for one in caught if "is damaged" in str(one.message)})
        self._lock, self._cached_results = threading.RLock(), dict[Hashable, Any]()
        self._fingerprints = self._group_fingerprints()
        if previous and previous._cards == self._cards:
            self._cached_results = previous.reusable_results(self._fingerprints)

    def runs(self, newest_only: bool = True) -> pd.DataFrame:
        """Return the runs; see `ResultStore.runs`."""
        found: pd.DataFrame = self._runs[newest_only]
        return found

    def metric_table(self, runs: pd.DataFrame) -> pa.Table:
        """Return the metrics of `runs`, possibly along with those of other attempts."""
        if len(runs) == len(self._runs[True]):
            return self._metrics
        # Most pages need few runs, and a store may have millions of rows.
        return of_runs(self._metrics, runs.run_id)

    def metrics(self, runs: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return the metrics of `runs`, by default of the newest attempt at every run."""
        wanted = self._runs[True] if runs is None else runs
        table = uncoded(self.metric_table(wanted))
        found: pd.DataFrame = table.to_pandas().merge(wanted[["run_id", "attempt"]], on=["run_id", "attempt"])
        return found

    def cards(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return {name: data} for the cards of one kind."""
        return self._cards.get(kind, {})

    def suite_card(self, suite: str) -> dict[str, Any]:
        """Return the card of a suite, empty if the store has none."""
        found: dict[str, Any] = self.cards("suite").get(suite, {}).get("card", {})
        return found

    def cached(self, key: Hashable, make: Callable[[], Result]) -> Result:
        """Return the result of `make`, cached by key."""
        with self._lock:
            if key not in self._cached_results:
                self._cached_results[key] = make()
            return cast(Result, self._cached_results[key])

    def attempts(self) -> pd.DataFrame:
        """Return all attempts, newest first; `counts` marks the attempt of each run that the leaderboard uses."""
        return self.cached("attempts", self._attempts)

    def _attempts(self) -> pd.DataFrame:
        every, counting = self._runs[False], self._runs[True]
        chosen = pd.MultiIndex.from_frame(counting[["run_id", "attempt"]])
        marked = every.assign(counts=pd.MultiIndex.from_frame(every[["run_id", "attempt"]]).isin(chosen))
        ordered: pd.DataFrame = marked.sort_values("started_at", ascending=False).reset_index(drop=True)
        return ordered

    def groups(self) -> dict[Group, pd.Timestamp]:
        """Return {group: start of its newest run} for all suite runs, including sweeps; newest first."""
        return self.cached("groups", self._groups)

    def _groups(self) -> dict[Group, pd.Timestamp]:
        runs = self._runs[True]
        keys = list(Group.__dataclass_fields__)
        newest = runs[runs.suite != ""].groupby(keys, sort=False).started_at.max().sort_values(ascending=False, kind="stable")
        found: dict[Any, pd.Timestamp] = newest.to_dict()
        return {Group(key[0], int(key[1]), *key[2:]): when for key, when in found.items()}

    def _group_fingerprints(self) -> dict[Any, tuple[int, int]]:
        """Return {fields of a group: a fingerprint that changes with its runs}."""
        runs = self._runs[True]
        attempts = runs[runs.suite != ""].groupby(list(Group.__dataclass_fields__), sort=False).attempt
        # Attempt numbers contain random bits, so a different attempt changes the sum.
        sums: dict[Any, int] = attempts.sum().to_dict()
        return {key: (int(count), int(sums[key])) for key, count in attempts.size().to_dict().items()}

    def reusable_results(self, fingerprints: dict[Any, tuple[int, int]]) -> dict[Hashable, Any]:
        """Return the cached results for groups whose fingerprints are unchanged in a later snapshot."""
        same = {key for key, fingerprint in self._fingerprints.items() if fingerprints.get(key) == fingerprint}
        with self._lock:
            return {key: result for key, result in self._cached_results.items() if _fields_of(key) in same}

    def runs_of(self, group: Group) -> pd.DataFrame:
        """Return the runs of a group."""
        runs = self._runs[True]
        own = pd.Series(True, index=runs.index)
        for name, value in vars(group).items():
            own &= runs[name] == value
        return runs[own]

    def metric_names(self, group: Group) -> list[str]:
        """Return the metrics of a group, the suite's headline first; only the headline if nothing was scored."""
        headline = self.suite_card(group.suite).get("headline")
        return sorted(self.contenders(group).metrics, key=lambda name: name != headline)

    def contenders(self, group: Group) -> Contenders:
        """Return the entries of a group."""
        return self.cached(("contenders", group), lambda: self._contenders(group))

    def _contenders(self, group: Group) -> Contenders:
        (found,) = contenders_of(self, self.runs_of(group).reset_index(drop=True))
        return found

    def board(self, group: Group, metric: str) -> Board:
        """Return the board of a group under one of its metrics."""
        return self.cached(("board", group, metric), lambda: Contest(self.contenders(group), metric).board())

    def ranking(self, group: Group) -> Ranking:
        """Return the mean ranks over the headline boards of a group's tier that share at least two entries with its own.

        If all boards of the tier do, the result is that of `deep3dmap leaderboard --across`.
        """
        return self.cached(("ranking", group), lambda: self._ranking(group))

    def _ranking(self, group: Group) -> Ranking:
        groups = sorted(one for one in self.groups() if one.tier == group.tier and not one.suite.startswith(SWEEPS))
        every = [self.board(one, metric) for one in groups for metric in chosen_metrics(self.contenders(one), None)]
        own = next((_entries_of(board) for board in every if board.group == group), set())
        return rank_across([board for board in every if len(_entries_of(board) & own) > 1])


def _entries_of(board: Board) -> set[tuple[str, str]]:
    return {(row.method, row.variant) for row in board.rows if row.rank is not None}


def _fields_of(key: Hashable) -> tuple[Any, ...] | None:
    """Return the fields of the group that a cache key refers to, None if it does not refer to a single group."""
    if isinstance(key, tuple) and key[0] != "ranking" and isinstance(key[1], Group):
        return tuple(vars(key[1]).values())
    return None
