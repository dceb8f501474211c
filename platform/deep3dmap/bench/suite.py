"""A suite as used by a benchmark: its protocol, and its datasets and tiers from suite.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deep3dmap.config.plugins import list_working
from deep3dmap.config.variants import variants
from deep3dmap.core.errors import UserError, nearest, unknown
from deep3dmap.core.protocol import Protocol
from deep3dmap.core.registry import Registry, datasets, methods, suites
from deep3dmap.runs.suite_file import read_suite_file


@dataclass(frozen=True)
class Tier:
    """A budget. dataset, method: {name: variant}. overlay: config sections applied to every run. scenes: maximum (0 = all).

    For a method, the variant may also be {dataset: variant}, depending on the dataset it trains on.
    tuning: number of trials for tuning each trained method before it is scored (0 = none).
    """

    name: str
    dataset: Mapping[str, str] = field(default_factory=dict)
    method: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    overlay: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 1
    scenes: int = 0
    tuning: int = 0

    def variant_of(self, registry: Registry, name: str, on: str = "") -> str:
        """Return the variant of a method or dataset for this tier: the suite's choice, or the one named like the tier.

        on: the dataset that a method trains on. The smoke and quick tiers fall back to `mini`, which every method has.
        """
        chosen = self.method.get(name) if registry is methods else self.dataset.get(name)
        if isinstance(chosen, Mapping):
            chosen = chosen.get(on)
        if chosen:
            return chosen
        known = variants(registry, name)
        candidates = (self.name, "mini") if self.name in ("smoke", "quick") else (self.name,)
        return next((variant for variant in candidates if variant in known), "default")


@dataclass(frozen=True)
class Suite:
    """A suite with its protocol, datasets and tiers. train_on: {scored dataset: dataset whose training split is used}."""

    name: str
    protocol: Protocol
    datasets: tuple[str, ...]
    default_datasets: tuple[str, ...]
    train_on: Mapping[str, str]
    tiers: Mapping[str, Tier]

    def tier(self, name: str) -> Tier:
        """Return a tier; raises UserError for an unknown name, listing the available ones."""
        if name not in self.tiers:
            raise UserError(f"suite '{self.name}' has no tier '{name}'{nearest(name, self.tiers)}")
        return self.tiers[name]

    def entrants(self) -> list[str]:
        """Return the registered methods designed for the suite's task that may enter, baselines last.

        A method designed for another task only enters if it is named explicitly and its inputs are given, because keys do not
        distinguish a room from a head.
        """
        cards = {name: methods.load(name).card for name in list_working(methods)}
        suite = self.protocol.card
        admitted = [name for name, card in cards.items() if suite.task.name in card.tasks and suite.admits(card)]
        return sorted(admitted, key=lambda name: (cards[name].is_baseline, name))

    def check_entrant(self, name: str) -> None:
        """Raise UserError if a method may not enter, naming the missing input or output."""
        objection = self.protocol.card.objection(methods.load(name).card)
        if objection:
            raise UserError(f"method '{name}' cannot enter suite '{self.name}': {objection}")


def load_suite(name: str) -> Suite:
    """Load a registered suite; raises UserError for an unknown name or a suite.yaml that lacks a field."""
    protocol: Protocol = suites.load(name)()
    file, described = read_suite_file(name)
    if not file:
        raise UserError(f"suite '{name}' has no suite.yaml next to its protocol")
    try:
        tiers = {key: _tier(key, value or {}) for key, value in described["tiers"].items()}
        names = tuple(described["datasets"])
    except KeyError as error:
        raise UserError(f"{file}: the field {error} is missing") from error
    unknown_names = [dataset for dataset in names if dataset not in datasets.names()]
    if unknown_names:
        raise unknown(f"dataset in {file}", unknown_names[0], datasets.names())
    defaults = tuple(described.get("default_datasets", names[:1]))
    return Suite(name, protocol, names, defaults, described.get("train_on", {}), tiers)


def _tier(name: str, described: Mapping[str, Any]) -> Tier:
    fields = {key: described[key] for key in ("dataset", "method", "seeds", "scenes", "tuning") if key in described}
    overlay = {key: described[key] for key in ("trainer", "optimizer", "schedule", "fit") if key in described}
    return Tier(name=name, overlay=overlay, **fields)
