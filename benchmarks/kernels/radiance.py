"""Hash grid, compositing, ray marching and complete training steps of a radiance field: native and vectorised plain torch.

Run as `python -m deep3dmap.benchmarks.kernels.radiance [--rounds 9] [--rays 4096] [--threads 1] [--device cpu]`. For training
steps it prints rays per second, and the memory per sample that is kept for the backward pass.
"""

from deep3dmap.benchmarks.kernels.side_by_side import measure, table  # isort: skip - it sets the threads before torch loads

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.cli.arguments import how_many
from deep3dmap.nn.radiance.hash_grid_field import HashGridEncoding, HashGridField
from deep3dmap.nn.radiance.scene_box import SceneBox
from deep3dmap.ops import composite, hash_grid, march_rays
from deep3dmap.ops.hash_grid import HashGridLevels
from deep3dmap.ops.march_rays import PackedSamples
from deep3dmap.render.volume import Rays, box_interval

SHELL = (0.45, 0.6)  # inner and outer radius of the occupied cells, in a box with corners at 1


class Size(NamedTuple):
    """A hash grid: number of levels, entries per level as a power of two, and width of the networks."""

    levels: int
    log2_size: int
    hidden: int


SIZES = {"small (8 levels of 2^15)": Size(8, 15, 32), "paper (16 levels of 2^19)": Size(16, 19, 64)}


def rays_into_the_box(count: int, device: str) -> Rays:
    """Return rays from cameras on a sphere of radius 3 towards the box."""
    generator = torch.Generator().manual_seed(0)
    eyes = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1) * 3
    targets = torch.rand(count, 3, generator=generator) - 0.5
    directions = torch.nn.functional.normalize(targets - eyes, dim=1)
    return Rays(eyes.to(device), directions.to(device))


def shell(resolution: int, device: str) -> Tensor:
    """Return the occupied cells (G, G, G) of a spherical shell, similar to those of an object."""
    line = (torch.arange(resolution, device=device) + 0.5) * 2 / resolution - 1
    x, y, z = torch.meshgrid(line, line, line, indexing="ij")
    away = (x * x + y * y + z * z).sqrt()
    return (away > SHELL[0]) & (away < SHELL[1])


def samples_of(rays: Rays, occupied: Tensor, backend: str, steps: int = 512) -> PackedSamples:
    """March the rays through the occupied cells, with `steps` along the diagonal of the box."""
    near, far = box_interval(rays, torch.tensor([[-1.0] * 3, [1.0] * 3], device=occupied.device))
    step = 2 * 3**0.5 / steps
    return march_rays(*rays, near, far, occupied, step, backend=backend)  # type: ignore[arg-type]


def grid_call(size: Size, positions: Tensor, backend: str, backward: bool) -> Callable[[], object]:
    """Return a look-up of the hash grid, optionally with the gradient of its table."""
    levels = HashGridLevels.between(16, 512, size.levels, size.log2_size)
    entries = torch.rand(levels.entries, 2, device=positions.device).requires_grad_(backward)

    def call() -> None:
        features = hash_grid(positions, entries, levels, backend)  # type: ignore[arg-type]
        if backward:
            entries.grad = None
            features.backward(torch.ones_like(features))
        _wait(positions)

    return call


def composite_call(samples: PackedSamples, backend: str, backward: bool) -> Callable[[], object]:
    """Return a compositing of the samples, optionally with gradients."""
    generator = torch.Generator().manual_seed(0)
    count, device = len(samples.distances), samples.distances.device
    density = (5 * torch.rand(count, generator=generator)).to(device).requires_grad_(backward)
    color = torch.rand(count, 3, generator=generator).to(device).requires_grad_(backward)

    def call() -> None:
        drawn = composite(density, color, samples.distances, samples.lengths, samples.offsets, backend=backend)  # type: ignore[arg-type]
        if backward:
            density.grad = color.grad = None
            (drawn.color.sum() + drawn.opacity.sum()).backward()
        _wait(density)

    return call


class FieldUpdate:
    """One training step of a hash-grid field: marching, look-up, compositing, gradients, Adam."""

    def __init__(self, size: Size, rays: Rays, occupied: Tensor, backend: str) -> None:
        torch.manual_seed(0)
        self._rays, self._occupied, self._backend = rays, occupied, backend
        encoding = HashGridEncoding(16, 512, size.levels, size.log2_size)
        self._field = HashGridField(SceneBox([[-1.0] * 3, [1.0] * 3]), encoding, size.hidden).to(rays.origins.device)
        self._optimizer = torch.optim.Adam(self._field.parameters(), 1e-2, fused=True)
        self.samples = self.bytes_kept = 0

    def __call__(self) -> None:
        """Perform a training step."""
        samples = samples_of(self._rays, self._occupied, self._backend)
        kept: dict[int, int] = {}

        def record(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
            loss = self._loss(samples)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        parameters = sum(parameter.nbytes for parameter in self._field.parameters())
        self.samples, self.bytes_kept = len(samples.distances), sum(kept.values()) - parameters
        _wait(loss)

    def _loss(self, samples: PackedSamples) -> Tensor:
        field, directions = self._field, self._rays.directions[samples.rays]
        places = field.box.to_cube(self._rays.origins[samples.rays] + samples.distances[:, None] * directions)
        features = hash_grid(places, field.encoding.table, field.encoding.levels, self._backend)  # type: ignore[arg-type]
        hidden = field.density_net(features)
        color = field.color_net(torch.cat([hidden[:, 1:], field.harmonics(directions)], 1))
        given = (hidden[:, 0].exp(), color, samples.distances, samples.lengths, samples.offsets)
        return (composite(*given, backend=self._backend).color - 0.5).square().mean()  # type: ignore[arg-type]


def _wait(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)


def main() -> None:
    """Print the tables of ratios and of rays per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=how_many, default=9)
    parser.add_argument("--rays", type=how_many, default=4096)
    parser.add_argument("--threads", type=how_many, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    rays = rays_into_the_box(options.rays, options.device)
    occupied = shell(128, options.device)
    samples = samples_of(rays, occupied, "native")
    places = (rays.origins[samples.rays] + samples.distances[:, None] * rays.directions[samples.rays] + 1) / 2
    where = f"{len(places)} samples of {options.rays} rays, {options.device}, {options.threads} thread(s)"
    backends = {"native": "native", "torch reference": "reference"}

    def show(title: str, calls: Mapping[str, Callable[[], object]]) -> None:
        print(table(f"{title}, {where}", measure(calls, options.rounds, threads=options.threads), {}))

    for direction, backward in (("forward", False), ("forward and backward", True)):
        for name, size in SIZES.items():
            calls = {label: grid_call(size, places, backend, backward) for label, backend in backends.items()}
            show(f"hash grid, {name}, {direction}", calls)
        show(f"compositing, {direction}", {label: composite_call(samples, one, backward) for label, one in backends.items()})
    marches = {label: partial(samples_of, rays, occupied, backend) for label, backend in backends.items()}
    show("ray marching, 512 steps across the box", marches)
    for name, size in SIZES.items():
        steps = {label: FieldUpdate(size, rays, occupied, backend) for label, backend in backends.items()}
        timings = measure(steps, options.rounds, threads=options.threads)
        print(table(f"training step, {name}, {where}", timings, {}))
        for timing in timings:
            step, rate = steps[timing.name], options.rays / timing.median
            print(f"  {timing.name}: {rate:,.0f} rays/s, {step.bytes_kept / len(places):,.0f} bytes kept per sample")


if __name__ == "__main__":
    main()
