"""The leaderboard: one aggregation for the terminal, the web and every export. docs/results.md describes it."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deep3dmap.results.entries import Entry, Group, split_into_entries
from deep3dmap.results.schema import SWEEPS
from deep3dmap.results.statistics import bootstrap_interval, paired_p_value, pareto_front, seeded_interval
from deep3dmap.results.store import ResultStore


@dataclass(frozen=True)
class LeaderboardRow:
    """One entry under one metric.

    value: mean over seeds of the mean over scenes; None where nothing finished or a value is not finite. low, high: its 95 %
    bootstrap interval. seconds: training and reconstruction, mean over seeds. reconstruct_s: mean per scene. parameters: of the
    trained network. failed: runs that did not end well, a trial that a sweep stopped not among them; error: the last line of
    the newest run that is not ok. rank: within the group, from 1. p_value: against the best of the group, over the same scenes.
    """

    suite: str
    protocol_version: int
    tier: str
    dataset: str
    dataset_variant: str
    dataset_version: str
    method: str
    variant: str
    is_baseline: bool
    inputs: tuple[str, ...]
    metric: str
    unit: str
    better: str
    value: float | None
    low: float | None
    high: float | None
    seeds: int
    scenes: int
    train_s: float | None
    reconstruct_s: float | None
    seconds: float | None
    peak_ram_mb: float | None
    peak_gpu_mb: float | None
    parameters: int | None
    failed: int
    error: str = ""
    note: str = ""
    rank: int | None = None
    p_value: float | None = None
    on_pareto_front: bool = False

    @property
    def group(self) -> Group:
        """What the row may be compared within."""
        names = ("suite", "protocol_version", "tier", "dataset", "dataset_variant", "dataset_version")
        return Group(*(getattr(self, name) for name in names))

    @property
    def given(self) -> str:
        """The inputs in words: cameras, that is intrinsics with poses, are called poses."""
        return given_in_words(self.inputs)


def given_in_words(inputs: Sequence[str]) -> str:
    """Return the keys a method was handed as a short list, such as "images, depths, poses"."""
    posed = "world_from_camera" in inputs
    kept = [key for key in inputs if not (posed and key == "intrinsics")]
    return ", ".join("poses" if key == "world_from_camera" else key for key in kept)


def leaderboard(
    store: ResultStore,
    suite: str | None = None,
    dataset: str | None = None,
    tier: str | None = None,
    metric: str | None = None,
) -> list[LeaderboardRow]:
    """Aggregate the newest finished attempt of every run, group by group, best first.

    suite, dataset (NAME or NAME/VARIANT), tier: keep only these. metric: a name, "all", or None for each suite's headline;
    a suite without a card in the store shows all it has. Groups without the metric are left out, and so are sweeps unless
    `suite` names one ("tune:NAME").
    """
    runs = store.runs()
    kept = runs[_wanted(runs, suite, dataset, tier)]
    if kept.empty:
        return []
    values, suites, baselines = store.metrics(kept), store.cards("suite"), _baselines(store)
    by_run = {str(run_id): own for run_id, own in values.groupby("run_id", sort=False)}
    rows: list[LeaderboardRow] = []
    for group, entries in split_into_entries(kept).items():
        card = suites.get(group.suite, {}).get("card", {})
        for one in _chosen(metric, card, _names_in(entries, by_run)):
            rows += _ranked([_Scored(entry, one, by_run, card, entry.method in baselines) for entry in entries])
    return rows


class _Scored:
    """The values of one entry under one metric."""

    def __init__(
        self, entry: Entry, metric: str, by_run: dict[str, pd.DataFrame], card: dict[str, Any], baseline: bool
    ) -> None:
        self.entry, self.metric, self.baseline = entry, metric, baseline
        runs = [by_run[run] for run in entry.finished.run_id if run in by_run]
        self.tested = len({scene for own in runs for scene in own.scene.unique()} - {""})
        self.card: dict[str, str] = next((item for item in card.get("metrics", ()) if item["name"] == metric), {})
        found = [own[own.metric == metric] for run in entry.finished.run_id if (own := by_run.get(run)) is not None]
        self.frames = [own for own in found if len(own)]
        # A summary of a run, such as a mean of bins, is no scene: it counts as it stands.
        self.summaries = [own.value[own.scene == ""].to_numpy() for own in self.frames if (own.scene == "").any()]
        self.seeds = self.summaries or [own.value.to_numpy() for own in self.frames]

    @cached_property
    def scenes(self) -> "pd.Series[float]":
        """Mean over seeds of each scene's value; empty for a summary."""
        if self.summaries or not self.frames:
            return pd.Series(dtype=float)
        return pd.concat(self.frames).groupby("scene").value.mean()

    @cached_property
    def value(self) -> float | None:
        if not self.seeds:
            return None
        mean = float(np.mean([values.mean() for values in self.seeds]))
        return mean if math.isfinite(mean) else None

    def interval(self) -> tuple[float | None, float | None]:
        if self.value is None:
            return None, None
        if self.summaries:
            found = bootstrap_interval(np.array([values.mean() for values in self.seeds]))
        else:
            found = seeded_interval(self.seeds)
        return found or (None, None)

    def row(self) -> LeaderboardRow:
        entry, (low, high), first = self.entry, self.interval(), self.frames[0].iloc[0] if self.frames else None
        return LeaderboardRow(
            **vars(entry.group),
            method=entry.method,
            variant=entry.variant,
            is_baseline=self.baseline,
            inputs=tuple(entry.runs.inputs.iloc[-1]),
            metric=self.metric,
            unit=str(self.card.get("unit", "") if first is None else first.unit),
            better=str(self.card.get("better", "") if first is None else first.better),
            value=self.value,
            low=low,
            high=high,
            seeds=len(self.seeds),
            scenes=len(self.scenes) or self.tested if self.frames else 0,
            failed=int((~entry.runs.status.isin(("ok", "stopped"))).sum()),
            error=self._error(),
            note=entry.note,
            **_costs(entry.finished, self.tested),
        )

    def _error(self) -> str:
        failed = self.entry.runs[self.entry.runs.status != "ok"].sort_values("started_at")
        if self.value is None and self.frames:
            return f"{self.metric} is not finite"
        if self.value is None and len(self.entry.finished):
            return f"no {self.metric}"
        if failed.empty:
            return ""
        last = failed.iloc[-1]
        return f"{last.status}: {(last.error.strip().splitlines() or [''])[-1]}".removesuffix(": ")


