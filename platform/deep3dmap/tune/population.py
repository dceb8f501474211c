"""Taking over another trial's weights, as population based training asks: weights and moments stay, settings change."""

import shutil
from pathlib import Path

from deep3dmap.frameworks.saved_checkpoints import read_checkpoint
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.job import TrainingJob


def take_over(job: TrainingJob, given: Path) -> bool:
    """Begin the job from the checkpoint in `given`, if that is another trial's; returns whether it was.

    A trial that is merely started again is handed a copy of its own checkpoint, and goes on from its own folder.
    """
    donor, folder = read_checkpoint(given), CheckpointFolder(Path(job.folder) / "checkpoints")
    own = folder.whole()
    if donor.about["state_sha256"] in [checkpoint.about["state_sha256"] for checkpoint in own]:
        return False
    # A checkpoint holds no setting of an optimiser: those are the job's own.
    state = donor.state()
    for checkpoint in own:
        shutil.rmtree(checkpoint.folder, ignore_errors=True)
    about = {**donor.about, **job.about(), "metrics": {}}
    folder.write(state, about, donor.step, None)
    return True
