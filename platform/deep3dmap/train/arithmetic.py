"""Numerical settings of torch in a run: deterministic algorithms, and the precision of float32 matrix products on a GPU."""

import torch

from deep3dmap.config.schema import TrainerConfig


def set_arithmetic(trainer: TrainerConfig) -> None:
    """Apply trainer.deterministic and trainer.precision to torch, overriding the settings of any earlier run."""
    set_deterministic(trainer.deterministic)
    if torch.cuda.is_available():
        # Only with a GPU: on some CPUs the same setting lets oneDNN round products.
        torch.set_float32_matmul_precision("high" if trainer.precision == "tf32" else "highest")


def set_deterministic(enabled: bool) -> None:
    """Make torch use bitwise deterministic algorithms, and warn about operations that have none."""
    torch.use_deterministic_algorithms(enabled, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
