"""`deep3dmap train`: train a method on a dataset."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.places import open_store
from deep3dmap.cli.printable import shown
from deep3dmap.cli.tables import print_table, table
from deep3dmap.config.compose import ComposedRun, Layer, compose_run
from deep3dmap.config.limits import check_training_keys
from deep3dmap.config.overrides import as_override, split_override
from deep3dmap.config.saved import check_choice, read_saved
from deep3dmap.config.schema import DataConfig, OptimizerConfig, RunConfig, ScheduleConfig, TrainerConfig
from deep3dmap.config.variants import check_choice_name
from deep3dmap.core.errors import UserError
from deep3dmap.core.nested import flatten
from deep3dmap.core.options import describe_options
from deep3dmap.core.registry import datasets, methods
from deep3dmap.core.secrets import hide
from deep3dmap.train import own_process, stage_marks
from deep3dmap.train.interruption import InterruptedRun, Terminated

if TYPE_CHECKING:
    from deep3dmap.results.store import ResultStore
    from deep3dmap.runs.training_run import TrainingRun

EXAMPLES = """\
  deep3dmap train method=prnet/mini dataset=heads/smoke trainer.max_steps=200
  deep3dmap train method=prnet dataset=heads trainer.workers=2 trainer.gpus_per_worker=1
  deep3dmap train method=prnet/mini dataset=heads/smoke trainer.max_steps=200 --cfg
  deep3dmap train method=my_module:MyMethod dataset=heads/smoke trainer.max_seconds=60"""


def main(argv: list[str]) -> int:
    """Run the verb."""
    stage_marks.mark("arguments")
    parser = VerbParser(
        "train", "Train a method on a dataset and store its curves and checkpoints.\n\n" + _describe_keys(), EXAMPLES
    )
    parser.add_argument(
        "--resume", action="store_true", help="resume from the newest complete checkpoint of the same configuration"
    )
    parser.add_argument(
        "--restart", action="store_true", help="discard an earlier run of the same configuration, and start over"
    )
    parser.add_argument(
        "--cfg", action="store_true", help="print the resolved configuration and the source of each value, then exit"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the run, its id and the data that would be prepared, then exit"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome (or the configuration) as JSON")
    flags, pairs = parser.parse(argv)
    try:
        return _main(flags, pairs)
    finally:
        own_process.drop_prepared()


def _main(flags: argparse.Namespace, pairs: list[str]) -> int:
    stage_marks.mark("imports and planning")
    if not (flags.cfg or flags.dry_run):
        _check_names(pairs)
        # Start the training process early: its imports take a second, in parallel with ours. On an error it ends without a job.
        own_process.prepare()
    composed = compose(pairs)
    if flags.cfg:
        _print_config(composed, flags.json)
        return 0
    if flags.dry_run:
        return _print_dry_run(composed)
    # Imported here so that --help does not load torch.
    from deep3dmap.train.engine import check_start
    from deep3dmap.train.job import TrainingJob

    choices = (composed.method, composed.variant, composed.dataset, composed.dataset_variant)
    check_start(TrainingJob(*choices, composed.config, folder=""))
    from deep3dmap.runs.training_run import plan_training

    store, uri, work = open_store(str(composed.config["results"]))
    run = plan_training(dataclasses.replace(composed, config={**composed.config, "results": uri}), work)
    _decide_start(run, flags.resume, flags.restart)
    step = None if flags.restart else run.steps_taken()
    if flags.resume and (outcome := _find_finished_outcome(run, store)):
        print(f"this run already finished at step {step}; there is nothing to resume (--restart starts over)", file=sys.stderr)
    else:
        _print_start(step)
        outcome = _run_training(run, store, restart=flags.restart)
    stage_marks.mark("leaving")
    _print_outcome(outcome, flags.json)
    return 0


def _run_training(run: "TrainingRun", store: "ResultStore", restart: bool) -> dict[str, Any]:
    try:
        return run.execute(store, restart)
    except KeyboardInterrupt:
        raise InterruptedRun(f"interrupted; {_resume_hint(run)}") from None
    except Terminated:
        raise Terminated(f"terminated; {_resume_hint(run)}") from None


def _resume_hint(run: "TrainingRun") -> str:
    step = run.steps_taken()
    checkpoint_note = f"the checkpoint at step {step} is kept" if step else "no checkpoint has been written yet"
    return f"{checkpoint_note}: run the same command with --resume to continue"


def _find_finished_outcome(run: "TrainingRun", store: "ResultStore") -> dict[str, Any] | None:
    """Return the outcome of a successfully finished run, None if it has not finished."""
    rows = store.runs()
    row = rows[(rows.run_id == run.plan.run_id) & (rows.status == "ok")]
    if row.empty or run.steps_taken() is None:
        return None
    finished_run = row.iloc[0]
    metrics = store.metrics(row)
    return {
        "run_id": run.plan.run_id,
        "steps": int(finished_run.steps),
        "seconds": float(finished_run.train_s),
        "cut_short": str(finished_run.cut_short or ""),
        "metrics": dict(zip(metrics.metric, metrics.value)),
        "checkpoint": str(finished_run.checkpoint_uri),
    }


def _print_start(step: int | None) -> None:
    print("training starts at step 0" if step is None else f"resuming at step {step}", file=sys.stderr)


def _print_outcome(outcome: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(outcome, indent=1))
        return
    cut = f", {outcome['cut_short']}" if outcome["cut_short"] else ""
    print(f"trained {outcome['steps']} steps in {outcome['seconds']:.1f} s{cut}")
    for name, value in outcome["metrics"].items():
        print(f"{name}: {value:.6g}")
    print(f"checkpoint: {outcome['checkpoint']}")


def compose(pairs: list[str]) -> ComposedRun:
    """Compose a run from `key=value` arguments; raises UserError if method or dataset is missing."""
    keyed = [split_override(text) for text in pairs]
    values = dict(keyed)
    layers = []
    if "from" in values:
        layers.append(_load_layer(Path(str(values["from"])), values))
    for name, registry in (("method", methods), ("dataset", datasets)):
        if name not in values:
            raise UserError(f"which {name}? give {name}=NAME (available: {', '.join(registry.names())})")
    rest = tuple(as_override(key, value) for key, value in keyed if key not in ("method", "dataset", "from"))
    composed = compose_run(str(values["method"]), str(values["dataset"]), (*layers, Layer("command line", rest)))
    cards = methods.load(composed.method).card, datasets.load(composed.dataset).card
    check_training_keys(*cards, composed.config["inputs"], (composed.method, composed.dataset))
    return composed


def _check_names(pairs: list[str]) -> None:
    """Raise UserError for an unregistered method or dataset, without importing anything."""
    values = dict(split_override(text) for text in pairs)
    for name, registry in (("method", methods), ("dataset", datasets)):
        if name in values:
            check_choice_name(registry, str(values[name]))


def _load_layer(file: Path, values: dict[str, object]) -> Layer:
    saved = read_saved(file, f"from={file}", "make one with --cfg --json")
    for kind, choice in (("method", saved.method), ("dataset", saved.dataset)):
        check_choice(choice, str(values.get(kind, "")), kind, f"from={file}")
        values.setdefault(kind, choice)
    return saved.layer()


def _decide_start(run: "TrainingRun", resume: bool, restart: bool) -> None:
    if resume and restart:
        raise UserError("--resume and --restart are mutually exclusive")
    if not (resume or restart) and (step := run.steps_taken()) is not None:
        raise UserError(f"a run of this configuration already exists, at step {step} ({run.folder}); add --resume or --restart")


def _print_dry_run(composed: ComposedRun) -> int:
    from deep3dmap.cli.dry_run import print_runs
    from deep3dmap.runs.planning import DatasetVersions, plan_run

    versions = DatasetVersions(read_only=True)
    _, uri, work = open_store(str(composed.config["results"]), make=False)
    named = dataclasses.replace(composed, config={**composed.config, "results": uri})
    print_runs([plan_run(named, work, versions=versions)], versions.unprepared)
    return 0


def _print_config(composed: ComposedRun, as_json: bool) -> None:
    choices = {
        "method": f"{composed.method}/{composed.variant}",
        "dataset": f"{composed.dataset}/{composed.dataset_variant}",
    }
    if as_json:
        print(json.dumps({"choices": choices, "config": hide(composed.config), "sources": composed.sources}, indent=1))
        return
    rows = table("key", "value", "from", title=shown(" on ".join(choices.values())))
    for key, value in flatten(hide(composed.config)).items():
        text = "null" if value is None else str(value)
        rows.add_row(*map(shown, (key, text, composed.sources.get(key, "schema version"))))
    print_table(rows)


def _describe_keys() -> str:
    lines = [f"  {'method=':<32} {' '.join(methods.names())} (or NAME/VARIANT, or module:Class)"]
    lines.append(f"  {'dataset=':<32} {' '.join(datasets.names())} (or NAME/VARIANT)")
    lines.append(f"  {'from=':<32} a saved configuration to start from")
    sections = ("trainer", TrainerConfig), ("optimizer", OptimizerConfig), ("schedule", ScheduleConfig), ("data", DataConfig)
    for section, schema in sections:
        lines += [f"  {f'{section}.{name}={default}':<32} {text}" for name, _, default, text in describe_options(schema)]
    described = {name: (default, text) for name, _, default, text in describe_options(RunConfig)}
    for name in ("inputs", "seed", "device", "trackers", "results"):
        default, text = described[name]
        lines.append(f"  {f'{name}={default}':<32} {text}")
    lines.append("  method.KEY=, dataset.KEY=        see `deep3dmap methods NAME` and `deep3dmap datasets NAME`")
    return "keys:\n" + "\n".join(lines)