def _costs(finished: pd.DataFrame, scenes: int) -> dict[str, Any]:
    names = ("train_s", "reconstruct_s", "seconds", "peak_ram_mb", "peak_gpu_mb", "parameters")
    if finished.empty:
        return dict.fromkeys(names)
    return {
        "train_s": float(finished.train_s.mean()),
        "reconstruct_s": float(finished.reconstruct_s.mean()) / scenes if scenes else None,
        "seconds": float((finished.train_s + finished.reconstruct_s).mean()),
        "peak_ram_mb": float(finished.peak_ram_mb.max()),
        "peak_gpu_mb": float(finished.peak_gpu_mb.max()),
        "parameters": int(finished.parameters.max()),
    }


def _ranked(scored: Sequence[_Scored]) -> list[LeaderboardRow]:
    all_scenes = {scene for one in scored for scene in one.scenes.index}
    rows = [_with_share_of_scenes(one, len(all_scenes)) for one in scored]
    good = [index for index, row in enumerate(rows) if row.value is not None]
    if good:
        better = rows[good[0]].better
        sign = -1 if better == "up" else 1
        losses = {index: sign * (rows[index].value or 0.0) for index in good}
        best, in_order = min(good, key=lambda index: losses[index]), sorted(losses.values())
        front = _front([rows[index] for index in good], better)
        for index, flag in zip(good, front):
            rows[index] = replace(
                rows[index],
                rank=1 + bisect_left(in_order, losses[index]),
                p_value=None if index == best else _p_value(scored[index], scored[best]),
                on_pareto_front=bool(flag),
            )
    return sorted(rows, key=lambda row: (row.rank is None, row.rank or 0, row.method, row.variant))


def _with_share_of_scenes(one: _Scored, all_scenes: int) -> LeaderboardRow:
    row = one.row()
    if not len(one.scenes) or len(one.scenes) == all_scenes:
        return row
    share = f"scored on {len(one.scenes)} of {all_scenes} scenes"
    return replace(row, note=f"{row.note}; {share}" if row.note else share)


def _front(rows: Sequence[LeaderboardRow], better: str) -> NDArray[np.bool_]:
    quality, seconds = (np.array([getattr(row, name) for row in rows], np.float64) for name in ("value", "seconds"))
    return pareto_front(quality, seconds, better)


def _p_value(one: _Scored, best: _Scored) -> float | None:
    mine, others = one.scenes, best.scenes
    both = mine.index.intersection(others.index)
    return paired_p_value(mine[both], others[both])


def _wanted(runs: pd.DataFrame, suite: str | None, dataset: str | None, tier: str | None) -> "pd.Series[bool]":
    wanted = runs.suite != ""
    if suite is None:
        # The trials of a sweep were scored on the validation split, and compare with each other only.
        wanted &= ~runs.suite.astype(str).str.startswith(SWEEPS)
    for column, value in (("suite", suite), ("tier", tier)):
        if value is not None:
            wanted &= runs[column] == value
    if dataset is not None:
        name, _, variant = dataset.partition("/")
        wanted &= (runs.dataset == name) & ((runs.dataset_variant == variant) | (not variant))
    return wanted


def _baselines(store: ResultStore) -> set[str]:
    return {name for name, page in store.cards("method").items() if page["card"].get("is_baseline")}


def _names_in(entries: Sequence[Entry], by_run: dict[str, pd.DataFrame]) -> list[str]:
    runs = [run for entry in entries for run in entry.finished.run_id if run in by_run]
    return sorted({name for run in runs for name in by_run[run].metric.unique()})


def _chosen(metric: str | None, card: dict[str, Any], present: list[str]) -> list[str]:
    if metric is None and card:
        return [card["headline"]]
    if metric is None or metric == "all":
        in_order = [item["name"] for item in card.get("metrics", ()) if item["name"] in present]
        return in_order + [name for name in present if name not in in_order] or [card.get("headline", "")]
    return [metric] if metric in present else []
