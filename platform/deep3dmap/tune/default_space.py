"""The space a method is tuned in where the user names none."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from deep3dmap.config.schema import OptimizerConfig, ScheduleConfig, TrainerConfig
from deep3dmap.config.variants import tuning_space
from deep3dmap.core.errors import UserError
from deep3dmap.core.registry import methods
from deep3dmap.tune.domains import Choice, Domain, Integers, Numbers

# How far the learning rate may go from the configured one, either way, where a method says nothing of its space.
LEARNING_RATE_FACTOR = 10.0
_SECTIONS = {"optimizer": OptimizerConfig, "schedule": ScheduleConfig, "trainer": TrainerConfig}


def default_space(method: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return {dotted key: text}: the `tune:` section of the method's config.yaml, else what its options' bounds say.

    config: the resolved run. Raises UserError for a method that has neither.
    """
    written = tuning_space(method)
    if written:
        return written
    cls = methods.load(method)
    found = {} if not cls.card.trains_on else {"optimizer.lr": _learning_rate(float(config["optimizer"]["lr"])).text()}
    for option in fields(cls.config_type):
        domain = domain_of_option(option)
        if domain and isinstance(config["method"].get(option.name), int | float | str):
            found[f"method.{option.name}"] = domain.text()
    if not found:
        raise UserError(f"method '{method}' names no bounds to tune within; give tune.space.KEY=..., e.g. uniform(0,1)")
    return found


def bounds_of(method: str, key: str) -> str:
    """Return what `tune.space.KEY=auto` stands for: the bounds of the key's own option; raises UserError if it names none."""
    section, _, name = key.partition(".")
    owner = methods.load(method).config_type if section == "method" else _SECTIONS.get(section)
    option = next((f for f in fields(owner) if f.name == name), None) if owner else None
    domain = domain_of_option(option) if option else None
    if domain is None:
        raise UserError(f"tune.space.{key}=auto: the option names no bounds; write them, e.g. uniform(0,1)")
    return domain.text()


def domain_of_option(option: Any) -> Domain | None:
    """Return what the metadata of a config field allow, None where they name neither choices nor two bounds."""
    about = option.metadata
    if about.get("choices"):
        return Choice(tuple(about["choices"]))
    low, high = about.get("low"), about.get("high")
    if low is None or high is None:
        return None
    if option.type in (int, "int"):
        return Integers(int(low), int(high), log=bool(about.get("log")))
    return Numbers(float(low), float(high), log=bool(about.get("log")))


def _learning_rate(configured: float) -> Numbers:
    bounds = next(f.metadata for f in fields(OptimizerConfig) if f.name == "lr")
    low = max(bounds["low"], configured / LEARNING_RATE_FACTOR)
    return Numbers(low, min(bounds["high"], configured * LEARNING_RATE_FACTOR), log=True)
