"""Output of a dry run: the runs with their ids, and the data that would be prepared first."""

import sys
from collections.abc import Iterable, Sequence

from deep3dmap.cli.printable import printable
from deep3dmap.config.open_dataset import worker_count
from deep3dmap.data.preparation_progress import describe
from deep3dmap.runs.preparation import missing_preparations
from deep3dmap.runs.run_plan import RunPlan

# As wide as an id, which depends on the content of the data and is unknown until they are prepared.
UNKNOWN = "(data not ready)"


def print_runs(plans: Sequence[RunPlan], missing: Iterable[str]) -> None:
    """Print one line per run to stdout, and the data that would be prepared to stderr."""
    for plan in plans:
        print(plan.run_id if _is_known(plan) else UNKNOWN, printable(plan.title.lstrip(" ·")))
    for dataset in missing:
        print(f"dataset {printable(dataset)} would be prepared first: deep3dmap data prepare {dataset}", file=sys.stderr)
    preparations = missing_preparations(plans)
    if preparations:
        for line in describe(preparations, worker_count(plans[0].config["data"])):
            print(f"would prepare {line}", file=sys.stderr)


def _is_known(plan: RunPlan) -> bool:
    trained_on = plan.config.get("trained_on")
    return bool(plan.dataset_version and (trained_on is None or trained_on["version"]))
