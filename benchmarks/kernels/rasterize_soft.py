"""Soft rasterisation of a bumpy sphere, forward and with gradients, and the growth of its time with the covered pixels.

Run as `python -m deep3dmap.benchmarks.kernels.rasterize_soft [--rounds 7] [--quick]`; `--quick` draws 5,000 triangles only.
PyTorch3D is timed as well if it is installed; otherwise its CPU figures, measured once on a similar machine, are quoted.
"""

from deep3dmap.benchmarks.kernels.side_by_side import Timing, measure, table  # isort: skip - it sets the threads before torch loads

import argparse
import math
from collections.abc import Callable, Iterator

import torch

from deep3dmap.benchmarks.kernels.rasterize import SIZE, ScreenMesh, scene
from deep3dmap.cli.arguments import how_many
from deep3dmap.ops import rasterize
from deep3dmap.ops.rasterize_soft import rasterize_soft

SIGMA = 1e-4  # squared NDC, the default of Soft Rasterizer and PyTorch3D
# (pixels per side, triangles, faces per pixel): CPU milliseconds of PyTorch3D 0.7.9, forward and with gradients.
QUOTED = {(256, 5_000, 8): (2111.0, 10907.0)}


def resized(given: ScreenMesh, size: int) -> ScreenMesh:
    """Return the scene scaled to size x size pixels."""
    return ScreenMesh(given.vertices * torch.tensor([size / SIZE, size / SIZE, 1.0]), given.faces)


def blur_radius(size: int) -> float:
    """Return the distance in pixels at which a face's influence falls to 1e-4."""
    return math.sqrt(math.log(1 / 1e-4 - 1) * SIGMA) * size / 2


def native(given: ScreenMesh, size: int, faces_per_pixel: int, gradients: bool) -> Callable[[], object]:
    """Return a call that draws, optionally with the gradients of all outputs."""
    vertices = given.vertices.clone().requires_grad_(gradients)

    def call() -> object:
        seen = rasterize_soft(
            vertices, given.faces, size, size, faces_per_pixel=faces_per_pixel, blur_radius=blur_radius(size), backend="native"
        )
        if gradients:
            vertices.grad = None
            (seen.depth.sum() + seen.barycentrics[..., 0].sum() + seen.distance.sum()).backward()
        return seen

    return call


def pytorch3d(given: ScreenMesh, size: int, faces_per_pixel: int, gradients: bool) -> Callable[[], object]:
    """Return the same call with PyTorch3D; raises ImportError if it is absent."""
    from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
    from pytorch3d.structures import Meshes

    half = torch.tensor([-size / 2, -size / 2, 1.0])
    ndc = ((given.vertices - torch.tensor([size / 2, size / 2, 0.0])) / half).requires_grad_(gradients)

    def call() -> object:
        ndc.grad = None
        mesh = Meshes([ndc], [given.faces])
        _, depth, barycentrics, distance = rasterize_meshes(
            mesh, size, math.log(1 / 1e-4 - 1) * SIGMA, faces_per_pixel, perspective_correct=True, clip_barycentric_coords=True
        )
        if gradients:
            (depth.sum() + barycentrics[..., 0].sum() + distance.sum()).backward()
        return depth

    return call


def compare(triangles: int, size: int, faces_per_pixel: int, rounds: int) -> Iterator[str]:
    """Yield the tables of one problem, for forward and for forward with backward."""
    given = resized(scene(triangles), size)
    for gradients, what in ((False, "forward"), (True, "forward and backward")):
        calls = {"native": native(given, size, faces_per_pixel, gradients)}
        absent = {}
        try:
            calls["pytorch3d"] = pytorch3d(given, size, faces_per_pixel, gradients)
        except ImportError as error:
            absent["pytorch3d"] = str(error)
        timings = measure(calls, rounds)
        if absent and (size, triangles, faces_per_pixel) in QUOTED:
            timings.append(Timing("pytorch3d, quoted", QUOTED[size, triangles, faces_per_pixel][gradients] / 1e3, 0.0))
            absent = {}
        yield table(f"{triangles} triangles, {size}x{size}, K={faces_per_pixel}, {what}, one thread", timings, absent)


def growth(triangles: int, rounds: int) -> str:
    """Return a table of times for the same triangles covering increasing parts of the same picture."""
    given = scene(triangles)
    middle = torch.tensor([SIZE / 2, SIZE / 2, 0.0])
    lines = [f"{triangles} triangles in {SIZE}x{SIZE} pixels, K=8, forward: time by covered pixels"]
    for share in (0.125, 0.25, 0.5, 1.0):
        smaller = ScreenMesh((given.vertices - middle) * torch.tensor([share, share, 1.0]) + middle, given.faces)
        filled = int((rasterize(smaller.vertices, smaller.faces, SIZE, SIZE).face_id >= 0).sum())
        (timing,) = measure({"native": native(smaller, SIZE, 8, False)}, rounds)
        lines.append(f"  {filled:7d} pixels  {timing.median * 1e3:7.2f} ms  {timing.median * 1e9 / filled:7.1f} ns per pixel")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=how_many, default=7)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for triangles in (5_000,) if options.quick else (5_000, 50_000):
        for size in (256, 512):
            for faces_per_pixel in (1, 8, 50):
                for lines in compare(triangles, size, faces_per_pixel, options.rounds):
                    print(lines, flush=True)
    print(growth(5_000, options.rounds))


if __name__ == "__main__":
    main()
