"""The plan of a sweep: the run that is varied, the search space, the options and the folders."""

import copy
import json
import math
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deep3dmap.config.compose import ComposedRun, Layer, check_value, compose_run
from deep3dmap.config.limits import check_training_keys
from deep3dmap.config.overrides import as_override
from deep3dmap.core.errors import UserError
from deep3dmap.core.nested import flatten
from deep3dmap.core.registry import datasets, methods
from deep3dmap.results.run_id import content_hash
from deep3dmap.results.schema import SWEEPS
from deep3dmap.runs.planning import plan_run
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.runs.run_resources import is_nested
from deep3dmap.tune.default_space import bounds_of, default_space
from deep3dmap.tune.objective import VALIDATION, Objective, objectives_of
from deep3dmap.tune.options import LIMITS, PAUSING, TuneOptions
from deep3dmap.tune.search_space import SearchSpace, parse_space
from deep3dmap.tune.tune_arguments import TuneRequest

# Settings that determine how many trials run at once, or that are not settings of the method.
_NOT_TUNED = (
    "trainer.workers",
    "trainer.min_workers",
    "trainer.cpus_per_worker",
    "trainer.gpus_per_worker",
    "trainer.engine",
    "device",
    "results",
    "seed",
)


@dataclass(frozen=True)
class SweepPlan:
    """One sweep. run: the run that is varied. samples: size of the training split, 0 if it is not needed."""

    name: str
    run: RunPlan
    options: TuneOptions
    space: SearchSpace
    objectives: tuple[Objective, ...]
    results: str
    samples: int = 0

    @property
    def quality(self) -> Objective:
        """The objective that determines the best configuration."""
        return self.objectives[0]

    @property
    def folder(self) -> Path:
        """Folder of the journal and Ray's files."""
        return Path(self.run.work) / "tune" / self.name

    @property
    def output(self) -> Path:
        """Folder of the results for users: best.yaml, report.md and its plots. A copy is uploaded to a remote store."""
        return self.folder / "answer" if "://" in self.results else Path(self.results) / "tune" / self.name

    @property
    def is_grid(self) -> bool:
        """Whether every combination is tried."""
        return self.options.searcher == "grid"

    @property
    def starts_with_default(self) -> bool:
        """Whether the first trial is the run as configured."""
        return self.options.default_first and not self.is_grid

    def trial_plan(self, number: int, values: Mapping[str, Any]) -> RunPlan:
        """Return the run of one trial. Its id depends on the trial's number, not its values, which a scheduler may change."""
        config = self._set_evaluation_interval(with_values(self.run.config, values))
        return self.run.with_config(content_hash({"sweep": self.name, "run": self.run.run_id, "trial": number}), config)

    def stop_file(self, number: int) -> Path:
        """Return the file that asks a trial to stop."""
        return self.folder / "stop" / str(number)

    def about(self) -> dict[str, Any]:
        """Return plain data that identifies the sweep when it is resumed."""
        options = {key: value for key, value in asdict(self.options).items() if key not in (*LIMITS, "name")}
        return {"run": self.run.run_id, "space": self.space.as_text(), "options": options}

    def write_description(self) -> None:
        """Write the description of the sweep; raises UserError if a different sweep has the same name."""
        file = self.folder / "sweep.json"
        if file.is_file():
            saved = json.loads(file.read_text())
            saved.pop("began")
            if saved != self.about():
                differing = sorted(key for key in self.about() if saved.get(key) != self.about()[key])
                raise UserError(
                    f"sweep '{self.name}' was started with another {' and '.join(differing)} (run: configuration, code, data); "
                    "add --restart, or give a new tune.name="
                )
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**self.about(), "began": time.time()}, indent=1))

    @property
    def began(self) -> float:
        """Start of the sweep, in seconds since 1970; older rows of the same name belong to a discarded sweep."""
        return float(json.loads((self.folder / "sweep.json").read_text())["began"])

    def discard(self) -> None:
        """Discard an earlier sweep of this name: its journal and its trials' checkpoints. Its rows are kept."""
        from deep3dmap.tune.journal import Journal

        for number in Journal(self.folder / "trials.jsonl").state.trials:
            shutil.rmtree(self.trial_plan(number, {}).job.folder, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _set_evaluation_interval(self, config: dict[str, Any]) -> dict[str, Any]:
        trainer = config["trainer"]
        if not trainer["evaluate_every"] and (total := _total_steps(trainer, self.samples)):
            trainer["evaluate_every"] = max(1, math.ceil(total / max(1, self.options.evaluations)))
        return config


def plan_sweep(request: TuneRequest, results: str, work: Path) -> SweepPlan:
    """Plan a sweep from its arguments; prepares the dataset. Raises UserError for invalid or unsupported requests."""
    composed = _compose(request, results)
    return plan_composed(composed, request.options, request.space, results, work)


def plan_composed(composed: ComposedRun, options: TuneOptions, texts: Mapping[str, Any], results: str, work: Path) -> SweepPlan:
    """Plan a sweep around a composed run."""
    cards = methods.load(composed.method).card, datasets.load(composed.dataset).card
    check_training_keys(*cards, composed.config["inputs"], (composed.method, composed.dataset))
    objectives = objectives_of(options)
    space = _space(composed, options, texts)
    run = plan_run(composed, work)
    _check_run(run, options, space)
    about = {key: value for key, value in asdict(options).items() if key not in (*LIMITS, "name")}
    short = re.sub(r"[^0-9A-Za-z_.-]+", "_", f"{composed.method}-{composed.variant}-{composed.dataset}").lstrip("_.-")[:80]
    name = options.name or f"{short}-{content_hash([run.run_id, space.as_text(), about])[:8]}"
    # Folders are named after the sweep, so `..` must not be allowed.
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_.-]{,99}", name):
        raise UserError(f"tune.name={name}: expected a letter or digit, then at most 99 letters, digits, '.', '_' and '-'")
    trainer = run.config["trainer"]
    counted = trainer["max_epochs"] is not None and trainer["max_steps"] is None and not trainer["evaluate_every"]
    samples = len(run.open_dataset().split("train")) if counted else 0
    return SweepPlan(name, replace(run, suite=SWEEPS + name), options, space, objectives, results, samples)


