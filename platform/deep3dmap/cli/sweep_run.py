"""Runs a sweep for `tune` and `benchmark`, shows its progress and writes its report."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from deep3dmap.bench.benchmark_arguments import BenchmarkRequest
from deep3dmap.bench.suite import load_suite
from deep3dmap.cli.ray_start import start_ray
from deep3dmap.cli.sweep_table import SweepTable, sweep_table
from deep3dmap.config.compose import ComposedRun
from deep3dmap.core.errors import UserError
from deep3dmap.results.store import ResultStore
from deep3dmap.runs.tuned_settings import TunedSettings
from deep3dmap.tune.best import read_best
from deep3dmap.tune.options import TuneOptions
from deep3dmap.tune.plan import SweepPlan, plan_composed
from deep3dmap.tune.report import comparison, summary, write_report
from deep3dmap.tune.sweep import SweepOutcome, count_remaining_trials, count_trials, run_sweep

# Scoring a suite's metric costs more than a validation loss, so it is done less often than in a separate sweep.
FAIR_EVALUATIONS = 5


def follow_sweep(plan: SweepPlan, *, restart: bool, as_json: bool) -> int:
    """Run a sweep; returns the exit code. restart: discard an earlier sweep of the same name."""
    console = Console(stderr=True)
    outcome = execute_sweep(plan, console, restart)
    report = write_report(plan, outcome.state)
    sweep_summary = summary(plan, outcome.state)
    if as_json:
        print(json.dumps(sweep_summary, indent=1))
    else:
        # A pipe has no width; print one trial per line for whatever reads it.
        Console(file=sys.stdout, width=None if sys.stdout.isatty() else 240).print(
            sweep_table(plan, outcome.state, count_trials(plan))
        )
        print(f"best: {comparison(plan, outcome.state)}")
        print(f"report: {report}")
        if sweep_summary["best"]:
            choices = (("method", plan.run.method), ("dataset", plan.run.dataset))
            # A saved file alone never causes a module to be imported; its name must be given on the command line.
            modules = "".join(f" {kind}={name}" for kind, name in choices if ":" in name)
            print(f"deep3dmap train from={sweep_summary['best_yaml']}{modules}")
    if not outcome.is_complete:
        console.print(
            f"the sweep is not complete; run the same command with --resume to continue it ({plan.folder})",
            highlight=False,
            soft_wrap=True,
        )
    return 0 if sweep_summary["best"] and outcome.is_complete else 1


def execute_sweep(plan: SweepPlan, console: Console, restart: bool) -> SweepOutcome:
    """Run a sweep with a live table. Raises UserError, discarding nothing, if another process is working on the sweep."""
    claim = f"sweep-{plan.name}"
    with ResultStore(plan.results).lease([claim]) as lease:
        if claim in lease.refused:
            raise UserError(f"{lease.refused[claim]} is already working on sweep '{plan.name}'; choose another tune.name=")
        if restart:
            plan.discard()
        console.print(f"sweep {escape(plan.name)}: {count_trials(plan)} trials", highlight=False, soft_wrap=True)
        if count_remaining_trials(plan) > 0:
            start_ray(console)
        with SweepTable(plan, console, count_trials(plan)) as table:
            return run_sweep(plan, table)


def tune_fairly(
    trials: int, runs: Sequence[tuple[str, ComposedRun]], request: BenchmarkRequest, uri: str, work: Path, *, resume: bool
) -> list[TunedSettings]:
    """Tune every run of a benchmark with the same number of trials, by the suite's headline metric on the validation split.

    Raises UserError if a sweep finds no configuration. resume: continue an earlier sweep of the same configuration.
    """
    console, found = Console(stderr=True), []
    suite = load_suite(request.own.suite)
    scenes = request.own.scenes or suite.tier(request.own.tier).scenes
    metric = f"{suite.name}/{suite.protocol.card.headline}"
    for scored, run in runs:
        options = TuneOptions(trials=trials, metric=metric, scenes=scenes, evaluations=FAIR_EVALUATIONS)
        plan = plan_composed(run, options, {}, uri, work)
        outcome = execute_sweep(plan, console, restart=not resume)
        write_report(plan, outcome.state)
        file = plan.output / "best.yaml"
        if not outcome.is_complete or not file.is_file():
            raise UserError(f"tuning {run.method}/{run.variant} did not finish ({plan.output}); add --resume to continue")
        console.print(f"{run.method}/{run.variant}: {comparison(plan, outcome.state)}", highlight=False, soft_wrap=True)
        found.append(read_best(file).tuned_for(scored))
    return found
