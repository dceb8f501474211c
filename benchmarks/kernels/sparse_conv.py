"""Submanifold 3x3x3 convolution of surface-like voxels with native, spconv and torch; and the kernel map alone.

Run as `python -m deep3dmap.benchmarks.kernels.sparse_conv [--full] [--rounds 7] [--threads 1]`; `--full` adds the larger size.
"""

from deep3dmap.benchmarks.kernels.side_by_side import Timing, measure, table  # isort: skip - it sets the threads before torch loads

import argparse
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deep3dmap.cli.arguments import how_many
from deep3dmap.ops.sparse import KernelMap, kernel_map, kernel_offsets, sparse_conv3d

SIDE = 3  # of the kernel
CHUNK = 4096  # outputs that im2col unrolls at once
QUICK, FULL = ((50_000, 32), (50_000, 64)), ((200_000, 32), (200_000, 64))

Convolution = Callable[[Tensor, Tensor], Tensor]


class Problem(NamedTuple):
    """coordinates (N, 4) int32 in lexicographic order; features and gradient (N, C); weight (27, C, C); their kernel map."""

    coordinates: Tensor
    features: Tensor
    weight: Tensor
    gradient: Tensor
    pairs: KernelMap

    @property
    def operations(self) -> float:
        """Floating-point operations of the forward pass; the backward pass takes twice as many."""
        return 2.0 * len(self.pairs.in_rows) * self.weight.shape[1] * self.weight.shape[2]


def surface(voxels: int) -> Tensor:
    """Return about `voxels` coordinates of a wavy sheet three voxels thick, like those of a truncated distance field."""
    side = round((voxels / 3) ** 0.5)
    x, y = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    height = (20 * torch.sin(x / 19) + 15 * torch.cos(y / 17)).floor().long()
    layers = [torch.stack([torch.zeros_like(x), x, y, height + k], -1).reshape(-1, 4) for k in (-1, 0, 1)]
    return torch.unique(torch.cat(layers), dim=0).to(torch.int32)


def problem(voxels: int, channels: int) -> Problem:
    """Return the problem that all contenders solve."""
    generator = torch.Generator().manual_seed(0)
    coordinates = surface(voxels)
    features, gradient = (torch.randn(len(coordinates), channels, generator=generator) for _ in range(2))
    weight = torch.randn(SIDE**3, channels, channels, generator=generator) / (SIDE**3 * channels) ** 0.5
    return Problem(coordinates, features, weight, gradient, our_map(coordinates))


def our_map(coordinates: Tensor, backend: str = "auto") -> KernelMap:
    """Return the kernel map of the submanifold convolution."""
    return kernel_map(coordinates, coordinates, kernel_offsets(SIDE, 1), backend)  # type: ignore[arg-type]


def im2col(given: Problem) -> Convolution:
    """Return the convolution as one product of unrolled neighbourhoods, CHUNK outputs at a time."""
    count, offsets = len(given.coordinates), len(given.weight)
    rows = torch.full((count, offsets), count)
    sizes = given.pairs.splits.diff()
    rows[given.pairs.out_rows.long(), torch.arange(offsets).repeat_interleave(sizes)] = given.pairs.in_rows.long()

    def call(features: Tensor, weight: Tensor) -> Tensor:
        padded = torch.cat([features, features.new_zeros(1, features.shape[1])])
        matrix = weight.reshape(-1, weight.shape[2])
        return torch.cat([padded.index_select(0, part.reshape(-1)).view(len(part), -1) @ matrix for part in rows.split(CHUNK)])

    return call


def spconv(given: Problem) -> tuple[Callable[[], object], Convolution]:
    """Return spconv's search for pairs and its convolution with precomputed pairs; raises ImportError if it is absent."""
    from spconv.core import ConvAlgo
    from spconv.pytorch import functional, ops

    if not torch.cuda.is_available():
        # spconv's backward pass requests a CUDA stream even for CPU tensors, which fails in a torch without CUDA.
        ops.get_current_stream = lambda: 0
    indices = given.coordinates.clone()
    indices[:, 1:] -= indices[:, 1:].amin(0)
    shape = (indices[:, 1:].amax(0) + 1).tolist()
    size, one = [SIDE] * 3, [1, 1, 1]

    def find() -> Any:
        return ops.get_indice_pairs(indices, 1, shape, ConvAlgo.Native, size, one, one, one, [0, 0, 0], subm=True)

    _, pairs, counts = find()
    count = len(indices)

    def call(features: Tensor, filters: Tensor) -> Tensor:
        result: Tensor = functional.indice_subm_conv(features, filters, pairs, counts, count, ConvAlgo.Native)
        return result

    return find, call


