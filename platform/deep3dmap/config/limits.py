"""Validation of the values of a composed run, before anything is started."""

from collections.abc import Mapping
from typing import Any

from deep3dmap.config.plugins import list_working
from deep3dmap.config.schema import DataConfig, RunConfig
from deep3dmap.core.card import DatasetCard, MethodCard
from deep3dmap.core.errors import UserError
from deep3dmap.core.options import check_options
from deep3dmap.core.registry import datasets


def check_run(config: Mapping[str, Any], method: type, dataset: type) -> None:
    """Raise UserError for the first invalid value of a run. method, dataset: config types of the two sections."""
    check_data(config, dataset)
    check_options(method, config["method"], "method.")
    check_options(RunConfig, config)
    _check_batch(config["trainer"])


def check_data(config: Mapping[str, Any], dataset: type) -> None:
    """Raise UserError for the first invalid value in the sections `dataset` and `data`."""
    check_options(DataConfig, config["data"], "data.")
    check_options(dataset, config["dataset"], "dataset.", searched=False)


def check_training_keys(method: MethodCard, dataset: DatasetCard, inputs: Mapping[str, str], names: tuple[str, str]) -> None:
    """Raise UserError if a dataset lacks a key that a method trains on.

    inputs: {the method's key: the dataset's key}. names: names of the method and the dataset.
    """
    for key in method.trains_on:
        source = inputs.get(key, key)
        if source not in dataset.provides:
            required = set(method.trains_on)
            suitable = [name for name in list_working(datasets) if required <= set(datasets.load(name).card.provides)]
            raise UserError(
                f"method '{names[0]}' trains on '{key}', but dataset '{names[1]}' has no '{source}'; datasets with "
                f"all required keys: {', '.join(suitable) or 'none'} (inputs.{key}=KEY maps another key)"
            )


def _check_batch(trainer: Mapping[str, Any]) -> None:
    parts = trainer["workers"] * trainer["accumulate"]
    if trainer["batch_size"] % parts:
        raise UserError(
            f"trainer.batch_size={trainer['batch_size']}: must be a multiple of workers x accumulate = "
            f"{trainer['workers']} x {trainer['accumulate']}"
        )
    if trainer["min_workers"] > trainer["workers"]:
        raise UserError(f"trainer.min_workers={trainer['min_workers']}: must be at most trainer.workers={trainer['workers']}")
