"""Trackers: log the curves of a training to TensorBoard, Weights & Biases or MLflow as well, from rank 0."""

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
    """Description of a run for trackers. folder: of the run, kept on resume. resume_step: later points are logged again."""

    run_id: str
    title: str
    folder: Path
    config: Mapping[str, Any]
    resume_step: int


class Tracker(Protocol):
    """Constructed as `Class(run)` when training starts or resumes. `Class.package` names the package it requires."""

    package: str

    def __init__(self, run: TrackedRun) -> None: ...

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log one point of each named curve at an optimisation step."""
        ...

    def close(self) -> None:
        """Flush the remaining points; the run may be resumed later."""
        ...


class TensorBoard:
    """Event files in the run's folder `tensorboard/`, written with tensorboardX."""

    package = "tensorboardX"

    def __init__(self, run: TrackedRun) -> None:
        from tensorboardX import SummaryWriter

        # Makes TensorBoard discard later steps logged by an earlier session.
        purge = run.resume_step + 1 if run.resume_step else None
        # tensorboardX names files by the second, so a session started within the same second would overwrite the file.
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
    """A run in the project `deep3dmap`, identified by its run id; with WANDB_MODE=offline it is kept in the run's folder."""

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
        # The built-in step cannot decrease, as it does on a resume from an earlier checkpoint.
        self._run.define_metric("optimisation_step")
        self._run.define_metric("*", step_metric="optimisation_step")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log one row."""
        self._run.log({**values, "optimisation_step": step})

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class MLflow:
    """A run in the experiment `deep3dmap` at MLFLOW_TRACKING_URI, or in a separate database in the run's folder if unset."""

    package = "mlflow"

    def __init__(self, run: TrackedRun) -> None:
        mlflow = import_module("mlflow")
        # Trials that start at the same time would conflict in creating a shared database.
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.folder / 'mlflow.db'}"
        self._client = mlflow.MlflowClient(uri)
        id_file = run.folder / "mlflow_run_id"
        if id_file.is_file():
            self._id = id_file.read_text()
            return
        created = self._client.create_run(self._experiment(), run_name=run.title, tags={"deep3dmap.run_id": run.run_id})
        self._id = str(created.info.run_id)
        for name, value in flatten(dict(run.config)).items():
            self._client.log_param(self._id, name, value)
        id_file.parent.mkdir(parents=True, exist_ok=True)
        id_file.write_text(self._id)

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
    """Raise UserError, before training, for a tracker that is unknown or whose package is not installed."""
    for name in names:
        package = trackers.load(name).package
        try:
            import_module(package)
        except ImportError as error:
            raise UserError(f"trackers=[{name}] needs the package '{package}'; pip install {package}") from error


class Trackers:
    """The trackers of one run. A tracker that fails later is dropped with a warning, so that training continues."""

    def __init__(self, folder: Path, about: Mapping[str, Any], resume_step: int) -> None:
        """Create the trackers listed in the run's configuration; raises UserError as `check_trackers` does.

        about: description of the run, as stored in its checkpoints.
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
        """Log to all trackers."""
        self._for_each(lambda tracker: tracker.log(step, values))

    def close(self) -> None:
        """Close all trackers."""
        self._for_each(lambda tracker: tracker.close())
        self._open.clear()

    def _for_each(self, action: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._open.items()):
            try:
                action(tracker)
            except Exception as error:
                del self._open[name]
                warnings.warn(f"tracker '{name}' failed and is no longer used: {error}", stacklevel=3)