def spconv_filters(weight: Tensor) -> Tensor:
    """Return the weight (27, Cin, Cout) in spconv's layout, (Cout, 3, 3, 3, Cin), whose offsets have z fastest."""
    kernel = weight.reshape(SIDE, SIDE, SIDE, *weight.shape[1:])  # ours has x fastest
    return kernel.permute(4, 2, 1, 0, 3).contiguous()


def forward(given: Problem, convolve: Convolution, weight: Tensor) -> Callable[[], object]:
    """Return a call of the convolution without gradients."""

    def call() -> Tensor:
        with torch.no_grad():
            return convolve(given.features, weight)

    return call


def forward_and_backward(given: Problem, convolve: Convolution, weight: Tensor) -> Callable[[], object]:
    """Return a call of the convolution and its gradients."""
    features, kernel = given.features.clone().requires_grad_(), weight.clone().requires_grad_()
    return lambda: torch.autograd.grad(convolve(features, kernel), (features, kernel), given.gradient)


def product(given: Problem) -> Callable[[], object]:
    """Return as many dense matrix products as the convolution needs, without any gathering."""
    blocks = [torch.randn(int(size), given.weight.shape[1]) for size in given.pairs.splits.diff()]
    return lambda: [block @ weight for block, weight in zip(blocks, given.weight, strict=True)]


def contenders(given: Problem) -> tuple[dict[str, tuple[Convolution, Tensor]], dict[str, str]]:
    """Return the convolutions, each with the weight in its layout, and the absent ones with the reason."""
    found: dict[str, tuple[Convolution, Tensor]] = {
        "native": (lambda f, w: sparse_conv3d(f, w, given.pairs, "native"), given.weight),
        "torch gather, product, scatter": (lambda f, w: sparse_conv3d(f, w, given.pairs, "reference"), given.weight),
        "torch im2col in chunks": (im2col(given), given.weight),
    }
    try:
        found["spconv"] = (spconv(given)[1], spconv_filters(given.weight))
    except (ImportError, OSError) as error:
        return found, {"spconv": str(error)}
    return found, {}


def agree(given: Problem, found: dict[str, tuple[Convolution, Tensor]]) -> None:
    """Raise ValueError if a contender's result differs."""
    expected = forward(given, *found["native"])()
    for name, (convolve, weight) in found.items():
        if not torch.allclose(forward(given, convolve, weight)(), expected, atol=1e-4):  # type: ignore[arg-type]
            raise ValueError(f"{name} differs from the result of native")


def rates(timings: list[Timing], operations: float) -> str:
    """Return a line of GFLOP/s."""
    return "  GFLOP/s: " + ", ".join(f"{timing.name} {operations / timing.median / 1e9:.0f}" for timing in timings)


def report(given: Problem, rounds: int, threads: int) -> Iterator[str]:
    """Yield the tables of one size."""
    channels = given.weight.shape[1]
    near = len(given.pairs.in_rows) / len(given.coordinates)
    what = f"{len(given.coordinates)} voxels ({near:.1f} neighbours each), {channels} -> {channels}, {threads} thread(s)"
    found, absent = contenders(given)
    agree(given, found)
    plain: dict[str, Callable[[], object]] = {name: forward(given, *pair) for name, pair in found.items()}
    timings = measure({**plain, "torch.mm alone": product(given)}, rounds, threads=threads)
    yield table(f"Forward, {what}", timings, absent) + "\n" + rates(timings, given.operations)
    timings = measure({name: forward_and_backward(given, *pair) for name, pair in found.items()}, rounds, threads=threads)
    yield table(f"Forward and backward, {what}", timings, absent) + "\n" + rates(timings, 3 * given.operations)


def report_maps(coordinates: Tensor, rounds: int, threads: int) -> str:
    """Return the table of kernel maps."""
    found: dict[str, Callable[[], object]] = {
        "native": lambda: our_map(coordinates, "native"),
        "torch sort and search": lambda: our_map(coordinates, "reference"),
    }
    absent = {}
    try:
        found["spconv"] = spconv(problem(len(coordinates), 1))[0]
    except (ImportError, OSError) as error:
        absent["spconv"] = str(error)
    timings = measure(found, rounds, threads=threads)
    return table(f"Kernel map, {len(coordinates)} voxels, 27 offsets, {threads} thread(s)", timings, absent)


def main() -> None:
    """Print the tables of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=how_many, default=7)
    parser.add_argument("--threads", type=how_many, default=1)
    parser.add_argument("--full", action="store_true", help="also 200000 voxels")
    options = parser.parse_args()
    sizes = QUICK + FULL if options.full else QUICK
    for voxels in sorted({voxels for voxels, _ in sizes}):
        print(report_maps(surface(voxels), options.rounds, options.threads), flush=True)
    for voxels, channels in sizes:
        for lines in report(problem(voxels, channels), options.rounds, options.threads):
            print(lines, flush=True)


if __name__ == "__main__":
    main()
