"""Gradients of several workers are averaged; a parameter without a gradient on any worker keeps none."""

from pathlib import Path

import torch
from averaging import average_in_process


def test_a_parameter_without_a_gradient_anywhere_keeps_none(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(average_in_process, (str(tmp_path),), nprocs=2)
    for rank in (0, 1):
        everywhere, on_one, nowhere = torch.load(tmp_path / f"{rank}.pt")
        assert everywhere.tolist() == [1.5, 1.5]
        assert on_one.tolist() == [1.5, 1.5]
        assert nowhere is None
