"""Nearest neighbours and Chamfer distance of points on two surfaces: SciPy's k-d tree, all pairwise distances, PyTorch3D.

Run as `python -m deep3dmap.benchmarks.kernels.neighbour_search [--rounds 7] [--quick]`; `--quick` uses 1,000 points only.
On the CPU the platform uses the k-d tree, `geometry.nearest_neighbours.nearest`; the time includes building it.
"""

from deep3dmap.benchmarks.kernels.side_by_side import Timing, measure, table  # isort: skip - it sets the threads before torch loads

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from deep3dmap.cli.arguments import how_many
from deep3dmap.geometry.nearest_neighbours import brute_force, nearest, squared_distances

Calls = dict[str, Callable[[], object]]
TREE = "k-d tree (ours)"
MAX_DENSE_POINTS = 20_000  # points; their pairwise distances in both directions take 3 GB, and more with the gradient
SECONDS_FOR_ROUNDS = 2.0  # calls that take longer are timed only once


def surfaces(count: int) -> tuple[Tensor, Tensor]:
    """Return two clouds (count, 3) float32 on a unit sphere; the second is slightly larger and has 1 % noise."""
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1) for _ in range(2))
    return first, 1.02 * second + 0.01 * torch.randn(count, 3, generator=generator)


def searches(points: Tensor, targets: Tensor) -> tuple[Calls, dict[str, str]]:
    """Return the contenders for finding each point's nearest target, and the reasons why others are absent."""
    calls: Calls = {
        TREE: lambda: nearest(points, targets),
        "all distances in blocks": lambda: brute_force(points, targets),
    }
    absent = {}
    if len(points) <= MAX_DENSE_POINTS:
        calls["torch.cdist at once"] = lambda: torch.cdist(points, targets).argmin(1)
    else:
        absent["torch.cdist at once"] = f"{4e-9 * len(points) * len(targets):.0f} GB of distances"
    try:
        from pytorch3d.ops import knn_points

        calls["pytorch3d knn_points"] = lambda: knn_points(points[None], targets[None]).idx
    except ImportError as error:
        absent["pytorch3d knn_points"] = str(error)
    return calls, absent


def chamfers(points: Tensor, targets: Tensor) -> tuple[Calls, dict[str, str]]:
    """Return the contenders for the mean squared distance in both directions and its gradient, and reasons for absences."""
    moving = points.clone().requires_grad_()

    def gradient(loss: Callable[[], Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(loss(), moving)

    calls: Calls = {
        TREE: gradient(lambda: squared_distances(moving, targets).mean() + squared_distances(targets, moving).mean())
    }
    absent = {}
    if len(points) <= MAX_DENSE_POINTS:
        calls["torch.cdist at once"] = gradient(lambda: _dense_chamfer(moving, targets))
    else:
        absent["torch.cdist at once"] = f"{8e-9 * len(points) * len(targets):.0f} GB of distances and their gradient"
    try:
        from pytorch3d.loss import chamfer_distance

        calls["pytorch3d chamfer_distance"] = gradient(lambda: chamfer_distance(moving[None], targets[None])[0])
    except ImportError as error:
        absent["pytorch3d chamfer_distance"] = str(error)
    return calls, absent


def _dense_chamfer(points: Tensor, targets: Tensor) -> Tensor:
    distances = torch.cdist(points, targets)
    return distances.amin(1).square().mean() + distances.amin(0).square().mean()


def timings(calls: Calls, rounds: int) -> list[Timing]:
    """Time the calls alternately; a call that takes seconds is timed once, separately from the others."""
    once = {name: measure({name: call}, rounds=1, warm_up=0)[0] for name, call in calls.items()}
    quick = {name: calls[name] for name, timing in once.items() if timing.median < SECONDS_FOR_ROUNDS}
    again = {timing.name: timing for timing in measure(quick, rounds)} if quick else {}
    return [again.get(name, timing) for name, timing in once.items()]


def main() -> None:
    """Print a table for each number of points and task, followed by a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=how_many, default=7)
    parser.add_argument("--points", type=how_many, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--quick", action="store_true", help="only the smallest number of points")
    options = parser.parse_args()
    ratios = []
    for count in options.points[:1] if options.quick else options.points:
        for task, ways in (("nearest neighbours", searches), ("Chamfer distance and its gradient", chamfers)):
            calls, absent = ways(*surfaces(count))
            found = timings(calls, options.rounds)
            print(table(f"{count} and {count} points, {task}, one thread", found, absent), flush=True)
            if len(found) > 1:
                ratios.append(min(timing.median for timing in found[1:]) / found[0].median)
    print(f"its fastest rival takes {min(ratios):.1f} to {max(ratios):.0f} times as long as the k-d tree")


if __name__ == "__main__":
    main()
