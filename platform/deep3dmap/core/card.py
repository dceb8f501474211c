"""Cards: what a method, a dataset or a suite says of itself. Plain data, readable without torch."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class MethodCard:
    """Who made a method, what it eats and what it makes.

    consumes: keys `reconstruct` needs (core.keys). produces: fields of `Reconstruction` it fills. tasks: the tasks it is made
    for, whose suites it enters unasked.
    trains_on: keys a training sample must hold; empty for a method that learns nothing.
    licence: of the original publication's code, in SPDX form where there is one.
    tried_on: embedded datasets that its small variants are made for, where not any that has the keys will do.
    least_views: photographs of a subject that it needs.
    """

    title: str
    authors: str
    year: int
    paper: str
    tasks: tuple[str, ...]
    consumes: tuple[str, ...]
    produces: tuple[str, ...]
    licence: str
    trains_on: tuple[str, ...] = ()
    is_baseline: bool = False
    tried_on: tuple[str, ...] = ()
    least_views: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for the tables."""
        return asdict(self)


@dataclass(frozen=True)
class DatasetCard:
    """What a dataset holds. provides: keys of its samples. frame, unit: of every length in it."""

    title: str
    provides: tuple[str, ...]
    splits: tuple[str, ...]
    frame: str
    unit: str
    licence: str
    source: str
    needs_root: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for the tables."""
        return asdict(self)


@dataclass(frozen=True)
class MetricCard:
    """One metric of a suite: its unit, which way is better, and what it means."""

    name: str
    unit: str
    better: str
    meaning: str

    def __post_init__(self) -> None:
        if self.better not in ("up", "down"):
            raise ValueError(f"metric '{self.name}': better is 'up' or 'down', got '{self.better}'")


@dataclass(frozen=True)
class Task:
    """What is given and what is wanted. given: keys; wanted: fields of `Reconstruction`, any one of which suffices.

    views: photographs of a subject that are given; 0 leaves it to the dataset.
    """

    name: str
    given: tuple[str, ...]
    wanted: tuple[str, ...]
    meaning: str
    views: int = 0


@dataclass(frozen=True)
class SuiteCard:
    """A suite in one page: its task, its metrics and the one it ranks by."""

    title: str
    version: int
    task: Task
    metrics: tuple[MetricCard, ...]
    headline: str
    reference: str
    datasets: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for the tables."""
        return asdict(self)

    def admits(self, card: MethodCard) -> bool:
        """Whether a method may enter: all it consumes is given, and something it produces is wanted."""
        enough = not 0 < self.task.views < card.least_views
        return enough and set(card.consumes) <= set(self.task.given) and bool(set(card.produces) & set(self.task.wanted))
