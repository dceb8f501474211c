"""Preparation of only the data that planned runs need: test splits for scoring, other splits for training."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from deep3dmap.config.open_dataset import missing_data, open_dataset, prepare_dataset
from deep3dmap.core.dataset import Dataset, Preparation
from deep3dmap.runs.run_plan import RunPlan


def prepare_data(plans: Iterable[RunPlan]) -> None:
    """Generate the missing data that `plans` need; long preparations are announced and show their progress."""
    for dataset, data, splits in _needed(plans):
        prepare_dataset(dataset, data, False, splits)


def missing_preparations(plans: Iterable[RunPlan]) -> list[Preparation]:
    """Return what `prepare_data` would generate, without generating it; raises UserError for a missing root folder."""
    return [preparation for dataset, _, splits in _needed(plans) for preparation in missing_data(dataset, splits)]


def _needed(plans: Iterable[RunPlan]) -> Iterator[tuple[Dataset, Mapping[str, Any], list[str]]]:
    needed_splits: dict[str, tuple[str, Mapping[str, Any], Mapping[str, Any], set[str]]] = {}

    def add_splits(name: str, config: Mapping[str, Any], *splits: str) -> None:
        section, data = config["dataset"], config["data"]
        needed_splits.setdefault(f"{name} {section} {data}", (name, section, data, set()))[3].update(splits)

    for plan in plans:
        if plan.suite:
            add_splits(plan.dataset, plan.config, "test")
        if plan.job.trains and not plan.checkpoint:
            add_splits(plan.job.dataset, plan.job.config, "train", "val")
    for name, section, data, splits in needed_splits.values():
        dataset = open_dataset(name, section, data)
        yield dataset, data, [split for split in dataset.card.splits if split in splits]
