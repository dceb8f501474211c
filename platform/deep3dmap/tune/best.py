"""The result of a sweep as files: a configuration for `train from=` and `benchmark best=`, and one per Pareto point."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deep3dmap.config.compose import Layer
from deep3dmap.config.overrides import as_override
from deep3dmap.config.saved import read_saved
from deep3dmap.core.errors import UserError
from deep3dmap.core.secrets import hide
from deep3dmap.runs.tuned_settings import TunedSettings
from deep3dmap.tune.journal import SweepState, TrialRecord
from deep3dmap.tune.objective import best_of, front_of
from deep3dmap.tune.plan import SweepPlan


@dataclass(frozen=True)
class Best:
    """A tuned configuration, read from a file. method, dataset: NAME/VARIANT. tuned: the settings by dotted key."""

    method: str
    dataset: str
    tuned: Mapping[str, Any]
    file: str = ""

    @property
    def layer(self) -> Layer:
        """Configuration layer of the tuned settings, applied on top of the method's variant."""
        return Layer(f"tuned {self.file}".strip(), tuple(as_override(key, value) for key, value in self.tuned.items()))

    def tuned_for(self, dataset: str = "") -> TunedSettings:
        """Return the settings that a benchmark applies to the method's runs on a dataset ("" for all datasets)."""
        return TunedSettings(self.method, self.layer, dataset)


def write_best(plan: SweepPlan, state: SweepState) -> Path | None:
    """Write best.yaml, and pareto/trial-N.yaml for several objectives; returns best.yaml, None without a best trial."""
    best = best_of(state.ended, plan.quality)
    if best is None:
        return None
    plan.output.mkdir(parents=True, exist_ok=True)
    file = plan.output / "best.yaml"
    file.write_text(_text(plan, best))
    if len(plan.objectives) > 1:
        folder = plan.output / "pareto"
        folder.mkdir(exist_ok=True)
        for record in front_of(state.ended, plan.objectives):
            (folder / f"trial-{record.number}.yaml").write_text(_text(plan, record))
    return file


def read_best(file: Path) -> Best:
    """Read a best.yaml; raises UserError for any other file."""
    saved = read_saved(file, f"best={file}", "`deep3dmap tune` writes one")
    if not saved.tuned:
        raise UserError(f"best={file}: not the best.yaml of a sweep (it contains no tuned settings)")
    return Best(saved.method, saved.dataset, saved.tuned, str(file))


def _text(plan: SweepPlan, record: TrialRecord) -> str:
    run = plan.trial_plan(record.number, record.values)
    about = {
        "choices": {"method": f"{run.method}/{run.variant}", "dataset": f"{run.dataset}/{run.dataset_variant}"},
        "tuned": record.values,
        "sweep": {
            "name": plan.name,
            "trial": record.number,
            "run_id": run.run_id,
            **{objective.key: objective.value(record.chosen) for objective in plan.objectives},
        },
        "config": hide({key: value for key, value in run.config.items() if key not in ("schema", "results")}),
    }
    head = f"# Trial {record.number} of sweep {plan.name}: {plan.quality.key} {plan.quality.value(record.chosen):.6g}.\n"
    return head + yaml.safe_dump(about, sort_keys=False, width=120)
