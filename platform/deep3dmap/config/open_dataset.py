"""Builds a dataset from the sections of a composed configuration."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deep3dmap.config.compose import build_section
from deep3dmap.core.dataset import Dataset
from deep3dmap.core.errors import UserError
from deep3dmap.core.registry import datasets
from deep3dmap.data.cache import default_cache


def open_dataset(name: str, dataset: Mapping[str, Any], data: Mapping[str, Any]) -> Dataset:
    """Build a registered dataset from its section and the `data` section; it may have to be prepared yet."""
    cls = datasets.load(name)
    cache = Path(data["cache"]).expanduser() if data.get("cache") else default_cache()
    there = next(place for place in (cache.absolute(), *cache.absolute().parents) if place.exists())
    if not there.is_dir():
        raise UserError(f"data.cache={cache}: {there} is a file, not a folder; choose another place")
    opened: Dataset = cls(build_section(cls.config_type, dict(dataset), "dataset."), cache=cache.resolve())
    return opened


def prepare_dataset(dataset: Dataset, data: Mapping[str, Any], quiet: bool) -> None:
    """Make what is missing, in data.workers processes (0 = one per CPU)."""
    dataset.prepare(workers=int(data.get("workers") or 0) or os.cpu_count() or 1, quiet=quiet)
