"""How torch computes in a run: deterministic algorithms, and what products of float32 matrices on a GPU are rounded to."""

import torch

from deep3dmap.config.schema import TrainerConfig


def set_arithmetic(trainer: TrainerConfig) -> None:
    """Ask torch for what trainer.deterministic and trainer.precision say; whatever an earlier run asked for is undone."""
    be_deterministic(trainer.deterministic)
    if torch.cuda.is_available():
        # Only then: the same setting lets oneDNN round products on some processors.
        torch.set_float32_matmul_precision("high" if trainer.precision == "tf32" else "highest")


def be_deterministic(wanted: bool) -> None:
    """Ask torch for algorithms that give the same bits every time, and for warnings where it has none."""
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
