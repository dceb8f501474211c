"""Expands a benchmark into runs, each with its resolved configuration and its content-addressed id."""

import copy
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from deep3dmap.bench.arguments import BenchmarkRequest
from deep3dmap.bench.suite import Suite, Tier, load_suite
from deep3dmap.config.compose import ComposedRun, Layer, compose_run, layer_of
from deep3dmap.config.open_dataset import open_dataset, prepare_dataset
from deep3dmap.core.dataset import Dataset
from deep3dmap.core.errors import UserError
from deep3dmap.core.registry import datasets, methods
from deep3dmap.core.secrets import hide_in_text
from deep3dmap.ops import native_build_hash
from deep3dmap.results.run_id import RunKey, code_version
from deep3dmap.train.job import TrainingJob
from deep3dmap.train.trackers import check_trackers


@dataclass(frozen=True)
class RunPlan:
    """One run of a benchmark as plain data, so that a trial on any node can carry it out.

    inputs: the keys the method is handed. checkpoint: score these weights instead of training. command: what the user typed.
    """

    run_id: str
    suite: str
    protocol_version: int
    tier: str
    method: str
    variant: str
    method_version: str
    dataset: str
    dataset_variant: str
    dataset_version: str
    seed: int
    config: dict[str, Any]
    inputs: tuple[str, ...]
    scenes: int
    work: str
    checkpoint: str | None = None
    command: str = field(default_factory=lambda: " ".join(hide_in_text(argument) for argument in sys.argv))

    @property
    def title(self) -> str:
        """A short name for people."""
        return f"{self.suite} · {self.method}/{self.variant} · {self.dataset}/{self.dataset_variant} · seed {self.seed}"

    def job(self) -> TrainingJob:
        """The training part of the run, on the dataset it trains on."""
        other = self.config.get("trained_on")
        name, variant = (other["dataset"], other["variant"]) if other else (self.dataset, self.dataset_variant)
        config = {**self.config, "dataset": other["config"]} if other else self.config
        return TrainingJob(self.method, self.variant, name, variant, config, f"{self.work}/{self.run_id}")

    def open_dataset(self) -> Dataset:
        """The dataset that is scored."""
        return open_dataset(self.dataset, self.config["dataset"], self.config["data"])

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Tuned:
    """Settings that a sweep found. method: NAME/VARIANT. dataset: the scored one they are for, "" for any."""

    method: str
    layer: Layer
    dataset: str = ""

    def is_for(self, composed: ComposedRun) -> bool:
        """Whether a run has a row with these settings."""
        return self.method == f"{composed.method}/{composed.variant}" and self.dataset in ("", composed.dataset)


class Versions:
    """Content hashes of the datasets in use, each prepared once.

    only_look: prepare nothing; `missing` says what would be made, and a version that only shows then is "".
    """

    def __init__(self, only_look: bool = False) -> None:
        self.only_look, self.missing = only_look, dict[str, None]()
        self._known: dict[str, str] = {}

    def of(self, composed: ComposedRun) -> str:
        """Return the version of the dataset of a run."""
        config = composed.config
        key = f"{composed.dataset} {config['dataset']} {config['data']}"
        if key not in self._known:
            dataset = open_dataset(composed.dataset, config["dataset"], config["data"])
            if self.only_look:
                self._known[key] = self._look(dataset, f"{composed.dataset}/{composed.dataset_variant}")
            else:
                prepare_dataset(dataset, config["data"], quiet=not sys.stderr.isatty())
                self._known[key] = dataset.version
        return self._known[key]

    def _look(self, dataset: Dataset, title: str) -> str:
        # Asking a dataset for a root that is not there raises the UserError that names it.
        if not dataset.root.exists():
            self.missing[title] = None
        try:
            return dataset.version
        except UserError:
            self.missing[title] = None
            return ""


