"""The arguments of a benchmark: what to run, and which values apply to which runs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, get_origin

from deep3dmap.config.compose import Layer, build_section
from deep3dmap.config.overrides import as_override, split_override
from deep3dmap.core.errors import UserError, nearest
from deep3dmap.core.options import option

_SHARED = ("trainer", "optimizer", "schedule", "fit", "data", "inputs")
_ROOT = ("device", "results", "trackers")


@dataclass
class BenchmarkArguments:
    """The benchmark's own arguments, which select what to run."""

    suite: str = option("", "the suite, e.g. face (`deep3dmap suites` lists them)")
    suites: list[str] = option([], "several suites, run in one Ray session")
    tier: str = option("quick", "smoke (seconds), quick (minutes on two cores), standard (one GPU) or paper")
    methods: list[str] = option([], "methods, each NAME or NAME/VARIANT (default: all eligible methods)")
    datasets: list[str] = option([], "datasets, each NAME or NAME/VARIANT (default: the suite's embedded dataset)")
    seeds: int = option(0, "number of seeds (0 = set by the tier)", valid="[0, inf)")
    scenes: int = option(0, "score at most this many test samples (0 = set by the tier)", valid="[0, inf)")
    untrained: bool = option(False, "add a row for each learned method with its initial weights")
    tuning: int = option(
        0, "tune each trained method with this many trials on the validation split (0 = set by the tier)", valid="[0, inf)"
    )
    best: str = option("", "best.yaml of a sweep: adds a row with its configuration, alongside the untuned one")
    results: str = option("results", "result store: a folder or a URI (s3://, gs://)")
    device: str = option("auto", "auto, cpu or cuda")
    trackers: list[str] = option([], "trackers to send the curves to: tensorboard, wandb, mlflow or the name of a plugin")


@dataclass(frozen=True)
class BenchmarkRequest:
    """Parsed arguments. own: the benchmark's own. routed: (dotted key, value) pairs that are passed on to its runs."""

    own: BenchmarkArguments
    routed: tuple[tuple[str, str], ...]

    def layer_for(self, method: str, dataset: str, scored: bool = True) -> Layer:
        """Return the command-line layer of one run.

        `method.NAME.KEY` and `dataset.NAME.KEY` apply only to runs of that method or dataset; `dataset.KEY` applies to every
        scored dataset (but not to one that is only trained on).
        """
        texts = []
        for key, value in self.routed:
            section, _, rest = key.partition(".")
            name, _, inner = rest.partition(".")
            if section in ("method", "dataset") and inner:
                # For `module:Class` the name is the class, because Hydra's keys cannot contain a colon.
                if name == {"method": method, "dataset": dataset}[section].rpartition(":")[2]:
                    texts.append(as_override(f"{section}.{inner}", value))
            elif scored or section != "dataset":
                texts.append(as_override(key, value))
        roots = [as_override(name, getattr(self.own, name)) for name in _ROOT]
        return Layer("command line", (*texts, *roots))

    def check_names(self, methods: Sequence[str], datasets: Sequence[str]) -> None:
        """Raise UserError for a `method.NAME.KEY` or `dataset.NAME.KEY` that applies to no run, with the nearest valid key.

        methods, datasets: those to be run, each NAME or NAME/VARIANT.
        """
        running = {
            section: sorted({choice.partition("/")[0].rpartition(":")[2] for choice in choices})
            for section, choices in (("method", methods), ("dataset", datasets))
        }
        for key, _ in self.routed:
            section, _, rest = key.partition(".")
            name, _, inner = rest.partition(".")
            if inner and section in running and name not in running[section]:
                choices = [f"{section}.{known}.{inner}" for known in running[section]]
                raise UserError(f"{key}: no {section} '{name}' in this benchmark{nearest(key, choices)}")

    def check_sections(self, allowed: Sequence[str], why: str) -> None:
        """Raise UserError with the reason `why` for a value in a section that is not in `allowed`."""
        for key, _ in self.routed:
            if key.partition(".")[0] not in allowed:
                raise UserError(f"{key}: {why}")


def parse_arguments(texts: Sequence[str]) -> BenchmarkRequest:
    """Parse `key=value` arguments; raises UserError for an unknown key, suggesting the nearest valid one."""
    names = [field.name for field in fields(BenchmarkArguments)]
    lists = [field.name for field in fields(BenchmarkArguments) if get_origin(field.type) is list]
    own: dict[str, Any] = {}
    routed = []
    for text in texts:
        key, value = split_override(text)
        section = key.partition(".")[0]
        if key in names:
            own[key] = [value] if key in lists and not isinstance(value, list) else value
        elif key == "dataset":
            own["datasets"] = [value]
        elif key == "method":
            own["methods"] = [value]
        elif "." in key and section in (*_SHARED, "method", "dataset"):
            routed.append((key, value))
        else:
            raise UserError(f"unknown key '{key}'{nearest(key, [*names, 'dataset', 'method', *(s + '.KEY' for s in _SHARED)])}")
    return BenchmarkRequest(build_section(BenchmarkArguments, own), tuple(routed))
