"""Every native op on CUDA compared with the CPU, with new random inputs in each run.

Run as `python -m deep3dmap.benchmarks.kernels.gpu.parity [--seed N]`; prints the seed, and exits with code 1 if an op differs.
"""

import argparse
import sys
import time

import torch
from torch import Tensor

from deep3dmap.benchmarks.kernels.gpu.problems import PROBLEMS, solve_problem

# Tolerance for float32 sums in a different order, and for rays and fragments at a border that rounding may assign to either
# side.
TOLERANCE = 1e-3


def difference(one: Tensor, other: Tensor) -> float:
    """Return the norm of the difference relative to the norm, infinite for different shapes."""
    if one.shape != other.shape:
        return float("inf")
    left, right = one.double().cpu(), other.double().cpu()
    return float((left - right).norm() / right.norm().clamp(min=1e-12)) if right.numel() else 0.0


def compare(name: str, seed: int) -> list[float]:
    """Return the differences of all outputs and gradients of a problem."""
    make, size, _ = PROBLEMS[name]
    given = make(torch.Generator().manual_seed(seed), size)
    there, here = solve_problem(given, "cuda", "native"), solve_problem(given, "cpu", "native")
    return [difference(one, other) for one, other in zip(there, here, strict=True)]


def main() -> None:
    """Print a line for each op."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**31)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device available")
    torch.set_float32_matmul_precision("highest")
    print(f"seed {options.seed}")
    failed = 0
    for name in PROBLEMS:
        found = compare(name, options.seed)
        failed += not max(found) <= TOLERANCE
        print(
            f"{'equal ' if max(found) <= TOLERANCE else 'DIFFER'}  {name:30}  {' '.join(f'{one:.1e}' for one in found)}",
            flush=True,
        )
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
