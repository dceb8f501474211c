"""Time and peak memory of back-projection, native and with torch's grid_sample, for nine views at NeuralRecon's three sizes.

Run as `python -m deep3dmap.benchmarks.kernels.back_project [--rounds 9] [--sides 24 48 96]`.
"""

from deep3dmap.benchmarks.kernels.side_by_side import measure, table  # isort: skip - it sets the threads before torch loads

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.cli.arguments import how_many
from deep3dmap.ops import back_project, back_project_reference

VIEWS = 9
FRAGMENT = 3.84  # side of the volume in metres
LEVELS = {24: (80, 30, 40), 48: (40, 60, 80), 96: (24, 120, 160)}  # voxels per side: channels, height, width


class Fragment(NamedTuple):
    """features (9, C, H, W), projection (9, 3, 4) from world to pixels, positions (side^3, 3) metres, gradient of the mean."""

    features: Tensor
    projection: Tensor
    positions: Tensor
    gradient: Tensor


def fragment(side: int) -> Fragment:
    """Return nine key frames, 10 cm and 6 degrees apart, that see a dense volume from the centre of one of its faces."""
    channels, height, width = LEVELS[side]
    generator = torch.Generator().manual_seed(0)
    axis = (torch.arange(side) + 0.5) * (FRAGMENT / side)
    positions = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    intrinsics = torch.tensor([[0.9 * width, 0, (width - 1) / 2], [0, 0.9 * width, (height - 1) / 2], [0, 0, 1]])
    poses = [_camera_from_world(view - VIEWS // 2) for view in range(VIEWS)]
    features = torch.randn(VIEWS, channels, height, width, generator=generator)
    gradient = torch.randn(len(positions), channels, generator=generator)
    return Fragment(features, intrinsics @ torch.stack(poses), positions, gradient)


def _camera_from_world(step: int) -> Tensor:
    turn = torch.tensor(step * 0.105)
    rotation = torch.tensor([[turn.cos(), 0, turn.sin()], [0, 1, 0], [-turn.sin(), 0, turn.cos()]])
    centre = torch.tensor([FRAGMENT / 2 + 0.1 * step, FRAGMENT / 2, 0.1])
    return torch.cat([rotation, -(rotation @ centre)[:, None]], 1)


def view_by_view(features: Tensor, projection: Tensor, positions: Tensor) -> Tensor:
    """Return the mean features (N, C) from torch's grid_sample, one view at a time, which needs less memory."""
    total, count = features.new_zeros(len(positions), features.shape[1]), features.new_zeros(len(positions))
    for view in range(len(features)):
        mean, _, seen = back_project_reference.back_project(features[view, None], projection[view, None], positions)
        total, count = total + mean, count + seen
    return total / count.clamp(min=1)[:, None]


MEANS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "native": lambda features, projection, positions: back_project(features, projection, positions, "native")[0],
    "torch grid_sample": lambda *given: back_project_reference.back_project(*given)[0],
    "torch, view by view": view_by_view,
}


def call(name: str, given: Fragment, backward: bool) -> Callable[[], object]:
    """Return a call of the contender, optionally with the gradient of the features."""
    mean = MEANS[name]

    def forward() -> object:
        with torch.no_grad():
            return mean(given.features, given.projection, given.positions)

    def both() -> object:
        features = given.features.detach().requires_grad_()
        return torch.autograd.grad(mean(features, given.projection, given.positions), features, given.gradient)

    return both if backward else forward


def peak_megabytes(name: str, side: int, backward: bool) -> float:
    """Return the increase in peak memory of a fresh process by one call, including its results."""
    here = [sys.executable, "-m", "deep3dmap.benchmarks.kernels.back_project", "--peak-of", name, "--sides", str(side)]
    done = subprocess.run([*here, *(["--backward"] if backward else [])], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _measure_own_peak(name: str, side: int, backward: bool) -> float:
    """Measure the peak memory of a call; Linux only, since it resets and reads the kernel's high-water mark."""
    torch.set_num_threads(1)
    given = fragment(side)
    # A small warm-up call, so that one-time allocations are not attributed to the measured call.
    warm_up = Fragment(given.features[..., :4, :4], given.projection, given.positions[:8], given.gradient[:8])
    call(name, warm_up, backward)()
    run = call(name, given, backward)
    Path("/proc/self/clear_refs").write_text("5")
    before = _high_water()
    result = run()
    after = _high_water()
    del result
    return after - before


def _high_water() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _memory_table(side: int, backward: bool) -> str:
    if not Path("/proc/self/clear_refs").exists():
        return "  peak memory skipped: it requires Linux's /proc"
    peaks = {name: peak_megabytes(name, side, backward) for name in MEANS}
    base = max(peaks["native"], 0.1)
    return "\n".join(f"  {name:20} peak {peak:8.1f} MB  ratio {peak / base:6.1f}" for name, peak in peaks.items())


def main() -> None:
    """Print times and peak memory for each size, forward only and with the gradient."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=how_many, default=9)
    parser.add_argument("--sides", type=int, nargs="+", choices=sorted(LEVELS), default=sorted(LEVELS))
    parser.add_argument("--peak-of", choices=sorted(MEANS), help="print only the peak memory of one contender in this process")
    parser.add_argument("--backward", action="store_true", help="with --peak-of: include the gradient")
    options = parser.parse_args()
    if options.peak_of:
        print(_measure_own_peak(options.peak_of, options.sides[0], options.backward))
        return
    for side in options.sides:
        given = fragment(side)
        for backward in (False, True):
            contenders = {name: call(name, given, backward) for name in MEANS}
            what = "forward and backward" if backward else "forward"
            title = f"{VIEWS} views into {side}^3 voxels, {given.features.shape[1]} channels, {what}, one thread"
            print(table(title, measure(contenders, options.rounds, warm_up=1), {}))
            print(_memory_table(side, backward), flush=True)


if __name__ == "__main__":
    main()
