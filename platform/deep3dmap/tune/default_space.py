"""The default search space of a method, used if the user specifies none."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from deep3dmap.config.schema import OptimizerConfig, ScheduleConfig, TrainerConfig
from deep3dmap.config.variants import tuning_space
from deep3dmap.core.errors import UserError
from deep3dmap.core.registry import methods
from deep3dmap.tune.domains import Choice, Domain, Integers, Numbers

# Range of the learning rate around the configured one, in both directions, for methods without a `tune:` section.
LEARNING_RATE_FACTOR = 10.0
_SECTIONS = {"optimizer": OptimizerConfig, "schedule": ScheduleConfig, "trainer": TrainerConfig}


def default_space(method: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return {dotted key: text}: the `tune:` section of the method's config.yaml, else the bounds of its options.

    config: the resolved run. Raises UserError for a method with neither.
    """
    method_space = tuning_space(method)
    if method_space:
        return method_space
    cls = methods.load(method)
    space = {} if not cls.card.trains_on else {"optimizer.lr": _learning_rate(float(config["optimizer"]["lr"])).text()}
    for option in fields(cls.config_type):
        domain = domain_of_option(option)
        if domain and isinstance(config["method"].get(option.name), int | float | str):
            space[f"method.{option.name}"] = domain.text()
    if not space:
        raise UserError(f"method '{method}' specifies no bounds for tuning; give tune.space.KEY=..., e.g. uniform(0,1)")
    return space


def bounds_of(method: str, key: str) -> str:
    """Return the domain that `tune.space.KEY=auto` stands for, given by the option's bounds. Raises UserError without them."""
    section, _, name = key.partition(".")
    owner = methods.load(method).config_type if section == "method" else _SECTIONS.get(section)
    option = next((f for f in fields(owner) if f.name == name), None) if owner else None
    domain = domain_of_option(option) if option else None
    if domain is None:
        raise UserError(f"tune.space.{key}=auto: the option specifies no bounds; give them, e.g. uniform(0,1)")
    return domain.text()


def domain_of_option(option: Any) -> Domain | None:
    """Return the domain given by a config field's metadata, None if they contain neither choices nor both bounds."""
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
