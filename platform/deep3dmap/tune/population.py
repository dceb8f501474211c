"""Taking over another trial's weights, as population based training asks: the weights stay, the optimiser's settings change."""

import shutil
from pathlib import Path
from typing import Any

from deep3dmap.train.checkpoints import Checkpoint, CheckpointFolder, read_checkpoint
from deep3dmap.train.job import TrainingJob


def take_over(job: TrainingJob, given: Path) -> bool:
    """Begin the job from the checkpoint in `given`, if that is another trial's; returns whether it was.

    A trial that is merely started again is handed a copy of its own checkpoint, and goes on from its own folder.
    """
    donor, folder = read_checkpoint(given), CheckpointFolder(Path(job.folder) / "checkpoints")
    own = folder.whole()
    if donor.about["state_sha256"] in [checkpoint.about["state_sha256"] for checkpoint in own]:
        return False
    state = donor.state()
    _set_optimizers(state, donor, job)
    for checkpoint in own:
        shutil.rmtree(checkpoint.folder, ignore_errors=True)
    about = {**donor.about, **job.about(), "metrics": {}}
    folder.write(state, about, donor.step, None)
    return True


def _set_optimizers(state: dict[str, Any], donor: Checkpoint, job: TrainingJob) -> None:
    """Give the optimisers in a checkpoint the job's settings: they are restored as saved, and would not take them otherwise."""
    before, after = donor.about["config"]["optimizer"], job.config["optimizer"]
    scale = float(after["lr"]) / float(before["lr"])
    for saved in state["loop"].get("optimizers", []):
        for group in saved["optimizer"]["param_groups"]:
            for rate in ("lr", "initial_lr"):
                if rate in group:
                    group[rate] = group[rate] * scale
            for name in ("weight_decay", "momentum"):
                if name in group and before[name] != after[name]:
                    group[name] = after[name]
            if "betas" in group and list(before["betas"]) != list(after["betas"]):
                group["betas"] = tuple(after["betas"])
        schedule = saved["schedule"]
        for rates in ("base_lrs", "_last_lr"):
            if rates in schedule:
                schedule[rates] = [rate * scale for rate in schedule[rates]]
