"""Expansion of a benchmark into runs: methods x datasets x seeds, and x scenes for a method that is only fitted per scene."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deep3dmap.bench.benchmark_arguments import BenchmarkRequest
from deep3dmap.bench.suite import Suite, Tier, load_suite
from deep3dmap.config.compose import ComposedRun, Layer, compose_run, layer_of
from deep3dmap.core.errors import UserError
from deep3dmap.core.registry import datasets, methods
from deep3dmap.runs.planning import DatasetVersions, ScoredBy, plan_run, plan_runs, unplaced_job
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.runs.tuned_settings import TunedSettings


def expand(
    request: BenchmarkRequest, work: Path, tuned: Sequence[TunedSettings] = (), versions: DatasetVersions | None = None
) -> list[RunPlan]:
    """Return the runs of a benchmark: methods x datasets x seeds. Run ids depend on the content of the datasets.

    versions: cache of the datasets' content hashes. A tuned method has runs for its variant NAME and for NAME+tuned.

    Raises UserError for unknown names or keys, and for a method that may not enter.
    """
    own = request.own
    if not own.suite:
        raise UserError("which suite? give suite=NAME (`deep3dmap suites` lists them)")
    suite = load_suite(own.suite)
    tier = suite.tier(own.tier)
    versions = versions or DatasetVersions()
    plans = []
    for dataset in own.datasets or suite.default_datasets:
        for name in entrants(request, suite):
            if _needs_unrequested_training_set(request, suite, name, dataset):
                continue
            for composed in _runs(suite, tier, name, dataset, request, versions, tuned):
                plans += plan_runs(composed, work, _scored_by(suite, tier, own.scenes), versions)
    return plans


def list_skipped(request: BenchmarkRequest) -> list[tuple[str, str]]:
    """Return (method, dataset) pairs that only run if named explicitly, because they require training on another dataset."""
    suite = load_suite(request.own.suite)
    return [
        (name, dataset)
        for dataset in request.own.datasets or suite.default_datasets
        for name in entrants(request, suite)
        if _needs_unrequested_training_set(request, suite, name, dataset)
    ]


def _needs_unrequested_training_set(request: BenchmarkRequest, suite: Suite, name: str, dataset: str) -> bool:
    # A user who scores their own scan did not request generating another dataset and training on it.
    uses_other_dataset = dataset.partition("/")[0] in suite.train_on and not request.own.methods
    return uses_other_dataset and bool(methods.load(name.partition("/")[0]).card.trains_on)


def entrants(request: BenchmarkRequest, suite: Suite) -> list[str]:
    """Return the methods of a benchmark, as given on the command line; raises UserError for one that may not enter."""
    names = list(request.own.methods or suite.entrants())
    for name in names:
        suite.check_entrant(name.partition("/")[0])
    scored = [name.partition("/")[0] for name in request.own.datasets or suite.default_datasets]
    request.check_names(names, [*scored, *(suite.train_on[name] for name in scored if name in suite.train_on)])
    return names


def tunable(request: BenchmarkRequest) -> tuple[int, list[tuple[str, ComposedRun]]]:
    """Return the number of tuning trials per trained method, and (scored dataset, run to tune) for each method.

    The runs are on the dataset that the method trains on, with the tier's budget and the first seed. Baselines are not tuned.
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
            line = request.layer_for(name.partition("/")[0], trained_on.partition("/")[0], scored not in suite.train_on)
            choice = _choice(tier, datasets, trained_on)
            composed = compose_run(_choice(tier, methods, name, trained_on), choice, (budget, line))
            if _learns(composed):
                found.append((scored, composed))
    return granted, found


def checkpoint_plan(request: BenchmarkRequest, about: dict[str, Any], checkpoint: str, work: Path) -> list[RunPlan]:
    """Return the runs that score one checkpoint on a suite's datasets. about: its description. checkpoint: folder or URI."""
    suite = load_suite(request.own.suite)
    tier, versions, plans = suite.tier(request.own.tier), DatasetVersions(), []
    suite.check_entrant(about["method"])
    request.check_sections(("dataset", "data"), "this is set by the checkpoint; only dataset and data keys may be given")
    request.check_names([], list(request.own.datasets or suite.default_datasets))
    place = checkpoint if "://" in checkpoint else str(Path(checkpoint).resolve())
    variant = about["variant"].removesuffix("-untrained").removesuffix("+tuned")
    for dataset in request.own.datasets or suite.default_datasets:
        layer = request.layer_for(about["method"], dataset.partition("/")[0])
        composed = compose_run(f"{about['method']}/{variant}", _choice(tier, datasets, dataset), (layer,))
        current_sections = {
            section: composed.config[section] for section in ("dataset", "data", "device", "results", "trackers")
        }
        scored = replace(composed, config={**about["config"], **current_sections, "checkpoint": about["state_sha256"]})
        plan = plan_run(scored, work, _scored_by(suite, tier, request.own.scenes), versions)
        plans.append(replace(plan, checkpoint=place))
    return plans


def _scored_by(suite: Suite, tier: Tier, scenes: int) -> ScoredBy:
    return ScoredBy(suite.name, suite.protocol.card.version, tier.name, scenes or tier.scenes)


def _choice(tier: Tier, registry: Any, name: str, on: str = "") -> str:
    return name if "/" in name else f"{name}/{tier.variant_of(registry, name, on.partition('/')[0])}"


def _runs(
    suite: Suite,
    tier: Tier,
    name: str,
    dataset: str,
    request: BenchmarkRequest,
    versions: DatasetVersions,
    tuned: Sequence[TunedSettings],
) -> Iterable[ComposedRun]:
    method_name, dataset_name = name.partition("/")[0], dataset.partition("/")[0]
    choice = _choice(tier, methods, name, suite.train_on.get(dataset_name, dataset))
    line = request.layer_for(method_name, dataset_name)
    budget = layer_of(f"suite {suite.name}, tier {tier.name}", dict(tier.overlay))
    for seed in range(request.own.seeds or tier.seeds):
        seeded = Layer("benchmark", (f"seed={seed}",))
        plain = compose_run(choice, _choice(tier, datasets, dataset), (budget, line, seeded))
        kinds: list[tuple[str, tuple[Layer, ...]]] = [("", (budget, line, seeded))]
        trains = unplaced_job(plain).trains
        if request.own.untrained and _learns(plain):
            kinds.append(("-untrained", (budget, line, seeded, Layer("untrained=true", ("trainer.max_steps=0",)))))
        # The command line takes precedence over the settings found by a sweep.
        kinds += [("+tuned", (budget, found.layer, line, seeded)) for found in tuned if found.is_for(plain)]
        for suffix, layers in kinds:
            composed = compose_run(choice, _choice(tier, datasets, dataset), layers) if suffix else plain
            if trains and dataset_name in suite.train_on:
                composed = _record_training_dataset(suite, tier, composed, request, versions)
            yield replace(composed, variant=composed.variant + suffix)


def _record_training_dataset(
    suite: Suite, tier: Tier, composed: ComposedRun, request: BenchmarkRequest, versions: DatasetVersions
) -> ComposedRun:
    """Record in the configuration the dataset whose training split is used, because the scored dataset has none."""
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


def _learns(composed: ComposedRun) -> bool:
    """Return whether a run trains a method other than a baseline."""
    return unplaced_job(composed).trains and not methods.load(composed.method).card.is_baseline