def with_values(config: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with some dotted keys set."""
    changed = copy.deepcopy(dict(config))
    for key, value in values.items():
        *sections, last = key.split(".")
        section_values = changed
        for section in sections:
            section_values = section_values[section]
        section_values[last] = value
    return changed


def _compose(request: TuneRequest, results: str) -> ComposedRun:
    for name, chosen, registry in (("method", request.method, methods), ("dataset", request.dataset, datasets)):
        if not chosen:
            raise UserError(f"which {name}? give {name}=NAME (available: {', '.join(registry.names())})")
    line = Layer("command line", (*request.overrides, as_override("results", results)))
    return compose_run(request.method, request.dataset, (*request.layers, line))


def _space(composed: ComposedRun, options: TuneOptions, texts: Mapping[str, Any]) -> SearchSpace:
    fixed = flatten({key: value for key, value in composed.config.items() if key != "schema"})
    requested = {
        key: bounds_of(composed.method, key) if text == "auto" and key in fixed else text for key, text in texts.items()
    }
    if not requested or options.extend:
        requested = {**default_space(composed.method, composed.config), **requested}
    space = parse_space(requested, fixed)
    for key in space.parameters:
        if key in _NOT_TUNED or key.startswith(("data.", "dataset.")):
            raise UserError(f"tune.space.{key}: this is not a setting of a method; remove it")
    _check_types(composed, space)
    return space


def _check_types(composed: ComposedRun, space: SearchSpace) -> None:
    """Check the extreme values of each parameter, so that a wrong type is reported before the first trial."""
    for key, parameter in space.parameters.items():
        domain = parameter.domain
        for value in domain.values() or (domain.from_unit(0.0), domain.from_unit(1.0)):  # type: ignore[union-attr]
            section, _, field = key.partition(".")
            kind = methods.load(composed.method).config_type if section == "method" else _section_type(section)
            try:
                check_value(kind, field, value, section + ".")
            except UserError as error:
                raise UserError(f"tune.space.{key}={parameter.text()}: {error}") from error


def _section_type(section: str) -> type:
    from deep3dmap.config.schema import OptimizerConfig, ScheduleConfig, TrainerConfig

    known = {"optimizer": OptimizerConfig, "schedule": ScheduleConfig, "trainer": TrainerConfig}
    if section not in known:
        raise UserError(f"tune.space.{section}...: only method., optimizer., schedule. and trainer. keys can be searched")
    return known[section]


def _check_run(run: RunPlan, options: TuneOptions, space: SearchSpace) -> None:
    learns = run.job.trains
    trainer = run.config["trainer"]
    splits = run.open_dataset().card.splits
    if VALIDATION not in splits:
        raise UserError(f"dataset '{run.dataset}' has no validation split ({', '.join(splits)}), so it cannot be tuned on")
    if not learns and "/" not in options.metric:
        raise UserError(f"method '{run.method}' does not train, so it has no {options.metric}; give tune.metric=SUITE/METRIC")
    bounded = trainer["max_steps"] is not None or trainer["max_epochs"] is not None
    if learns and not bounded and not trainer["evaluate_every"] and options.scheduler != "none":
        raise UserError("the budget is in seconds only: give trainer.evaluate_every=STEPS, or tune.scheduler=none")
    if options.scheduler in PAUSING and is_nested(run):
        raise UserError(f"tune.scheduler={options.scheduler} pauses trials, which loses their workers; use asha or median")
    if options.scheduler in PAUSING and not learns:
        raise UserError(f"tune.scheduler={options.scheduler}: method '{run.method}' does not train; use tune.scheduler=none")


def _total_steps(trainer: Mapping[str, Any], samples: int) -> int:
    limits = [int(trainer["max_steps"])] if trainer["max_steps"] else []
    if trainer["max_epochs"] is not None and samples:
        limits.append(int(trainer["max_epochs"]) * (samples // int(trainer["batch_size"])))
    return min(limits, default=0)