def expand(
    request: BenchmarkRequest, work: Path, tuned: Sequence[Tuned] = (), versions: Versions | None = None
) -> list[RunPlan]:
    """Return the runs of a benchmark: methods x datasets x seeds. The content of the datasets is part of the ids.

    versions: knows that content; by default the datasets are prepared for it. A method that was tuned has rows of its variant
    NAME and of NAME+tuned.

    Raises UserError for unknown names and keys, and for a method that may not enter.
    """
    own = request.own
    if not own.suite:
        raise UserError("which suite? give suite=NAME (`deep3dmap suites` lists them)")
    suite = load_suite(own.suite)
    tier = suite.tier(own.tier)
    versions = versions or Versions()
    plans = []
    for dataset in own.datasets or suite.default_datasets:
        for name in entrants(request, suite):
            for composed in _runs(suite, tier, name, dataset, request, versions, tuned):
                plans.append(_plan(composed, versions, work, *_of(suite, tier, own.scenes)))
    return plans


def entrants(request: BenchmarkRequest, suite: Suite) -> list[str]:
    """Return the methods of a benchmark as they were named; raises UserError for one that may not enter."""
    names = list(request.own.methods or suite.entrants())
    for name in names:
        suite.check_entrant(name.partition("/")[0])
    scored = [name.partition("/")[0] for name in request.own.datasets or suite.default_datasets]
    request.check_names(names, [*scored, *(suite.train_on[name] for name in scored if name in suite.train_on)])
    return names


def tunable(request: BenchmarkRequest) -> tuple[int, list[tuple[str, ComposedRun]]]:
    """Return how many trials each trained method is granted, and (scored dataset, run to tune) for each: on what it trains on.

    Baselines are not tuned. The runs have the tier's budget and the first seed.
    """
    suite = load_suite(request.own.suite)
    tier, found = suite.tier(request.own.tier), []
    granted = request.own.tuning or tier.tuning
    if not granted:
        return 0, []
    budget = layer_of(f"suite {suite.name}, tier {tier.name}", dict(tier.overlay))
    for dataset in request.own.datasets or suite.default_datasets:
        scored = dataset.partition("/")[0]
        trained_on = suite.train_on.get(scored, dataset)
        for name in entrants(request, suite):
            card = methods.load(name.partition("/")[0]).card
            if card.trains_on and not card.is_baseline:
                line = request.layer_for(name.partition("/")[0], trained_on.partition("/")[0], scored not in suite.train_on)
                choice = _choice(tier, datasets, trained_on)
                found.append((scored, compose_run(_choice(tier, methods, name, trained_on), choice, (budget, line))))
    return granted, found


def checkpoint_plan(request: BenchmarkRequest, about: dict[str, Any], checkpoint: str, work: Path) -> list[RunPlan]:
    """Return the runs that score one checkpoint, a folder or URI described by `about`, on a suite's datasets."""
    suite = load_suite(request.own.suite)
    tier, versions, plans = suite.tier(request.own.tier), Versions(), []
    suite.check_entrant(about["method"])
    request.check_sections(("dataset", "data"), "the checkpoint says this; only dataset and data keys may be given")
    request.check_names([], list(request.own.datasets or suite.default_datasets))
    place = checkpoint if "://" in checkpoint else str(Path(checkpoint).resolve())
    variant = about["variant"].removesuffix("-untrained").removesuffix("+tuned")
    for dataset in request.own.datasets or suite.default_datasets:
        layer = request.layer_for(about["method"], dataset.partition("/")[0])
        composed = compose_run(f"{about['method']}/{variant}", _choice(tier, datasets, dataset), (layer,))
        here = {section: composed.config[section] for section in ("dataset", "data", "device", "results", "trackers")}
        scored = replace(composed, config={**about["config"], **here, "checkpoint": about["state_sha256"]})
        plan = _plan(scored, versions, work, *_of(suite, tier, request.own.scenes))
        plans.append(replace(plan, checkpoint=place))
    return plans


def _of(suite: Suite, tier: Tier, scenes: int) -> tuple[str, int, str, int]:
    return suite.name, suite.protocol.card.version, tier.name, scenes or tier.scenes


def _choice(tier: Tier, registry: Any, name: str, on: str = "") -> str:
    return name if "/" in name else f"{name}/{tier.variant_of(registry, name, on.partition('/')[0])}"


