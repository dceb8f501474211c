"""`python -m deep3dmap.train.training_process FD`: one worker; reads its job from stdin, tells FD how it ended."""

import os
import pickle
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deep3dmap.train.processes import die_with_parent


def main(telling: int) -> None:
    """Import, wait for the job, train, tell."""
    die_with_parent()
    # Imported while the command that started this process still plans.
    from deep3dmap.train.job import TrainingJob
    from deep3dmap.train.transcript import output_folder, write_into

    given = sys.stdin.buffer.read()
    if not given:
        return
    job = TrainingJob(**pickle.loads(given))
    write_into(output_folder(job), rank=0)
    told = _carried_out(job)
    with os.fdopen(telling, "wb") as stream:
        pickle.dump(told, stream)
    sys.stdout.flush()
    sys.stderr.flush()
    # The numbers are on disk; taking an interpreter with torch apart in good order takes longer than some trainings.
    os._exit(0)


def _carried_out(job: Any) -> dict[str, Any]:
    from deep3dmap.core.errors import DivergedError, UserError
    from deep3dmap.train.failures import as_plain_data
    from deep3dmap.train.hosts import OnlyWorkerHost
    from deep3dmap.train.job import train_here

    try:
        return {"summary": asdict(train_here(job, OnlyWorkerHost(str(job.config["device"])))[1])}
    except (UserError, DivergedError, MemoryError) as error:
        return as_plain_data(error)
    except Exception as error:
        if "OutOfMemoryError" in type(error).__name__:
            return as_plain_data(error)
        # Shown to the user and kept beside the checkpoints.
        traceback.print_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}, in {place.name}"
        return {"failure": "RuntimeError", "message": f"{type(error).__name__}: {error} ({where})"}


if __name__ == "__main__":
    main(int(sys.argv[1]))
