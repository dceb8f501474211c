"""The problems with which `make gpu` compares devices: the CPU backends agree on them, and its commands exist."""

from pathlib import Path

import pytest
import torch

from deep3dmap.benchmarks.kernels.gpu import parity, training
from deep3dmap.benchmarks.kernels.gpu.problems import PROBLEMS, solve_problem


@pytest.mark.parametrize("name", [name for name in PROBLEMS if PROBLEMS[name][0](torch.Generator(), 4).in_torch])
def test_backends_solve_a_problem_alike(name: str) -> None:
    make, size, _ = PROBLEMS[name]
    given = make(torch.Generator().manual_seed(1), size // 4)
    ours, theirs = solve_problem(given, "cpu", "native"), solve_problem(given, "cpu", "reference")
    assert max(parity.difference(one, other) for one, other in zip(ours, theirs, strict=True)) <= parity.TOLERANCE


@pytest.mark.parametrize("name", ["rasterize", "rasterize_soft", "neural_mesh"])
def test_a_problem_without_a_fast_reference_draws_something(name: str) -> None:
    make, size, _ = PROBLEMS[name]
    found = solve_problem(make(torch.Generator().manual_seed(1), size), "cpu", "native")
    assert all(bool(one.isfinite().all()) and one.count_nonzero() > 0 for one in found)


def test_a_difference_is_seen() -> None:
    one = torch.ones(10)
    assert parity.difference(one, one) == 0
    assert parity.difference(one * 1.01, one) > parity.TOLERANCE
    assert parity.difference(one[:9], one) == float("inf")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(training.COMMANDS))
def test_commands_are_accepted(name: str, tmp_path: Path) -> None:
    words = training.COMMANDS[name].format(seconds=1.0).split()
    code, said = training.run([*words, f"results={tmp_path}", "--dry-run"])
    assert code == 0, said
