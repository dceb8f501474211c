"""Continues a trial from the weights of another, for population based training: moments are kept, settings change."""

import shutil
from pathlib import Path

from deep3dmap.frameworks.saved_checkpoints import read_checkpoint
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.job import TrainingJob


def copy_donor_checkpoint(job: TrainingJob, donor_folder: Path) -> bool:
    """Start the job from the checkpoint in `donor_folder` if it belongs to another trial; returns whether it does.

    A trial that is only restarted receives a copy of its own checkpoint, and resumes from its own folder.
    """
    donor, folder = read_checkpoint(donor_folder), CheckpointFolder(Path(job.folder) / "checkpoints")
    own = folder.list_complete()
    if donor.about["state_sha256"] in [checkpoint.about["state_sha256"] for checkpoint in own]:
        return False
    # A checkpoint contains no optimiser settings; those are taken from the job.
    state = donor.state()
    for checkpoint in own:
        shutil.rmtree(checkpoint.folder, ignore_errors=True)
    about = {**donor.about, **job.about(), "metrics": {}}
    folder.write(state, about, donor.step, None)
    return True
