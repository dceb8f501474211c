"""Times of native ops on CUDA and of plain torch on the same GPU, of tasks with stated sizes, and of sparse convolution.

Run as `python -m deep3dmap.benchmarks.kernels.gpu.kernels [--rounds 10]`. Medians of CUDA events; with a ratio above 1, the
native op is faster.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from itertools import chain

import torch
from torch import Tensor

from deep3dmap.benchmarks.kernels.gpu import tasks
from deep3dmap.benchmarks.kernels.gpu.problems import PROBLEMS, Problem
from deep3dmap.benchmarks.kernels.gpu.tasks import milliseconds
from deep3dmap.benchmarks.kernels.sparse_conv import surface
from deep3dmap.cli.arguments import how_many
from deep3dmap.ops.sparse import kernel_map, kernel_offsets, sparse_conv3d

Convolution = Callable[[Tensor, Tensor], Tensor]
PRECISIONS = (
    ("fp32", torch.float32, False),
    ("tf32", torch.float32, True),
    ("fp16", torch.float16, True),
    ("bf16", torch.bfloat16, True),
)


def timed(given: Problem, backend: str, gradients: bool, rounds: int) -> float:
    """Return the milliseconds of a solution, optionally with gradients."""
    tensors = {name: value.cuda() for name, value in given.tensors.items()}
    leaves = [tensors[name].requires_grad_(gradients) for name in given.leaves]

    def call() -> object:
        outputs = given.solve(tensors, backend)
        if not gradients:
            return outputs
        return torch.autograd.grad(torch.stack([one.sum() for one in outputs if one.requires_grad]).sum(), leaves)

    with torch.set_grad_enabled(gradients):
        return milliseconds(call, rounds)


def op_table(rounds: int) -> Iterator[str]:
    """Yield the table of ops."""
    yield f"{'op':30}{'size':>8}{'forward':>11}{'ratio':>7}{'both ways':>12}{'ratio':>7}"
    for name, (make, _, size) in PROBLEMS.items():
        given = make(torch.Generator().manual_seed(0), size)
        line = f"{name:30}{size:8}"
        for gradients in (False, True)[: 2 if given.leaves else 1]:
            ours = timed(given, "native", gradients, rounds)
            torch_takes = timed(given, "reference", gradients, 2) if given.in_torch else math.nan
            line += f"{ours:8.3f} ms{torch_takes / ours:7.1f}" + ("  " if not gradients else "")
        yield line


def im2col(pairs: tuple[Tensor, Tensor, Tensor], count: int) -> Convolution:
    """Return the convolution as a gather and one product, as in a simple torch implementation."""
    in_rows, out_rows, sizes = pairs
    rows = torch.full((count, len(sizes)), count, device=in_rows.device)
    rows[out_rows.long(), torch.arange(len(sizes), device=in_rows.device).repeat_interleave(sizes)] = in_rows.long()

    def call(features: Tensor, weight: Tensor) -> Tensor:
        padded = torch.cat([features, features.new_zeros(1, features.shape[1])])
        return padded[rows.view(-1)].view(count, -1) @ weight.reshape(-1, weight.shape[2])

    return call


def convolution_table(voxels: int, channels: int, rounds: int) -> Iterator[str]:
    """Yield the rows of a size: each precision, with im2col in the same precision."""
    coordinates = surface(voxels).cuda()
    count, offsets = len(coordinates), kernel_offsets(3, 1)
    pairs = kernel_map(coordinates, coordinates, offsets)
    peer = im2col((pairs.in_rows, pairs.out_rows, pairs.splits.diff().cuda()), count)
    search = milliseconds(lambda: kernel_map(coordinates, coordinates, offsets), rounds)
    yield f"{count} voxels, {channels} -> {channels} channels; kernel map {search:.3f} ms"
    for name, dtype, tf32 in PRECISIONS:
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        features = torch.randn(count, channels, device="cuda").to(dtype).requires_grad_()
        weight = (torch.randn(27, channels, channels, device="cuda") / (27 * channels) ** 0.5).to(dtype).requires_grad_()
        ours, both = _time_convolution(lambda f, w: sparse_conv3d(f, w, pairs), features, weight, rounds)
        theirs, their_both = _time_convolution(peer, features, weight, 3)
        rate = 2 * len(pairs.in_rows) * channels**2 / ours / 1e9
        yield (
            f"  {name}  forward {ours:.3f} ms ({rate:.0f} TFLOP/s), im2col {theirs / ours:.1f} times; "
            f"both ways {both:.3f} ms, im2col {their_both / both:.1f} times"
        )


def _time_convolution(convolve: Convolution, features: Tensor, weight: Tensor, rounds: int) -> tuple[float, float]:
    gradient = torch.randn(len(features), weight.shape[2], device="cuda").to(features.dtype)
    with torch.no_grad():
        forward = milliseconds(lambda: convolve(features, weight), rounds)
    both = milliseconds(lambda: torch.autograd.grad(convolve(features, weight), (features, weight), gradient), rounds)
    return forward, both


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=how_many, default=10)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device available")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; ratios: plain torch over native")
    for line in chain(op_table(options.rounds), tasks.rows(options.rounds)):
        print(line, flush=True)
    for voxels, channels in ((50_000, 32), (200_000, 64), (200_000, 128)):
        for line in convolution_table(voxels, channels, options.rounds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
