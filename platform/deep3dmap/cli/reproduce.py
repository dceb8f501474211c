"""`deep3dmap reproduce`: rerun stored runs, and report for every metric whether it matches."""

import json
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.places import open_store
from deep3dmap.cli.printable import printable
from deep3dmap.cli.stored_runs import find_run
from deep3dmap.config.overrides import split_override
from deep3dmap.core.errors import UserError
from deep3dmap.results.store import ResultStore

if TYPE_CHECKING:
    from deep3dmap.runs.run_plan import RunPlan

EXAMPLES = """\
  deep3dmap reproduce 1f3a
  deep3dmap reproduce --sample 5 results=results
  deep3dmap reproduce 1f3a 77b2 --json"""


def main(argv: list[str]) -> int:
    """Run the verb; exit code 0 if every metric is identical or within its interval, else 1."""
    parser = VerbParser("reproduce", "Rerun stored runs as new attempts, and compare every metric.", EXAMPLES)
    parser.add_argument("run_id", nargs="*", help="run ids or prefixes of them (`deep3dmap results ls` lists the runs)")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="rerun N randomly chosen successful runs")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random choice")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    flags, pairs = parser.parse(argv)
    values = dict(split_override(text) for text in pairs)
    store, uri, work = open_store(str(values.pop("results", "results")), make=False)
    if values:
        raise UserError(f"{next(iter(values))}: a run is reproduced with its own settings; only results= may be given")
    # Imported here so that --help does not load torch.
    from deep3dmap.results.reproduction import IDENTICAL, WITHIN

    verdicts = _reproduce_runs(store, uri, work, _select_runs(store, flags.run_id, flags.sample, flags.seed))
    if flags.json:
        print(json.dumps(verdicts, indent=1))
    else:
        for one in verdicts:
            print(f"{one['run_id']}  {one['overall']}  {printable(one['title'])}")
            for line in one["metrics"]:
                print(f"  {printable(line)}")
    return 0 if all(one["overall"] in (IDENTICAL, WITHIN) for one in verdicts) else 1


def _select_runs(store: ResultStore, named: list[str], sample: int, seed: int) -> list[Any]:
    runs = store.runs()
    scored = [row for row in runs.itertuples() if row.status == "ok" and row.suite and ":" not in str(row.suite)]
    if not named and not sample:
        raise UserError("which runs? give their ids, or --sample N")
    by_id = {str(row.run_id): row for row in runs.itertuples()}
    found = [find_run(store, text) for text in named]
    if sample > len(scored):
        raise UserError(f"--sample {sample}: {store.uri} has only {len(scored)} successful scored runs")
    drawn = random.Random(seed).sample(sorted(str(row.run_id) for row in scored), sample)
    return [by_id[run_id] for run_id in dict.fromkeys([*found, *drawn])]


def _reproduce_runs(store: ResultStore, uri: str, work: Path, rows: list[Any]) -> list[dict[str, Any]]:
    from deep3dmap.results.reproduction import cannot_run
    from deep3dmap.runs.replanning import ChangedRunError, replan

    plans: dict[str, RunPlan] = {}
    summaries: dict[str, dict[str, Any]] = {}
    for row in rows:
        title = f"{row.suite} · {row.method}/{row.variant} · {row.dataset}/{row.dataset_variant} · seed {row.seed}"
        try:
            plans[row.run_id] = replan(store, row, work)
        except ChangedRunError as error:
            summaries[row.run_id] = _summarise_verdicts(row.run_id, title, cannot_run(str(error)))
    if plans:
        summaries |= _rerun_plans(store, uri, work, plans)
    return [summaries[row.run_id] for row in rows]


def _rerun_plans(store: ResultStore, uri: str, work: Path, plans: dict[str, "RunPlan"]) -> dict[str, dict[str, Any]]:
    from deep3dmap.bench.experiment import run_experiment
    from deep3dmap.cli.ray_start import start_ray
    from deep3dmap.cli.run_plans import ProgressPrinter
    from deep3dmap.results.reproduction import from_json

    console = Console(stderr=True)
    start_ray(console)
    run_experiment(list(plans.values()), uri, work, ProgressPrinter(console))
    shutil.rmtree(work / "reproduced", ignore_errors=True)
    newest = store.runs(newest_only=False).sort_values("attempt")
    repeated_runs = {row.run_id: row for row in newest[newest.reproduces != 0].itertuples()}
    return {
        run_id: _summarise_verdicts(run_id, plan.title, from_json(str(repeated_runs[run_id].verdict)))
        for run_id, plan in plans.items()
    }


def _summarise_verdicts(run_id: str, title: str, verdicts: list[Any]) -> dict[str, Any]:
    from deep3dmap.results.reproduction import overall

    return {"run_id": run_id, "title": title, "overall": overall(verdicts), "metrics": [str(one) for one in verdicts]}
