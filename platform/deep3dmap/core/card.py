"""Cards: what a method, a dataset or a suite says of itself. Plain data, readable without torch."""

from dataclasses import asdict, dataclass, field
from typing import Any

from deep3dmap.core.asset import Asset


@dataclass(frozen=True)
class MethodCard:
    """Who made a method, its inputs and its outputs.

    consumes: keys `reconstruct` needs (core.keys). produces: fields of `Reconstruction` it fills, "views" where it renders
    given cameras, "samples" where it generates. tasks: the tasks it is made for, whose suites it enters unasked.
    optional: keys `reconstruct` uses where they are given and does without where they are not.
    trains_on: keys a training sample must hold; empty for a method that learns nothing from a dataset.
    licence: of the original publication's code, in SPDX form where there is one.
    tried_on: embedded datasets that its small variants are made for, where not any that has the keys will do.
    least_views: photographs of a subject that it needs.
    frame, gauge: those of its reconstructions (see Reconstruction); "" where they depend on its input.
    assets: files from elsewhere that its configuration may name, such as official weights.
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
    frame: str = ""
    gauge: str = ""
    assets: tuple[Asset, ...] = ()
    optional: tuple[str, ...] = ()

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
    frames, gauges: those that can be scored; empty where any can.
    """

    name: str
    given: tuple[str, ...]
    wanted: tuple[str, ...]
    meaning: str
    views: int = 0
    frames: tuple[str, ...] = ()
    gauges: tuple[str, ...] = ()


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
        """Whether a method may enter."""
        return not self.objection(card)

    def objection(self, card: MethodCard) -> str:
        """Return why a method may not enter, "" where it may: its inputs are given and an output of it can be scored."""
        task = self.task
        missing = sorted(set(card.consumes) - set(task.given))
        if missing:
            return f"it needs {missing}, which is not given; given are {sorted(task.given)}"
        if 0 < task.views < card.least_views:
            return f"it needs {card.least_views} views, and {task.views} are given"
        if not set(card.produces) & set(task.wanted):
            return f"it produces {sorted(card.produces)}, and one of {sorted(task.wanted)} is wanted"
        for name, value, scored in (("frame", card.frame, task.frames), ("gauge", card.gauge, task.gauges)):
            if value and scored and value not in scored:
                return f"its reconstructions have {name} '{value}', and only {sorted(scored)} can be scored"
        return ""
