"""Composition of a run's configuration from named layers with Hydra, recording which layer set each value."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deep3dmap.config.key_names import nearest_key
from deep3dmap.config.limits import check_data, check_run
from deep3dmap.config.overrides import OVERLAY_SECTIONS, as_override, split_override
from deep3dmap.config.plain_data import check_plain
from deep3dmap.config.schema import (
    SCHEMA_VERSION,
    DataConfig,
    FitConfig,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    TrainerConfig,
)
from deep3dmap.config.variants import check_choice_name, overlay
from deep3dmap.core.errors import UserError, nearest
from deep3dmap.core.nested import flatten
from deep3dmap.core.options import check_options
from deep3dmap.core.registry import Registry, datasets, methods


@dataclass(frozen=True)
class Layer:
    """Values that override those of earlier layers. source: their origin. overrides: `key=value` strings."""

    source: str
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class ComposedRun:
    """The resolved configuration of a run as plain data, and the source of each dotted key."""

    method: str
    variant: str
    dataset: str
    dataset_variant: str
    config: dict[str, Any]
    sources: dict[str, str] = field(compare=False)

    def section(self, name: str) -> dict[str, Any]:
        """Return one section as a plain dictionary."""
        return dict(self.config[name])


def layer_of(source: str, tree: dict[str, Any]) -> Layer:
    """Convert a nested dictionary to a layer."""
    return Layer(source, tuple(as_override(key, value) for key, value in flatten(tree).items()))


def compose_run(method: str, dataset: str, layers: Sequence[Layer] = ()) -> ComposedRun:
    """Compose `method` and `dataset`, each `name` or `name/variant`, with `layers`; later layers override earlier ones.

    Raises UserError for an unknown name, variant or key (suggesting the nearest valid one), or for an invalid value.
    """
    for text in (text for layer in layers for text in layer.overrides):
        split_override(text)
    # Importing a class may take seconds, so check both names for spelling mistakes first.
    for registry, choice in ((methods, method), (datasets, dataset)):
        check_choice_name(registry, choice)
    method_name, variant, method_overlay = overlay(methods, method)
    dataset_name, dataset_variant, dataset_overlay = overlay(datasets, dataset)
    _store(methods, "method", method_name, variant, method_overlay)
    _store(datasets, "dataset", dataset_name, dataset_variant, dataset_overlay)
    # `inputs` is an open dictionary with method-specific keys, which Hydra only accepts with the prefix `++`.
    overrides = ["++" * text.startswith("inputs.") + text for layer in layers for text in layer.overrides]
    choices = [f"method={_option(method_name)}/{variant}", f"dataset={_option(dataset_name)}/{dataset_variant}"]
    config = _compose([*choices, *overrides])
    check_run(config, methods.load(method_name).config_type, datasets.load(dataset_name).config_type)
    return ComposedRun(
        method_name,
        variant,
        dataset_name,
        dataset_variant,
        {"schema": SCHEMA_VERSION, **config},
        _sources(
            config,
            (
                (f"variant {method_name}/{variant}", method_overlay),
                (f"variant {dataset_name}/{dataset_variant}", dataset_overlay),
            ),
            layers,
        ),
    )


def compose_dataset(dataset: str, layers: Sequence[Layer] = ()) -> dict[str, Any]:
    """Compose only the sections `dataset` and `data`; raises UserError like `compose_run`."""
    name, variant, values = overlay(datasets, dataset)
    _store(datasets, "dataset", name, variant, values)
    overrides = [f"dataset={_option(name)}/{variant}", *(text for layer in layers for text in layer.overrides)]
    config = _compose(overrides, "data")
    check_data(config, datasets.load(name).config_type)
    return config


def build_section(config_type: type, values: dict[str, Any], prefix: str = "") -> Any:
    """Build the typed dataclass of a section from plain data.

    prefix: prefix of its fields on the command line. Raises UserError for an unknown field or an invalid value.
    """
    known = [option.name for option in fields(config_type)]
    for key in values:
        if key not in known:
            raise UserError(f"unknown key '{prefix}{key}'{nearest(prefix + key, [prefix + name for name in known])}")
    for key, value in values.items():
        check_plain(value, prefix + key)
    try:
        built = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(config_type), values))
    except OmegaConfBaseException as error:
        raise UserError(f"{prefix}{error.full_key or config_type.__name__}: {_simplify_message(str(error))}") from error
    check_options(config_type, vars(built), prefix)
    return built


def check_value(config_type: type, key: str, value: Any, prefix: str = "") -> None:
    """Raise UserError if a value is invalid for a field of a section; much faster than building the section."""
    check_plain(value, prefix + key)
    section = _structured(config_type)
    before = OmegaConf.select(section, key)
    try:
        OmegaConf.update(section, key, value)
    except OmegaConfBaseException as error:
        raise UserError(f"{prefix}{key}: {_simplify_message(str(error))}") from error
    finally:
        OmegaConf.update(section, key, before)
    check_options(config_type, {key: value}, prefix)


@cache
def _structured(config_type: type) -> Any:
    return OmegaConf.structured(config_type)


def _store(registry: Registry, group: str, name: str, variant: str, values: dict[str, Any]) -> None:
    unknown_sections = set(values) - set(OVERLAY_SECTIONS)
    if unknown_sections:
        raise UserError(
            f"variant {name}/{variant}: unknown section {sorted(unknown_sections)}; available: {', '.join(OVERLAY_SECTIONS)}"
        )
    store = ConfigStore.instance()
    option = _option(name)
    store.store(group=f"schema/{group}", name=option, node=registry.load(name).config_type)
    node = OmegaConf.create({"defaults": [f"/schema/{group}/{option}@{group}", "_self_"], **values})
    store.store(group=f"{group}/{option}", name=variant, package="_global_", node=node)


def _option(name: str) -> str:
    # Hydra's grammar does not accept `module:Class` as a config group option.
    return re.sub(r"\W", "_", name)


def _register_groups() -> None:
    store = ConfigStore.instance()
    store.store(name="run", node=RunConfig)
    store.store(name="data", node={"defaults": [{"data": "default"}, {"dataset": "???"}, "_self_"]})
    for group, schema in (
        ("trainer", TrainerConfig),
        ("optimizer", OptimizerConfig),
        ("schedule", ScheduleConfig),
        ("fit", FitConfig),
        ("data", DataConfig),
    ):
        store.store(group=group, name="default", node=schema)


def _compose(overrides: list[str], root: str = "run") -> dict[str, Any]:
    _register_groups()
    GlobalHydra.instance().clear()
    with initialize(config_path=None, version_base="1.3"):
        try:
            return _plain(compose(root, overrides=overrides))
        except (HydraException, OmegaConfBaseException) as error:
            raise _explain(
                error,
                _plain(
                    compose(root, overrides=[text for text in overrides if text.partition("=")[0] in ("method", "dataset")])
                ),
            ) from error


def _plain(config: Any) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    if not isinstance(plain, dict):
        raise TypeError(f"a configuration is a dictionary, got {type(plain)}")
    return {str(key): value for key, value in plain.items()}


def _explain(error: Exception, composed: dict[str, Any]) -> UserError:
    text = f"{error}\n{error.__cause__ or ''}"
    missing = re.search(r"Could not override '([^']+)'", text) or re.search(r"full_key: (\S+)", text)
    key = missing.group(1) if missing else ""
    if key and key not in flatten(composed):
        return UserError(f"unknown key '{key}'{nearest_key(key, flatten(composed))}")
    return UserError(f"{key + ': ' if key else ''}{_simplify_message(str(error.__cause__ or '') or text)}")


def _simplify_message(message: str) -> str:
    """Return the first line of OmegaConf's message, reworded where it mentions internal classes."""
    if "is not a ListConfig" in message:
        return "expected a list, for example [A,B,C]"
    return message.splitlines()[0]


def _sources(config: dict[str, Any], overlays: Iterable[tuple[str, dict[str, Any]]], layers: Sequence[Layer]) -> dict[str, str]:
    sources = dict.fromkeys(flatten(config), "default")
    named = [(source, flatten(values)) for source, values in overlays]
    named += [(layer.source, dict(split_override(text) for text in layer.overrides)) for layer in layers]
    for source, values in named:
        for key in values:
            sources.update({leaf: source for leaf in sources if leaf == key or leaf.startswith(key + ".")})
    return sources
