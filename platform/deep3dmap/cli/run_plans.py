"""Executes planned runs for `benchmark` and `evaluate`, and reports their progress."""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from deep3dmap.bench.experiment import run_experiment
from deep3dmap.bench.finished import Finished
from deep3dmap.cli.arguments import on_terminal
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
    wanted = [plan for plan in plans if plan.run_id not in done]
    for plan in wanted:
        check_start(plan.job)
    console = Console(stderr=True)
    with store.lease(plan.run_id for plan in wanted) as lease:
        for plan in wanted:
            if plan.run_id in lease.refused:
                console.print(
                    f"skipped, {lease.refused[plan.run_id]} is already running it: {shown(plan.title)}",
                    highlight=False,
                    soft_wrap=True,
                )
        todo = [plan for plan in wanted if plan.run_id in lease.held]
        if not resume:
            for plan in todo:
                shutil.rmtree(work / plan.run_id, ignore_errors=True)
        if len(wanted) < len(plans):
            console.print(f"{len(plans) - len(wanted)} of {len(plans)} runs are already in {uri}", soft_wrap=True)
        finished = _carried_out(todo, plans, store, uri, work, console)
        if lost := lease.lost_in_words():
            console.print(lost, style="yellow", highlight=False, soft_wrap=True)
    _tell(finished, plans, store, console, as_json)
    # Last, so that problems with the files do not hide any outcome.
    compact(store, least=WORTH_COMPACTING)
    return 1 if any(run.status != "ok" for run in finished) else 0


def _carried_out(
    todo: Sequence[RunPlan], plans: Sequence[RunPlan], store: ResultStore, uri: str, work: Path, console: Console
) -> list[Finished]:
    prepare_data(todo)
    write_cards(store, plans)
    if todo:
        console.print(f"{len(todo)} runs", highlight=False)
        start_ray(console)
    try:
        return run_experiment(todo, uri, work, Narrator(console))
    except KeyboardInterrupt:
        raise InterruptedRun(f"interrupted; {_how_to_go_on(todo, store)}") from None
    except Terminated:
        raise Terminated(f"terminated; {_how_to_go_on(todo, store)}") from None


def _how_to_go_on(todo: Sequence[RunPlan], store: ResultStore) -> str:
    done = {plan.run_id for plan in todo} & store.finished_ids()
    return f"{len(done)} of {len(todo)} runs are stored: run the same command with --resume to continue with the others"


def _tell(finished: Sequence[Finished], plans: Sequence[RunPlan], store: ResultStore, console: Console, as_json: bool) -> None:
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


class Narrator:
    """Prints when a run starts (on a terminal only) and how each run ended."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __call__(self, event: str, what: RunPlan | Finished, done: int, total: int) -> None:
        """Print a line about one event."""
        if isinstance(what, RunPlan):
            if on_terminal():
                self.console.print(f"[dim]\\[{done}/{total}] started {shown(what.title)}[/dim]", highlight=False)
            return
        value = "" if what.headline is None else f"  {what.headline:.4g}"
        colour = "green" if what.status == "ok" else "red"
        self.console.print(
            f"\\[{done}/{total}] [{colour}]{what.status}[/{colour}] {shown(what.plan.title)}{value}  ({what.seconds:.0f} s)",
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
    shown: set[tuple[str, str]] = set()
    for plan in plans:
        row = runs[runs.run_id == plan.run_id]
        key = (plan.method, plan.variant)
        if key in shown or row.empty:
            continue
        if picture := _sheet(store.artifacts(plan.run_id, int(row.iloc[0].attempt), ".png")):
            shown.add(key)
            print(f"picture of {plan.method}/{plan.variant} on {plan.dataset}: {picture}", file=sys.stdout)


def _sheet(pictures: Sequence[str]) -> str:
    """Return the overview picture of the first scene, which is its largest file."""
    first = [picture for picture in pictures if Path(picture).parent == Path(pictures[0]).parent]
    local = [picture for picture in first if Path(picture).is_file()]
    return max(local, key=lambda picture: Path(picture).stat().st_size) if local else next(iter(first), "")
