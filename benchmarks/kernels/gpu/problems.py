"""Random problems of any size for each native op, to be solved on either device by either backend."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deep3dmap import ops
from deep3dmap.benchmarks.kernels.sparse_conv import surface
from deep3dmap.ops import neural_mesh, sparse

Solve = Callable[[Mapping[str, Tensor], Any], list[Tensor]]


class Problem(NamedTuple):
    """tensors: all inputs, on the CPU. leaves: those that require gradients. solve: (tensors, backend) -> outputs."""

    tensors: dict[str, Tensor]
    leaves: tuple[str, ...]
    solve: Solve
    in_torch: bool = True  # whether the reference is fast enough to be timed


def solve_problem(given: Problem, device: str, backend: str, gradients: bool = True) -> list[Tensor]:
    """Return the outputs and, optionally, the gradients of their sum with fixed random weights."""
    tensors = {name: value.detach().to(device, copy=True) for name, value in given.tensors.items()}
    leaves = [tensors[name].requires_grad_() for name in given.leaves] if gradients else []
    outputs = given.solve(tensors, backend)
    if not leaves:
        return outputs
    weighted = [(one * _weights(one)).sum() for one in outputs if one.requires_grad]
    return [one.detach() for one in outputs] + list(torch.autograd.grad(torch.stack(weighted).sum(), leaves))


def _weights(values: Tensor) -> Tensor:
    """Return pseudo-random weights that are the same on every device."""
    number = torch.arange(values.numel(), dtype=torch.int64, device=values.device)
    return ((number * 7919 % 1013).to(values.dtype) / 1013).reshape(values.shape)


def sparse_convolution(random: torch.Generator, size: int, channels: int = 64) -> Problem:
    """A submanifold convolution of about `size` voxels."""
    voxels = surface(size)
    features = torch.randn(len(voxels), channels, generator=random)
    weight = torch.randn(27, channels, channels, generator=random) / (27 * channels) ** 0.5

    def solve(given: Mapping[str, Tensor], backend: Any) -> list[Tensor]:
        pairs = sparse.kernel_map(given["voxels"], given["voxels"], sparse.kernel_offsets(3, 1), backend)
        return [sparse.sparse_conv3d(given["features"], given["weight"], pairs, backend)]

    return Problem({"voxels": voxels, "features": features, "weight": weight}, ("features", "weight"), solve)


def points(random: torch.Generator, size: int) -> Problem:
    """Voxelisation of `size` points and interpolation back to them."""
    positions = torch.rand(size, 3, generator=random) * max(2.0, size ** (1 / 3))
    features = torch.randn(size, 16, generator=random)

    def solve(given: Mapping[str, Tensor], backend: Any) -> list[Tensor]:
        batch = torch.zeros(len(given["positions"]), dtype=torch.int32, device=given["positions"].device)
        cells = torch.cat([batch[:, None], given["positions"].floor().int()], 1)
        coordinates, rows = sparse.unique_coordinates(cells)
        mean = sparse.voxelize_mean(given["features"], rows, len(coordinates), backend)
        corners, weights = sparse.trilinear_map(given["positions"], batch, coordinates, 1, backend)
        return [mean, sparse.devoxelize(mean, corners, weights, backend)]

    return Problem({"positions": positions, "features": features}, ("features",), solve)


def back_projection(random: torch.Generator, size: int) -> Problem:
    """Back-projection of nine views to `size` points."""
    features = torch.rand(9, 24, 60, 80, generator=random)
    intrinsics = torch.tensor([[72.0, 0, 40, 0], [0, 72, 30, 0], [0, 0, 1, 0]]).expand(9, 3, 4).clone()
    intrinsics[:, 0, 3] = -torch.linspace(0, 0.5, 9) * 72
    positions = torch.rand(size, 3, generator=random) * 3 + torch.tensor([-1.5, -1.5, 0.5])

    def solve(given: Mapping[str, Tensor], backend: Any) -> list[Tensor]:
        return list(ops.back_project(given["features"], given["intrinsics"], given["positions"], backend))

    return Problem({"features": features, "intrinsics": intrinsics, "positions": positions}, ("features",), solve)


def hash_encoding(random: torch.Generator, size: int) -> Problem:
    """Hash encoding of `size` positions in sixteen levels."""
    levels = ops.HashGridLevels.between(16, 512, 16, 15)
    tensors = {"positions": torch.rand(size, 3, generator=random), "table": torch.randn(levels.entries, 2, generator=random)}

    def solve(given: Mapping[str, Tensor], backend: Any) -> list[Tensor]:
        return [ops.hash_grid(given["positions"], given["table"], levels, backend)]

    return Problem(tensors, ("table",), solve)


def light(random: torch.Generator, size: int) -> Problem:
    """Marching and compositing of `size` rays through half-filled cells."""
    tensors = {
        "origins": torch.rand(size, 3, generator=random) - 0.5,
        "directions": torch.nn.functional.normalize(torch.randn(size, 3, generator=random), dim=1),
        "occupied": torch.rand(32, 32, 32, generator=random) < 0.5,
        "density": torch.rand(size * 200, generator=random),
        "color": torch.rand(size * 200, 3, generator=random),
    }

    def solve(given: Mapping[str, Tensor], backend: Any) -> list[Tensor]:
        near, far = given["origins"].new_zeros(size), given["origins"].new_full((size,), 2.0)
        found = ops.march_rays(given["origins"], given["directions"], near, far, given["occupied"], 0.02, backend=backend)
        count = len(found.distances)
        samples = (found.distances, found.lengths, found.offsets)
        return list(ops.composite(given["density"][:count], given["color"][:count], *samples, stop=0.0, backend=backend))

    return Problem(tensors, ("density", "color"), solve)


def _triangles(random: torch.Generator, size: int, side: int) -> dict[str, Tensor]:
    centre = torch.rand(size, 1, 3, generator=random) * torch.tensor([side, side, 1.0]) + torch.tensor([0, 0, 1.0])
    corners = torch.randn(size, 3, 3, generator=random) * torch.tensor([side / 40, side / 40, 0.01])
    return {"vertices": (centre + corners).reshape(-1, 3), "faces": torch.arange(3 * size).reshape(size, 3)}


def hard_triangles(random: torch.Generator, size: int, side: int = 256) -> Problem:
    """Hard rasterisation of `size` triangles."""

    def solve(given: Mapping[str, Tensor], backend: Any) -> list[Tensor]:
        return list(ops.rasterize(given["vertices"], given["faces"], side, side, backend=backend))

    return Problem(_triangles(random, size, side), (), solve, in_torch=False)


def hard_batch(random: torch.Generator, size: int, meshes: int = 16, side: int = 64) -> Problem:
    """Hard rasterisation of `meshes` meshes of `size` triangles in one call, and the gradient of their depth."""
    tensors = _triangles(random, size, side)
    tensors["vertices"] = tensors["vertices"] + torch.randn(meshes, 3 * size, 3, generator=random) * 0.2

    def solve(given: Mapping[str, Tensor], backend: Any) -> list[Tensor]:
        drawn = ops.rasterize(given["vertices"], given["faces"], side, side, perspective=False, backend=backend)
        seen = neural_mesh.find_faces(given["vertices"], given["faces"], side, side, backend=backend)
        return [*drawn, neural_mesh.depth_of_faces(given["vertices"], given["faces"], seen, backend=backend)]

    return Problem(tensors, ("vertices",), solve, in_torch=False)


def soft_triangles(random: torch.Generator, size: int, side: int = 256) -> Problem:
    """Soft rasterisation of `size` triangles, the eight nearest per pixel; the order of equally near ones may differ."""

    def solve(given: Mapping[str, Tensor], backend: Any) -> list[Tensor]:
        seen = ops.rasterize_soft(given["vertices"], given["faces"], side, side, blur_radius=3.0, backend=backend)
        return [seen.depth, seen.distance]

    return Problem(_triangles(random, size, side), ("vertices",), solve, in_torch=False)


def neural_triangles(random: torch.Generator, size: int, side: int = 64) -> Problem:
    """`size` triangles with the gradients of the Neural 3D Mesh Renderer."""

    def solve(given: Mapping[str, Tensor], backend: Any) -> list[Tensor]:
        picture = neural_mesh.render_neural_mesh(given["vertices"], given["faces"], side, side, backend=backend)
        return [picture.silhouette, picture.depth]

    return Problem(_triangles(random, size, side), ("vertices",), solve, in_torch=False)


def fusion(random: torch.Generator, size: int) -> Problem:
    """Integration of a depth map into size^3 voxels."""
    tensors = {"depth": torch.rand(480, 640, generator=random) + 1.5, "tsdf": torch.ones(size, size, size)}
    intrinsics, origin = torch.tensor([[525.0, 0, 320], [0, 525, 240], [0, 0, 1]]), torch.tensor([-2.5, -2.5, 0.5])

    def solve(given: Mapping[str, Tensor], backend: Any) -> list[Tensor]:
        tsdf, weight = given["tsdf"].clone(), torch.zeros_like(given["tsdf"])
        ops.integrate(tsdf, weight, given["depth"], intrinsics, torch.eye(4), origin, 5.0 / size, 0.12, backend=backend)
        return [tsdf, weight]

    return Problem(tensors, (), solve)


def filtering(random: torch.Generator, size: int) -> Problem:
    """Upsampling of size x size images by two, followed by bias and leaky ReLU."""
    one = torch.tensor([1.0, 3.0, 3.0, 1.0])
    tensors = {"images": torch.randn(4, 32, size, size, generator=random), "kernel": one[:, None] * one[None] / 16}
    tensors["bias"] = torch.randn(32, generator=random)

    def solve(given: Mapping[str, Tensor], backend: Any) -> list[Tensor]:
        larger = ops.upfirdn2d(given["images"], given["kernel"], up=2, padding=(2, 1, 2, 1), backend=backend)
        return [ops.fused_leaky_relu(larger, given["bias"], backend=backend)]

    return Problem(tensors, ("images", "bias"), solve)


# The sizes at which backends are compared and timed.
PROBLEMS: dict[str, tuple[Callable[[torch.Generator, int], Problem], int, int]] = {
    "sparse_conv3d": (sparse_convolution, 5_000, 200_000),
    "voxelize, devoxelize": (points, 5_000, 200_000),
    "back_project": (back_projection, 5_000, 200_000),
    "hash_grid": (hash_encoding, 2_000, 200_000),
    "march_rays, composite": (light, 200, 8_192),
    "rasterize": (hard_triangles, 500, 50_000),
    "rasterize, find_faces: batches": (hard_batch, 100, 3_000),
    "rasterize_soft": (soft_triangles, 300, 5_000),
    "neural_mesh": (neural_triangles, 100, 5_000),
    "integrate": (fusion, 48, 256),
    "upfirdn2d, fused_leaky_relu": (filtering, 33, 256),
}
