"""Trackers: the curves of a training told to TensorBoard, Weights & Biases or MLflow as well, from rank 0."""

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from deep3dmap.core.errors import UserError
from deep3dmap.core.nested import flatten
from deep3dmap.core.registry import Registry
from deep3dmap.core.secrets import hide

trackers = Registry("deep3dmap.trackers", "tracker")
PROJECT = "deep3dmap"


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run. folder: its own, kept by a resume. resume_step: points after it are told again."""

    run_id: str
    title: str
    folder: Path
    config: Mapping[str, Any]
    resume_step: int


class Tracker(Protocol):
    """Built as `Class(run)` when training begins or goes on. `Class.package` is what has to be installed for it."""

    package: str

    def __init__(self, run: TrackedRun) -> None: ...

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take one point of each named curve at an optimisation step."""
        ...

    def close(self) -> None:
        """Hand over what is left; a resume may go on with the run."""
        ...


class TensorBoard:
    """Event files in the run's folder `tensorboard/`, through tensorboardX."""

    package = "tensorboardX"

    def __init__(self, run: TrackedRun) -> None:
        from tensorboardX import SummaryWriter

        # TensorBoard leaves out what an earlier session told of later steps.
        purge = run.resume_step + 1 if run.resume_step else None
        # tensorboardX names a file by the second: a session that begins within the same one would write over it.
        folder, suffix = str(run.folder / "tensorboard"), f".{time.time_ns()}"
        self._writer = SummaryWriter(folder, purge_step=purge, flush_secs=10, filename_suffix=suffix)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class WeightsAndBiases:
    """A run of the project `deep3dmap`, known by its run id; WANDB_MODE=offline keeps it on disk, in the run's folder."""

    package = "wandb"

    def __init__(self, run: TrackedRun) -> None:
        wandb = import_module("wandb")
        folder = run.folder / "wandb"
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=run.run_id,
            name=run.title,
            dir=str(folder),
            config=dict(run.config),
            resume="allow",
            reinit="create_new",
        )
        # Its own step may not go back, which a resume from an earlier checkpoint does.
        self._run.define_metric("optimisation_step")
        self._run.define_metric("*", step_metric="optimisation_step")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log one row."""
        self._run.log({**values, "optimisation_step": step})

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class MLflow:
    """A run of the experiment `deep3dmap` at MLFLOW_TRACKING_URI, else in a database of its own in the run's folder."""

    package = "mlflow"

    def __init__(self, run: TrackedRun) -> None:
        mlflow = import_module("mlflow")
        # Trials that begin at the same time would trip over each other in making one database.
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.folder / 'mlflow.db'}"
        self._client = mlflow.MlflowClient(uri)
        kept = run.folder / "mlflow_run_id"
        if kept.is_file():
            self._id = kept.read_text()
            return
        created = self._client.create_run(self._experiment(), run_name=run.title, tags={"deep3dmap.run_id": run.run_id})
        self._id = str(created.info.run_id)
        for name, value in flatten(dict(run.config)).items():
            self._client.log_param(self._id, name, value)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(self._id)

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        if (found := self._client.get_experiment_by_name(name)) is None:
            return str(self._client.create_experiment(name))
        return str(found.experiment_id)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log metrics."""
        for name, value in values.items():
            self._client.log_metric(self._id, name, value, step=step)

    def close(self) -> None:
        """Mark the run as ended."""
        self._client.set_terminated(self._id)


for _name, _class in (("tensorboard", TensorBoard), ("wandb", WeightsAndBiases), ("mlflow", MLflow)):
    trackers.add(_name, _class)


def check_trackers(names: Sequence[str]) -> None:
    """Raise UserError for a tracker that is unknown or whose package is not installed: before anything is trained."""
    for name in names:
        package = trackers.load(name).package
        try:
            import_module(package)
        except ImportError as error:
            raise UserError(f"trackers=[{name}] needs the package '{package}'; pip install {package}") from error


class Trackers:
    """The trackers of one run. One that fails later is left out with a warning: no training is lost to a dead server."""

    def __init__(self, folder: Path, about: Mapping[str, Any], resume_step: int) -> None:
        """Build those that the run's configuration names; raises UserError as `check_trackers` does.

        about: what the run's checkpoints say of it.
        """
        config = hide(about.get("config", {}))
        names = config.get("trackers", ())
        self._open: dict[str, Tracker] = {}
        if names:
            check_trackers(names)
            title = f"{about['method']}/{about['variant']} on {about['dataset']}/{about['dataset_variant']}"
            run = TrackedRun(folder.name, title, folder, config, resume_step)
            self._open = {name: trackers.load(name)(run) for name in names}

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Tell all of them."""
        self._each(lambda tracker: tracker.log(step, values))

    def close(self) -> None:
        """Close all of them."""
        self._each(lambda tracker: tracker.close())
        self._open.clear()

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._open.items()):
            try:
                tell(tracker)
            except Exception as error:
                del self._open[name]
                warnings.warn(f"tracker '{name}' failed and is left out from now on: {error}", stacklevel=3)
