"""Tasks with stated sizes on CUDA: time of a call, time on the device, and time of a comparable torch implementation."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from deep3dmap.benchmarks.kernels import rasterize, rasterize_soft, tsdf
from deep3dmap.benchmarks.kernels.back_project import fragment
from deep3dmap.benchmarks.kernels.sparse_conv import surface
from deep3dmap.ops import back_project, back_project_reference, integrate
from deep3dmap.ops.rasterize import rasterize as draw_hard
from deep3dmap.ops.rasterize_soft import rasterize_soft as draw_soft
from deep3dmap.ops.sparse import kernel_map, kernel_offsets

Call = Callable[[], object]


class Task(NamedTuple):
    """forward; both: forward and gradients; peer: the call it is compared with; peer_is: a description of that call."""

    name: str
    forward: Call
    both: Call | None = None
    peer: Call | None = None
    peer_is: str = ""


def milliseconds(call: Call, rounds: int) -> float:
    """Return the median time of a call on the GPU, including host overhead."""
    call()
    torch.cuda.synchronize()
    times: list[float] = []
    for _ in range(rounds):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return sorted(times)[len(times) // 2]


def device_milliseconds(call: Call, rounds: int) -> float:
    """Return the time that kernels and copies run in a call, without the host's time between them."""
    call()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        for _ in range(rounds):
            call()
        torch.cuda.synchronize()
    return float(sum(event.self_device_time_total for event in seen.key_averages())) / rounds / 1e3


def fusion(side: int) -> Task:
    """Integration of a depth map into side^3 voxels, compared with copying the volume once."""
    seen = tsdf.frame()
    volume, depth = (
        (torch.ones(side, side, side, device="cuda"), torch.zeros(side, side, side, device="cuda")),
        seen.depth.cuda(),
    )
    moved, size = tuple(torch.empty_like(one) for one in volume), tsdf.ROOM / side
    origin = torch.full((3,), size / 2)

    def move() -> None:
        for one, other in zip(moved, volume, strict=True):
            one.copy_(other)

    return Task(
        f"TSDF, 640x480 into {side}^3",
        lambda: integrate(*volume, depth, seen.intrinsics, seen.camera_from_world, origin, size, 4 * size),
        peer=move,
        peer_is="copying the volume once",
    )


def lifting(side: int) -> Task:
    """Back-projection of nine views to side^3 positions."""
    features, projection, positions, gradient = (one.cuda() for one in fragment(side))
    learned = features.clone().requires_grad_()
    return Task(
        f"back-projection, 9 views into {side}^3",
        lambda: back_project(features, projection, positions),
        lambda: torch.autograd.grad(back_project(learned, projection, positions)[0], learned, gradient),
        lambda: back_project_reference.back_project(features, projection, positions),
        "grid_sample",
    )


def drawing(triangles: int, size: int) -> Task:
    """Hard rasterisation of a bumpy sphere."""
    scene = rasterize_soft.resized(rasterize.scene(triangles), size)
    mesh = scene.vertices.cuda(), scene.faces.cuda()
    return Task(f"rasterize, {triangles} triangles at {size}", lambda: draw_hard(*mesh, size, size))


def drawing_many(images: int, triangles: int, size: int) -> Task:
    """Hard rasterisation of many spheres in one call, compared with a call for each."""
    scene = rasterize_soft.resized(rasterize.scene(triangles), size)
    vertices, faces = scene.vertices.cuda().repeat(images, 1, 1), scene.faces.cuda()
    return Task(
        f"rasterize, {images} times {triangles} triangles at {size}",
        lambda: draw_hard(vertices, faces, size, size),
        peer=lambda: [draw_hard(one, faces, size, size) for one in vertices],
        peer_is="one call per image",
    )


def soft_drawing(triangles: int, size: int, count: int) -> Task:
    """Soft rasterisation of it, the nearest `count` faces per pixel, with the gradients of all outputs."""
    scene = rasterize_soft.resized(rasterize.scene(triangles), size)
    vertices, faces = scene.vertices.cuda(), scene.faces.cuda()
    moved, radius = vertices.clone().requires_grad_(), rasterize_soft.blur_radius(size)
    shape = (size, size, count)
    gradients = torch.ones(shape, device="cuda"), torch.ones(*shape, 3, device="cuda"), torch.ones(shape, device="cuda")

    def draw(given: Tensor) -> tuple[Tensor, ...]:
        return draw_soft(given, faces, size, size, faces_per_pixel=count, blur_radius=radius)[1:]

    return Task(
        f"rasterize_soft, {triangles} triangles at {size}, K = {count}",
        lambda: draw(vertices),
        lambda: torch.autograd.grad(draw(moved), moved, gradients),
    )


def mapping(voxels: int) -> Task:
    """The kernel map of a submanifold convolution."""
    coordinates, offsets = surface(voxels).cuda(), kernel_offsets(3, 1)
    return Task(f"kernel map, {voxels} voxels", lambda: kernel_map(coordinates, coordinates, offsets))


TASKS: tuple[Callable[[], Task], ...] = (
    lambda: fusion(256),
    lambda: fusion(512),
    lambda: lifting(96),
    lambda: drawing(50_000, 512),
    lambda: drawing(500_000, 1024),
    lambda: drawing_many(16, 5_000, 128),
    lambda: soft_drawing(5_000, 256, 8),
    lambda: soft_drawing(5_000, 256, 50),
    lambda: soft_drawing(50_000, 512, 8),
    lambda: mapping(50_000),
    lambda: mapping(200_000),
)


def rows(rounds: int) -> Iterator[str]:
    """Yield a line for each task, in milliseconds."""
    yield f"{'milliseconds':48}{'forward':>9}{'on device':>11}{'both ways':>11}{'on device':>11}  compared with"
    for make in TASKS:
        task = make()
        line = f"{task.name:48}"
        for call, width in ((task.forward, 9), (task.both, 11)):
            if call:
                line += f"{milliseconds(call, rounds):{width}.3f}{device_milliseconds(call, min(rounds, 5)):11.3f}"
            else:
                line += " " * (width + 11)
        if task.peer:
            line += f"  {milliseconds(task.peer, rounds):.3f} {task.peer_is}"
        yield line.rstrip()
