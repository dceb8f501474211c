"""The typed schema of a run, and the documentation of each of its fields."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from deep3dmap.core.options import option

SCHEMA_VERSION = 1


@dataclass
class OptimizerConfig:
    """The optimiser that the training loop builds for a method."""

    name: str = option("adam", "adam, adamw, sgd or rmsprop", choices=("adam", "adamw", "sgd", "rmsprop"))
    lr: float = option(1e-4, "learning rate", low=1e-6, high=1e-1, log=True, valid="(0, inf)")
    betas: list[float] = option([0.9, 0.999], "moment decays of adam and adamw", valid="[0, 1)")
    momentum: float = option(0.9, "momentum of sgd", low=0.0, high=0.99, valid="[0, 1)")
    smoothing: float = option(0.99, "rmsprop: decay of the mean square", valid="[0, 1)")
    eps: float = option(1e-8, "adam, adamw, rmsprop: added to the root of the mean square", valid="(0, inf)")
    weight_decay: float = option(
        0.0, "L2 penalty (adam, sgd) or decoupled decay (adamw)", low=1e-6, high=1e-1, log=True, valid="[0, inf)"
    )


@dataclass
class ScheduleConfig:
    """Learning-rate schedule over the steps of a run."""

    name: str = option(
        "constant",
        "constant, cosine (to final_factor at the end of the budget) or step",
        choices=("constant", "cosine", "step"),
    )
    warmup_steps: int = option(0, "steps of linear warm-up from zero", low=0, high=1000, valid="[0, inf)")
    every_steps: int = option(0, "step: multiply by `factor` every this many steps (0 = use every_epochs)", valid="[0, inf)")
    every_epochs: int = option(0, "step: multiply by `factor` every this many epochs", valid="[0, inf)")
    milestones: list[float] = option(
        [], "step: multiply by `factor` at these shares of the budget, e.g. [0.5,0.75]", valid="[0, 1]"
    )
    factor: float = option(0.5, "step: the multiplier", low=0.1, high=0.9, valid="(0, inf)")
    final_factor: float = option(0.0, "cosine: final learning rate as a share of the initial one", valid="[0, inf)")


@dataclass
class TrainerConfig:
    """Budget, batching, precision, checkpoints and resources of a training run."""

    engine: str = option(
        "auto",
        "auto: one-worker trials train in the trial's own process; train: always a Ray Train TorchTrainer",
        choices=("auto", "train"),
    )
    workers: int = option(1, "training processes; their gradients are averaged", valid="[1, inf)")
    min_workers: int = option(
        0,
        "elastic training: fewest workers to start with, or to continue with after losing a node (0 = all workers)",
        valid="[0, inf)",
    )
    cpus_per_worker: float = option(1.0, "CPUs reserved for each worker, including its loader processes", valid="[0, inf)")
    gpus_per_worker: float | None = option(
        None,
        "GPUs reserved for each worker; fractions such as 0.25 are allowed (null = one if available, for methods in torch)",
        valid="[0, inf)",
    )
    batch_size: int = option(16, "samples per optimisation step over all workers", low=1, high=256, log=True, valid="[1, inf)")
    accumulate: int = option(1, "micro-batches per optimisation step; batch_size is split over them", valid="[1, inf)")
    max_steps: int | None = option(None, "optimisation steps to take (null = no limit, 0 = no training)", valid="[0, inf)")
    max_epochs: int | None = option(None, "passes over the training split (null = no limit)", valid="[0, inf)")
    max_seconds: float = option(
        0.0,
        "safety limit: seconds of training, including time before a resume; noted in the row if it ends the run (0 = none)",
        valid="[0, inf)",
    )
    precision: str = option(
        "fp32",
        "fp32; tf32 (10-bit mantissa in matrix products on a GPU); bf16 or fp16 (autocast; fp16 with gradient scaling)",
        choices=("fp32", "tf32", "bf16", "fp16"),
    )
    clip_norm: float = option(0.0, "maximum gradient norm (0 = no clipping)", low=0.1, high=10.0, log=True, valid="[0, inf)")
    ema_decay: float = option(
        0.0, "decay of the weight average used for validation and inference (0 = none)", low=0.9, high=0.9999, valid="[0, 1)"
    )
    log_every: int = option(10, "steps between points of the curves", valid="[1, inf)")
    evaluate_every: int = option(0, "steps between validations (0 = only at the end)", valid="[0, inf)")
    checkpoint_every: int = option(500, "steps between checkpoints (0 = only at the end)", valid="[0, inf)")
    loader_workers: int = option(0, "loader processes per worker", valid="[0, inf)")
    max_failures: int = option(2, "restarts after a worker dies", valid="[0, inf)")
    deterministic: bool = option(True, "use deterministic algorithms in torch")
    initialize_from: str | None = option(
        None, "initial weights: a checkpoint folder, a RUN_ID, or METHOD/VARIANT for the newest finished run of it"
    )


@dataclass
class FitConfig:
    """Budget and checkpoints of the fit to each scene, for methods that are optimised per scene."""

    max_steps: int | None = option(None, "steps of the fit (null = the method's own schedule, 0 = no fit)", valid="[0, inf)")
    max_seconds: float = option(
        0.0, "safety limit: seconds per scene, including time before a resume (0 = none)", valid="[0, inf)"
    )
    log_every: int = option(10, "steps between points of the curves", valid="[1, inf)")
    checkpoint_every: int = option(200, "steps between checkpoints (0 = only at the end)", valid="[0, inf)")


@dataclass
class DataConfig:
    """Location of generated data, and number of processes that prepare them."""

    cache: str | None = option(None, "folder for generated and prepared data (null = $DEEP3DMAP_CACHE or ~/.cache/deep3dmap)")
    workers: int = option(0, "processes that generate or prepare data (0 = one per CPU)", valid="[0, inf)")


@dataclass
class RunConfig:
    """One run: a method on a dataset, with a seed."""

    defaults: list[Any] = field(
        default_factory=lambda: [
            "_self_",
            {"trainer": "default"},
            {"optimizer": "default"},
            {"schedule": "default"},
            {"fit": "default"},
            {"data": "default"},
            {"dataset": "???"},
            {"method": "???"},
        ]
    )
    method: Any = MISSING
    dataset: Any = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    data: DataConfig = field(default_factory=DataConfig)
    inputs: dict[str, str] = option({}, "maps a method's own key to the dataset's key, e.g. inputs.image=crop")
    seed: int = option(0, "seed of weights, order, augmentation and noise", valid="[0, inf)")
    device: str = option("auto", "auto (CUDA if the worker has a GPU), cpu or cuda")
    trackers: list[str] = option([], "trackers to send the curves to: tensorboard, wandb, mlflow or the name of a plugin")
    results: str = option("results", "result store: a folder or a URI (s3://, gs://)")
