"""Carries out a sweep for `tune`, telling how it fares, and leaves its answer."""

import json
import sys

from rich.console import Console
from rich.markup import escape

from deep3dmap.cli.sweep_table import SweepTable, sweep_table
from deep3dmap.train import ray_runtime
from deep3dmap.tune.plan import SweepPlan
from deep3dmap.tune.report import comparison, summary, write_report
from deep3dmap.tune.sweep import SweepOutcome, run_sweep, trials_of


def follow_sweep(plan: SweepPlan, *, as_json: bool) -> int:
    """Carry out a sweep; returns the exit code."""
    console = Console(stderr=True)
    outcome = carry_out(plan, console)
    report = write_report(plan, outcome.state)
    told = summary(plan, outcome.state)
    if as_json:
        print(json.dumps(told, indent=1))
    else:
        Console(file=sys.stdout).print(sweep_table(plan, outcome.state, trials_of(plan)))
        print(f"best: {comparison(plan, outcome.state)}")
        print(f"report: {report}")
        if told["best"]:
            print(f"deep3dmap train from={told['best_yaml']}")
    if not outcome.is_complete:
        console.print(f"the sweep is not complete; the same line with --resume goes on ({plan.folder})", highlight=False)
    return 0 if told["best"] and outcome.is_complete else 1


def carry_out(plan: SweepPlan, console: Console) -> SweepOutcome:
    """Run a sweep under its table."""
    console.print(f"sweep {escape(plan.name)}: {trials_of(plan)} trials; starting Ray", highlight=False)
    ray_runtime.connect()
    link = dashboard_link()
    if link:
        console.print(f"Ray dashboard: {link}", highlight=False)
    with SweepTable(plan, console, trials_of(plan)) as table:
        return run_sweep(plan, table)


def dashboard_link() -> str:
    """Return where Ray's dashboard is, "" where it has none."""
    import ray

    context = ray.init(ignore_reinit_error=True, log_to_driver=False)
    return f"http://{context.dashboard_url}" if context.dashboard_url else ""
