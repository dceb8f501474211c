"""Executes planned runs for `benchmark` and `evaluate`, and reports their progress."""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from deep3dmap.bench.experiment import run_experiment
from deep3dmap.bench.finished import Finished
from deep3dmap.cli.arguments import is_terminal
from deep3dmap.cli.leaderboard import print_leaderboard
from deep3dmap.cli.printable import shown
from deep3dmap.cli.ray_start import start_ray
from deep3dmap.core.secrets import hide_in_text
from deep3dmap.results.compact import WORTH_COMPACTING, compact
from deep3dmap.results.store import ResultStore
from deep3dmap.runs.preparation import prepare_data
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.runs.stored_cards import write_cards
from deep3dmap.train.engine import check_start
from deep3dmap.train.interruption import InterruptedRun, Terminated


def run_plans(plans: Sequence[RunPlan], store: ResultStore, uri: str, work: Path, *, resume: bool, as_json: bool) -> int:
    """Execute `plans`, print each outcome and the leaderboard; returns the exit code."""
    done = store.finished_ids() if resume else set()
    pending = [plan for plan in plans if plan.run_id not in done]
    for plan in pending:
        check_start(plan.job)
    console = Console(stderr=True)
    with store.lease(plan.run_id for plan in pending) as lease:
        for plan in pending:
            if plan.run_id in lease.refused:
                console.print(
                    f"skipped, {lease.refused[plan.run_id]} is already running it: {shown(plan.title)}",
                    highlight=False,
                    soft_wrap=True,
                )
        leased = [plan for plan in pending if plan.run_id in lease.held]
        if not resume:
            for plan in leased:
                shutil.rmtree(work / plan.run_id, ignore_errors=True)
        if len(pending) < len(plans):
            console.print(f"{len(plans) - len(pending)} of {len(plans)} runs are already in {uri}", soft_wrap=True)
        finished = _execute_plans(leased, plans, store, uri, work, console)
        if lost := lease.describe_lost_runs():
            console.print(lost, style="yellow", highlight=False, soft_wrap=True)
    _report_outcomes(finished, plans, store, console, as_json)
    # Last, so that problems with the files do not hide any outcome.
    compact(store, min_files=WORTH_COMPACTING)
    return 1 if any(run.status != "ok" for run in finished) else 0


def _execute_plans(
    leased: Sequence[RunPlan], plans: Sequence[RunPlan], store: ResultStore, uri: str, work: Path, console: Console
) -> list[Finished]:
    prepare_data(leased)
    write_cards(store, plans)
    if leased:
        console.print(f"{len(leased)} runs", highlight=False)
        start_ray(console)
    try:
        return run_experiment(leased, uri, work, ProgressPrinter(console))
    except KeyboardInterrupt:
        raise InterruptedRun(f"interrupted; {_resume_hint(leased, store)}") from None
    except Terminated:
        raise Terminated(f"terminated; {_resume_hint(leased, store)}") from None


def _resume_hint(leased: Sequence[RunPlan], store: ResultStore) -> str:
    done = {plan.run_id for plan in leased} & store.finished_ids()
    return f"{len(done)} of {len(leased)} runs are stored: run the same command with --resume to continue with the others"


def _report_outcomes(
    finished: Sequence[Finished], plans: Sequence[RunPlan], store: ResultStore, console: Console, as_json: bool
) -> None:
    if as_json:
        print(json.dumps([_as_dict(run) for run in finished], indent=1))
    else:
        for suite in sorted({plan.suite for plan in plans}):
            print_leaderboard(store, suite=suite)
        _print_pictures(store, plans)
    for run in finished:
        if run.status != "ok":
            last = run.error.strip().splitlines()[-1] if run.error else ""
            console.print(
                f"[red]{run.status}[/red] {shown(run.plan.title)}: {shown(hide_in_text(last, run.plan.config))}",
                highlight=False,
                soft_wrap=True,
            )


class ProgressPrinter:
    """Prints when a run starts (on a terminal only) and how each run ended."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __call__(self, event: str, run: RunPlan | Finished, done: int, total: int) -> None:
        """Print a line about one event."""
        if isinstance(run, RunPlan):
            if is_terminal():
                self.console.print(f"[dim]\\[{done}/{total}] started {shown(run.title)}[/dim]", highlight=False)
            return
        value = "" if run.headline is None else f"  {run.headline:.4g}"
        colour = "green" if run.status == "ok" else "red"
        self.console.print(
            f"\\[{done}/{total}] [{colour}]{run.status}[/{colour}] {shown(run.plan.title)}{value}  ({run.seconds:.0f} s)",
            highlight=False,
            soft_wrap=True,
        )


def _as_dict(run: Finished) -> dict[str, object]:
    return {
        "run_id": run.plan.run_id,
        "suite": run.plan.suite,
        "method": run.plan.method,
        "variant": run.plan.variant,
        "dataset": run.plan.dataset,
        "seed": run.plan.seed,
        "status": run.status,
        "headline": run.headline,
        "error": hide_in_text(run.error, run.plan.config),
    }


def _print_pictures(store: ResultStore, plans: Sequence[RunPlan]) -> None:
    runs = store.runs()
    printed: set[tuple[str, str]] = set()
    for plan in plans:
        row = runs[runs.run_id == plan.run_id]
        key = (plan.method, plan.variant)
        if key in printed or row.empty:
            continue
        if picture := _find_overview_picture(store.artifacts(plan.run_id, int(row.iloc[0].attempt), ".png")):
            printed.add(key)
            print(f"picture of {plan.method}/{plan.variant} on {plan.dataset}: {picture}", file=sys.stdout)


def _find_overview_picture(pictures: Sequence[str]) -> str:
    """Return the overview picture of the first scene, which is its largest file."""
    first = [picture for picture in pictures if Path(picture).parent == Path(pictures[0]).parent]
    local = [picture for picture in first if Path(picture).is_file()]
    return max(local, key=lambda picture: Path(picture).stat().st_size) if local else next(iter(first), "")
