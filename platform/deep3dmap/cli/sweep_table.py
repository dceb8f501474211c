"""The progress of a running sweep: a live table on a terminal, one line per finished trial in a pipe."""

import math
import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from deep3dmap.cli.arguments import is_terminal
from deep3dmap.cli.printable import shown
from deep3dmap.cli.tables import bare_table
from deep3dmap.results.export import significant
from deep3dmap.tune.journal import SweepState, TrialRecord
from deep3dmap.tune.objective import best_of
from deep3dmap.tune.plan import SweepPlan
from deep3dmap.tune.report import find_default_trial

_ROWS = 24
_COLOURS = {"ok": "green", "stopped": "yellow", "running": "cyan", "pending": "dim"}


class SweepTable:
    """Shows the progress of a sweep; called with the events "started", "evaluated", "ended" and "finish"."""

    def __init__(self, plan: SweepPlan, console: Console, total: int) -> None:
        self.plan, self.console, self.total = plan, console, total
        self.live = Live(console=console, auto_refresh=False, transient=True) if is_terminal() else None
        self._drawn = 0.0

    def __enter__(self) -> "SweepTable":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live:
            self.live.stop()

    def __call__(self, event: str, record: TrialRecord | None, state: SweepState) -> None:
        """Handle one event."""
        if self.live and (event in ("ended", "finish") or time.monotonic() - self._drawn > 0.5):
            self._drawn = time.monotonic()
            self.live.update(sweep_table(self.plan, state, self.total), refresh=True)
        if event == "ended" and record is not None:
            self.console.print(trial_line(self.plan, record, len(state.ended), self.total), highlight=False, soft_wrap=True)
        elif event == "finish":
            self.console.print(f"sweep finished: {shown(state.finish)}", highlight=False, soft_wrap=True)


def trial_line(plan: SweepPlan, record: TrialRecord, done: int, total: int) -> str:
    """Return a one-line summary of a finished trial."""
    value = plan.quality.value(record.chosen)
    quality = f"  {shown(plan.quality.title)} {value:.4g}" if math.isfinite(value) else ""
    colour = _COLOURS.get(record.status, "red")
    default = " (as configured)" if record.is_default else ""
    error = f"  {record.error.strip().splitlines()[-1]}" if record.error.strip() else ""
    return (
        f"\\[{done}/{total}] [{colour}]{record.status}[/{colour}] trial {record.number}{default}{quality}"
        f"  ({record.seconds:.0f} s)  [dim]{shown(_settings(record))}[/dim]{shown(error)}"
    )


def sweep_table(plan: SweepPlan, state: SweepState, total: int) -> Table:
    """Return the table: unfinished trials first, then the finished ones from best to worst."""
    best, default = best_of(state.ended, plan.quality), find_default_trial(state)
    title = f"{plan.name}: {len(state.ended)} of {total} trials, {state.spent:.0f} s"
    for name, record in (("best", best), ("as configured", default)):
        if record:
            title += f", {name} {significant(plan.quality.value(record.chosen))}"
    table = bare_table(title=title, title_justify="left")
    for name in ("trial", "status", "%", plan.quality.title, "s"):
        table.add_column(name, justify="right" if name != "status" else "left", no_wrap=True)
    table.add_column("settings", overflow="fold")
    for record in _ordered(plan, list(state.trials.values()))[:_ROWS]:
        table.add_row(*_cells(plan, record), style="bold" if best and record.number == best.number else "")
    if len(state.trials) > _ROWS:
        table.caption = f"and {len(state.trials) - _ROWS} more"
    return table


def _cells(plan: SweepPlan, record: TrialRecord) -> list[str]:
    colour, value = _COLOURS.get(record.status, "red"), plan.quality.value(record.chosen)
    progress = record.evaluations[-1].get("progress", 0.0) if record.evaluations else 0.0
    cells = [str(record.number), f"[{colour}]{record.status}[/{colour}]", f"{progress:.0f}"]
    cells += [significant(value) if math.isfinite(value) else "", f"{record.seconds:.0f}"]
    return [*cells, shown(_settings(record))]


def _ordered(plan: SweepPlan, records: Sequence[TrialRecord]) -> list[TrialRecord]:
    def place(record: TrialRecord) -> tuple[bool, float, int]:
        loss = plan.quality.loss(record.chosen)
        return record.has_ended, loss if math.isfinite(loss) else math.inf, record.number

    return sorted(records, key=place)


def _settings(record: TrialRecord) -> str:
    return " ".join(f"{key.rpartition('.')[2]}={_short(value)}" for key, value in record.values.items())


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace(" ", "")
