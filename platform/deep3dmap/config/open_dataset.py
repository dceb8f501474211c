"""Opening a dataset from the sections of a composed configuration."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deep3dmap.config.compose import build_section
from deep3dmap.core.dataset import Dataset, Preparation, PreparedBySplit
from deep3dmap.core.files import require_folder
from deep3dmap.core.registry import datasets
from deep3dmap.data.cache import default_cache


def open_dataset(name: str, dataset: Mapping[str, Any], data: Mapping[str, Any]) -> Dataset:
    """Construct a registered dataset from its section and the `data` section, without preparing it."""
    cls = datasets.load(name)
    cache = Path(data["cache"]).expanduser() if data.get("cache") else default_cache()
    require_folder(cache, f"data.cache={cache}")
    opened: Dataset = cls(build_section(cls.config_type, dict(dataset), "dataset."), cache=cache.resolve())
    return opened


def prepare_dataset(dataset: Dataset, data: Mapping[str, Any], quiet: bool, splits: Sequence[str] | None = None) -> None:
    """Generate the missing data of `splits` (None = all) with data.workers processes (0 = one per CPU)."""
    workers = worker_count(data)
    if isinstance(dataset, PreparedBySplit):
        dataset.prepare(workers=workers, quiet=quiet, splits=splits)
    else:
        dataset.prepare(workers=workers, quiet=quiet)


def missing_data(dataset: Dataset, splits: Sequence[str] | None = None) -> list[Preparation]:
    """Return what `prepare_dataset` would generate, without generating it; raises UserError for a missing root folder."""
    if dataset.card.needs_root:
        _ = dataset.root
    return dataset.missing(splits) if isinstance(dataset, PreparedBySplit) else []


def worker_count(data: Mapping[str, Any]) -> int:
    """Return the number of processes that prepare data."""
    return int(data.get("workers") or 0) or os.cpu_count() or 1