def _runs(
    suite: Suite,
    tier: Tier,
    name: str,
    dataset: str,
    request: BenchmarkRequest,
    versions: Versions,
    tuned: Sequence[Tuned],
) -> Iterable[ComposedRun]:
    method_name, dataset_name = name.partition("/")[0], dataset.partition("/")[0]
    card = methods.load(method_name).card
    choice = _choice(tier, methods, name, suite.train_on.get(dataset_name, dataset))
    line = request.layer_for(method_name, dataset_name)
    budget = layer_of(f"suite {suite.name}, tier {tier.name}", dict(tier.overlay))
    for seed in range(request.own.seeds or tier.seeds):
        seeded = Layer("benchmark", (f"seed={seed}",))
        plain = compose_run(choice, _choice(tier, datasets, dataset), (budget, line, seeded))
        kinds: list[tuple[str, tuple[Layer, ...]]] = [("", (budget, line, seeded))]
        if request.own.untrained and card.trains_on and not card.is_baseline:
            kinds.append(("-untrained", (budget, line, seeded, Layer("untrained=true", ("trainer.max_steps=0",)))))
        # What the command line says wins over what a sweep found.
        kinds += [("+tuned", (budget, found.layer, line, seeded)) for found in tuned if found.is_for(plain)]
        for suffix, layers in kinds:
            composed = compose_run(choice, _choice(tier, datasets, dataset), layers) if suffix else plain
            if card.trains_on and dataset_name in suite.train_on:
                composed = _trained_elsewhere(suite, tier, composed, request, versions)
            yield replace(composed, variant=composed.variant + suffix)


def _trained_elsewhere(
    suite: Suite, tier: Tier, composed: ComposedRun, request: BenchmarkRequest, versions: Versions
) -> ComposedRun:
    """Note in the configuration which dataset's training split a run trains on, since its own has none."""
    other = suite.train_on[composed.dataset]
    line = request.layer_for(composed.method, other, scored=False)
    training = compose_run(f"{composed.method}/{composed.variant}", _choice(tier, datasets, other), (line,))
    trained_on = {
        "dataset": training.dataset,
        "variant": training.dataset_variant,
        "version": versions.of(training),
        "config": training.config["dataset"],
    }
    return replace(composed, config={**composed.config, "trained_on": trained_on})


def plan_run(
    composed: ComposedRun,
    work: Path,
    suite: str = "",
    protocol_version: int = 0,
    tier: str = "",
    scenes: int = 0,
    versions: Versions | None = None,
) -> RunPlan:
    """Give one run its content-addressed id; without a suite it is a training run. Prepares the dataset by default."""
    return _plan(composed, versions or Versions(), work, suite, protocol_version, tier, scenes)


def _plan(
    composed: ComposedRun, versions: Versions, work: Path, suite: str, protocol_version: int, tier: str, scenes: int
) -> RunPlan:
    cls = methods.load(composed.method)
    check_trackers(composed.config["trackers"])
    key = RunKey(
        suite=suite,
        protocol_version=protocol_version,
        tier=tier,
        method=composed.method,
        variant=composed.variant,
        method_version=code_version(cls.__module__, native_build_hash()),
        config={**_decisive(composed.config), "scenes": scenes},
        dataset=composed.dataset,
        dataset_version=versions.of(composed),
        seed=int(composed.config["seed"]),
    )
    shared = {name: getattr(key, name) for name in ("suite", "protocol_version", "tier", "method", "variant", "method_version")}
    return RunPlan(
        run_id=key.run_id,
        **shared,
        dataset=composed.dataset,
        dataset_variant=composed.dataset_variant,
        dataset_version=key.dataset_version,
        seed=key.seed,
        config=composed.config,
        inputs=tuple(cls.card.consumes),
        scenes=scenes,
        work=str(work),
    )


def _decisive(config: dict[str, Any]) -> dict[str, Any]:
    """Return what decides a run's numbers: where things lie does not, and the data have a hash of their own."""
    kept = copy.deepcopy({key: value for key, value in config.items() if key not in ("results", "data", "device", "trackers")})
    kept["dataset"].pop("root", None)
    return kept
