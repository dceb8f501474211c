"""Planning of runs with content-addressed ids."""

import copy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from deep3dmap.config.compose import ComposedRun
from deep3dmap.config.open_dataset import missing_data, open_dataset, prepare_dataset
from deep3dmap.core.card import MethodCard
from deep3dmap.core.dataset import Dataset, PreparedBySplit
from deep3dmap.core.errors import UserError
from deep3dmap.core.registry import methods, suites
from deep3dmap.ops import native_build_hash
from deep3dmap.results.run_id import RunKey
from deep3dmap.runs.code_version import code_version
from deep3dmap.runs.run_plan import RunPlan, training_job
from deep3dmap.runs.scoring import scene_names
from deep3dmap.runs.starting_points import hash_starting_points, resolve_starting_points
from deep3dmap.train.job import TrainingJob
from deep3dmap.train.trackers import check_trackers


@dataclass(frozen=True)
class ScoredBy:
    """The suite settings in a run's key; empty for a standalone training. scenes: maximum number to score (0 = all)."""

    suite: str = ""
    protocol_version: int = 0
    tier: str = ""
    scenes: int = 0


class DatasetVersions:
    """Content hashes of the datasets in use.

    A dataset is only prepared here if its version is not known beforehand; see `preparation`. read_only: prepare nothing; a
    version that would require preparation is "", and the dataset is added to `unprepared`.
    """

    def __init__(self, read_only: bool = False) -> None:
        self.read_only, self.unprepared = read_only, dict[str, None]()
        self._known: dict[str, str] = {}

    def of(self, composed: ComposedRun) -> str:
        """Return the version of a run's dataset; raises UserError for a missing root folder."""
        config = composed.config
        key = f"{composed.dataset} {config['dataset']} {config['data']}"
        if key not in self._known:
            dataset = open_dataset(composed.dataset, config["dataset"], config["data"])
            if not isinstance(dataset, PreparedBySplit) and not self.read_only:
                prepare_dataset(dataset, config["data"], quiet=False)
            self._known[key] = self._version(dataset, f"{composed.dataset}/{composed.dataset_variant}")
        return self._known[key]

    def _version(self, dataset: Dataset, title: str) -> str:
        if not self.read_only:
            return dataset.version
        missing_data(dataset)
        try:
            return dataset.version
        except UserError:
            self.unprepared[title] = None
            return ""


def plan_run(
    composed: ComposedRun,
    work: Path,
    scored_by: ScoredBy | None = None,
    versions: DatasetVersions | None = None,
    scene: str = "",
) -> RunPlan:
    """Plan one run; its id depends on the content of its dataset.

    Raises UserError for unknown names or missing starting points.
    """
    cls, by = methods.load(composed.method), scored_by or ScoredBy()
    check_trackers(composed.config["trackers"])
    config = resolve_starting_points(composed.config, composed.method, work)
    result_modules = [cls.__module__, *([suites.load(by.suite).__module__] if by.suite else [])]
    key = RunKey(
        suite=by.suite,
        protocol_version=by.protocol_version,
        tier=by.tier,
        method=composed.method,
        variant=composed.variant,
        method_version=_version_of_code(tuple(result_modules), native_build_hash()),
        config={**_settings_in_run_key(config, cls.card), "scenes": by.scenes, **({"scene": scene} if scene else {})},
        dataset=composed.dataset,
        dataset_version=(versions or DatasetVersions()).of(composed),
        seed=int(config["seed"]),
    )
    names = (composed.method, composed.variant, composed.dataset, composed.dataset_variant)
    shared = {name: getattr(key, name) for name in ("suite", "protocol_version", "tier", "method", "variant", "method_version")}
    return RunPlan(
        run_id=key.run_id,
        **shared,
        dataset=composed.dataset,
        dataset_variant=composed.dataset_variant,
        dataset_version=key.dataset_version,
        seed=key.seed,
        config=config,
        job=training_job(*names, config, f"{work}/{key.run_id}"),
        inputs=tuple(cls.card.consumes),
        scenes=by.scenes,
        work=str(work),
        scene=scene,
    )


def plan_runs(composed: ComposedRun, work: Path, scored_by: ScoredBy, versions: DatasetVersions) -> list[RunPlan]:
    """Plan a benchmark's runs for one method, dataset and seed: one run, or one per scene for a method that is only fitted.

    Separate runs allow the fits to be distributed over a cluster, and if one diverges, only that scene fails.
    """
    cls = methods.load(composed.method)
    if not cls.fits() or unplaced_job(composed).trains:
        return [plan_run(composed, work, scored_by, versions)]
    versions.of(composed)
    if versions.read_only:
        # The scenes are only known once the data exist.
        return [replace(plan_run(composed, work, scored_by, versions), scene="(one run per scene)")]
    dataset = open_dataset(composed.dataset, composed.config["dataset"], composed.config["data"])
    prepare_dataset(dataset, composed.config["data"], quiet=False, splits=["test"])
    split = suites.load(scored_by.suite)().scenes(dataset.split("test"))
    # The id of a scene's run does not depend on how many others are scored.
    single_scene = replace(scored_by, scenes=0)
    return [plan_run(composed, work, single_scene, versions, scene) for scene in scene_names(split, scored_by.scenes)]


def unplaced_job(composed: ComposedRun) -> TrainingJob:
    """Return the training job of a run that has no folder yet."""
    return training_job(composed.method, composed.variant, composed.dataset, composed.dataset_variant, composed.config, "")


@cache
def _version_of_code(modules: tuple[str, ...], native: str) -> str:
    # Cached, because a benchmark plans many runs of a method and the code of a running process does not change.
    return code_version(modules, native)


def _settings_in_run_key(config: dict[str, Any], card: MethodCard) -> dict[str, Any]:
    """Return the settings that determine a run's results, without locations; weights are identified by their content."""
    excluded = ("results", "data", "device", "trackers")
    kept = copy.deepcopy({key: value for key, value in hash_starting_points(config, card).items() if key not in excluded})
    kept["dataset"].pop("root", None)
    return kept
