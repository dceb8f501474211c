"""Cards: the metadata of a method, a dataset or a suite. Plain data, readable without importing torch."""

from dataclasses import asdict, dataclass, field
from typing import Any

from deep3dmap.core.asset import Asset


@dataclass(frozen=True)
class MethodCard:
    """A method's authorship, inputs and outputs.

    tasks: the tasks it is designed for; it enters their suites by default.
    consumes: keys required by `reconstruct` (see core.keys).
    produces: fields of `Reconstruction` that it fills, "views" if it renders given cameras, "samples" if it generates images.
    licence: licence of the original publication's code, as an SPDX identifier if one exists.
    trains_on: keys that a training sample must contain; empty for a method that does not train on a dataset.
    tried_on: embedded datasets its small variants are designed for; empty if any dataset with the keys works.
    least_views: minimum number of photographs of a subject.
    frame, gauge: frame and gauge of its reconstructions (see Reconstruction); "" if they depend on the input.
    assets: third-party files that its configuration may refer to, such as official weights.
    optional: keys that `reconstruct` uses if they are available.
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
    """Metadata of a dataset. provides: keys of its samples. frame, unit: coordinate frame and unit of all its lengths."""

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
    """One metric of a suite: its unit, its meaning, and whether higher ("up") or lower ("down") is better."""

    name: str
    unit: str
    better: str
    meaning: str

    def __post_init__(self) -> None:
        if self.better not in ("up", "down"):
            raise ValueError(f"metric '{self.name}': better must be 'up' or 'down', got '{self.better}'")


@dataclass(frozen=True)
class Task:
    """The inputs and outputs of a task. given: input keys; wanted: fields of `Reconstruction`, any one of which suffices.

    views: number of photographs given per subject; 0 = determined by the dataset.
    frames, gauges: frames and gauges that can be scored; empty = any.
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
    """Metadata of a suite: its task, its metrics, and the headline metric it ranks by."""

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
        """Return whether a method may enter the suite."""
        return not self.objection(card)

    def objection(self, card: MethodCard) -> str:
        """Return why a method may not enter, or "" if its inputs are given and one of its outputs can be scored."""
        task = self.task
        missing = sorted(set(card.consumes) - set(task.given))
        if missing:
            return f"it needs {missing}, but the suite only gives {sorted(task.given)}"
        if 0 < task.views < card.least_views:
            return f"it needs {card.least_views} views, but only {task.views} are given"
        if not set(card.produces) & set(task.wanted):
            return f"it produces {sorted(card.produces)}, but the suite expects one of {sorted(task.wanted)}"
        for name, value, scored in (("frame", card.frame, task.frames), ("gauge", card.gauge, task.gauges)):
            if value and scored and value not in scored:
                return f"its reconstructions have {name} '{value}', but only {sorted(scored)} can be scored"
        return ""
