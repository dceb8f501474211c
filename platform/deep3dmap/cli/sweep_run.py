"""Carries out a sweep for `tune`, telling how it fares, and leaves its answer."""

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
from deep3dmap.tune.sweep import SweepOutcome, run_sweep, trials_left, trials_of

# Scoring a suite's metric costs more than a loss, so it is done less often than in a sweep of its own.
FAIR_EVALUATIONS = 5


def follow_sweep(plan: SweepPlan, *, anew: bool, as_json: bool) -> int:
    """Carry out a sweep; returns the exit code. anew: forget an earlier one of its name."""
    console = Console(stderr=True)
    outcome = carry_out(plan, console, anew)
    report = write_report(plan, outcome.state)
    told = summary(plan, outcome.state)
    if as_json:
        print(json.dumps(told, indent=1))
    else:
        # A pipe has no width, and what reads it should find one trial per line.
        Console(file=sys.stdout, width=None if sys.stdout.isatty() else 240).print(
            sweep_table(plan, outcome.state, trials_of(plan))
        )
        print(f"best: {comparison(plan, outcome.state)}")
        print(f"report: {report}")
        if told["best"]:
            choices = (("method", plan.run.method), ("dataset", plan.run.dataset))
            # A file alone does not decide that a module is imported.
            modules = "".join(f" {kind}={name}" for kind, name in choices if ":" in name)
            print(f"deep3dmap train from={told['best_yaml']}{modules}")
    if not outcome.is_complete:
        console.print(
            f"the sweep is not complete; the same line with --resume goes on ({plan.folder})", highlight=False, soft_wrap=True
        )
    return 0 if told["best"] and outcome.is_complete else 1


def carry_out(plan: SweepPlan, console: Console, anew: bool) -> SweepOutcome:
    """Run a sweep under its table. Raises UserError, with nothing forgotten, while another process works on it."""
    claim = f"sweep-{plan.name}"
    with ResultStore(plan.results).lease([claim]) as lease:
        if claim in lease.refused:
            raise UserError(f"{lease.refused[claim]} is already working on sweep '{plan.name}'; give tune.name= another name")
        if anew:
            plan.drop()
        console.print(f"sweep {escape(plan.name)}: {trials_of(plan)} trials", highlight=False, soft_wrap=True)
        if trials_left(plan) > 0:
            start_ray(console)
        with SweepTable(plan, console, trials_of(plan)) as table:
            return run_sweep(plan, table)


def tune_fairly(
    trials: int, runs: Sequence[tuple[str, ComposedRun]], request: BenchmarkRequest, uri: str, work: Path, *, resume: bool
) -> list[TunedSettings]:
    """Grant every run of a benchmark the same number of trials, judged by the suite's headline on the validation split.

    Raises UserError if a sweep finds nothing. With `resume` an earlier sweep of the same configuration is gone on with.
    """
    console, found = Console(stderr=True), []
    suite = load_suite(request.own.suite)
    scenes = request.own.scenes or suite.tier(request.own.tier).scenes
    metric = f"{suite.name}/{suite.protocol.card.headline}"
    for scored, run in runs:
        options = TuneOptions(trials=trials, metric=metric, scenes=scenes, evaluations=FAIR_EVALUATIONS)
        plan = plan_composed(run, options, {}, uri, work)
        outcome = carry_out(plan, console, anew=not resume)
        write_report(plan, outcome.state)
        file = plan.output / "best.yaml"
        if not outcome.is_complete or not file.is_file():
            raise UserError(f"tuning {run.method}/{run.variant} did not come to its end ({plan.output}); add --resume to go on")
        console.print(f"{run.method}/{run.variant}: {comparison(plan, outcome.state)}", highlight=False, soft_wrap=True)
        found.append(read_best(file).tuned_for(scored))
    return found
