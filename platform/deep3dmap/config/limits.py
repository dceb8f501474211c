"""What a composed run may hold, checked once and before anything is started."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from deep3dmap.config.schema import DataConfig, OptimizerConfig, RunConfig, ScheduleConfig, TrainerConfig
from deep3dmap.core.errors import UserError
from deep3dmap.core.options import check_options

_SECTIONS = {"trainer": TrainerConfig, "optimizer": OptimizerConfig, "schedule": ScheduleConfig}


def check_run(config: Mapping[str, Any], method: type, dataset: type) -> None:
    """Raise UserError for the first value of a run that is not possible. method, dataset: the types of their sections."""
    check_data(config, dataset)
    for section, kind in _SECTIONS.items():
        check_options(kind, config[section], section + ".")
    check_options(method, config["method"], "method.")
    plain = {of.name for of in fields(RunConfig) if of.metadata}
    check_options(RunConfig, {name: value for name, value in config.items() if name in plain})
    _check_batch(config["trainer"])


def check_data(config: Mapping[str, Any], dataset: type) -> None:
    """Raise UserError for the first value of the sections `dataset` and `data` that is not possible."""
    check_options(DataConfig, config["data"], "data.")
    check_options(dataset, config["dataset"], "dataset.", searched=False)


def _check_batch(trainer: Mapping[str, Any]) -> None:
    parts = trainer["workers"] * trainer["accumulate"]
    if trainer["batch_size"] % parts:
        raise UserError(
            f"trainer.batch_size={trainer['batch_size']}: must be a multiple of workers x accumulate = "
            f"{trainer['workers']} x {trainer['accumulate']}"
        )
    if trainer["min_workers"] > trainer["workers"]:
        raise UserError(f"trainer.min_workers={trainer['min_workers']}: must be at most trainer.workers={trainer['workers']}")
