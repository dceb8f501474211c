"""`python -m deep3dmap.train.training_process FD`: reads a job from stdin, trains or directs workers, reports to FD."""

import importlib
import os
import pickle
import select
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deep3dmap.train.processes import die_with_parent


def main(outcome_fd: int) -> None:
    """Import the libraries, wait for the job, train, and write the outcome."""
    die_with_parent()
    # Imported while the command that started this process is still planning.
    from deep3dmap.train.job import TrainingJob
    from deep3dmap.train.transcript import output_folder, write_into

    if not select.select([sys.stdin], [], [], 0)[0]:
        # No job yet: use the time to import what the first optimiser would import, which takes 0.75 s.
        importlib.import_module("torch._dynamo")
    request = sys.stdin.buffer.read()
    if not request:
        return
    order = pickle.loads(request)
    job = TrainingJob(**order["job"])
    write_into(output_folder(job), rank=0)
    outcome = _run_job(job, order)
    with os.fdopen(outcome_fd, "wb") as stream:
        pickle.dump(outcome, stream)
    sys.stdout.flush()
    sys.stderr.flush()
    # All results are on disk; an orderly interpreter shutdown with torch takes longer than some trainings.
    os._exit(0)


def _run_job(job: Any, order: dict[str, Any]) -> dict[str, Any]:
    from deep3dmap.core.errors import DivergedError, UserError
    from deep3dmap.train.failures import NoResourcesError, as_plain_data
    from deep3dmap.train.start_watch import StartError

    try:
        return {"summary": asdict(_train_on_ray(job, order) if order["storage"] else _train_in_process(job))}
    except (UserError, DivergedError, MemoryError, NoResourcesError, StartError) as error:
        return as_plain_data(error)
    except Exception as error:
        if "OutOfMemoryError" in type(error).__name__:
            return as_plain_data(error)
        if order["storage"]:
            return {"failure": "RuntimeError", "message": str(error)}
        # Shown to the user and stored next to the checkpoints.
        traceback.print_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}, in {place.name}"
        return {"failure": "RuntimeError", "message": f"{type(error).__name__}: {error} ({where})"}


def _train_in_process(job: Any) -> Any:
    from deep3dmap.train.hosts import choose_device
    from deep3dmap.train.job import train_here
    from deep3dmap.train.local_host import LocalHost

    return train_here(job, LocalHost(choose_device(str(job.config["device"]))))[1]


def _train_on_ray(job: Any, order: dict[str, Any]) -> Any:
    from deep3dmap.train import ray_runtime
    from deep3dmap.train.progress import report_activity
    from deep3dmap.train.run_watch import PLACING
    from deep3dmap.train.trainer import train_on_workers

    if order["threads"]:
        # It is meant for training in this process; Ray gives each worker as many threads as it has CPUs.
        os.environ.pop("OMP_NUM_THREADS", None)
    ray_runtime.connect()
    report_activity(PLACING)
    summary = train_on_workers(job, order["storage"])
    if ray_runtime.own_health() is None:
        # Disconnect properly from a shared Ray; a private one ends with the command.
        ray_runtime.disconnect()
    return summary


if __name__ == "__main__":
    main(int(sys.argv[1]))
