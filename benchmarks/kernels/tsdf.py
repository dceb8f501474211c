"""Integration of one 640x480 depth map into a 256^3 volume: native, torch reference, Open3D's dense volume.

Run as `python -m deep3dmap.benchmarks.kernels.tsdf [--rounds 15] [--side 256]`.
"""

from deep3dmap.benchmarks.kernels.side_by_side import measure, table  # isort: skip - it sets the threads before torch loads

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from deep3dmap.cli.arguments import how_many
from deep3dmap.ops import integrate

ROOM = 4.0  # side of the volume in metres


class Frame(NamedTuple):
    """A depth map (480, 640) in metres and an image (3, 480, 640) of a wavy wall, seen from inside the volume."""

    depth: Tensor
    image: Tensor
    intrinsics: Tensor
    camera_from_world: Tensor


def frame() -> Frame:
    """Return the frame that all contenders integrate; the camera is inside the volume, a seventh of which is updated."""
    rows, columns = np.meshgrid(np.arange(480), np.arange(640), indexing="ij")
    depth = 2.8 + 0.3 * np.sin(rows / 40) * np.cos(columns / 50)
    image = np.random.default_rng(0).random((3, 480, 640))
    intrinsics = torch.tensor([[525.0, 0, 320], [0, 525, 240], [0, 0, 1]])
    pose = torch.eye(4)
    pose[:3, :3] = torch.linalg.matrix_exp(torch.tensor([[0, -0.05, 0.1], [0.05, 0, -0.08], [-0.1, 0.08, 0]]))
    pose[:3, 3] = -pose[:3, :3] @ torch.tensor([ROOM / 2, ROOM / 2, 0.2])
    return Frame(torch.tensor(depth, dtype=torch.float32), torch.tensor(image, dtype=torch.float32), intrinsics, pose)


def ours(side: int, given: Frame, backend: str, colored: bool) -> Callable[[], object]:
    """Return a call that integrates the frame once."""
    tsdf, weight = torch.ones(side, side, side), torch.zeros(side, side, side)
    colors = {"color": torch.zeros(3, side, side, side), "image": given.image} if colored else {}
    size = ROOM / side
    origin = torch.full((3,), size / 2)

    def call() -> None:
        intrinsics, pose = given.intrinsics, given.camera_from_world
        integrate(tsdf, weight, given.depth, intrinsics, pose, origin, size, 4 * size, backend=backend, **colors)  # type: ignore[arg-type]

    return call


def open3d_uniform(side: int, given: Frame, colored: bool) -> Callable[[], object]:
    """Return the same call with Open3D's UniformTSDFVolume; raises ImportError if it is absent."""
    import open3d as o3d

    color_type = o3d.pipelines.integration.TSDFVolumeColorType
    volume = o3d.pipelines.integration.UniformTSDFVolume(
        ROOM, side, 4 * ROOM / side, color_type.RGB8 if colored else color_type.NoColor
    )
    image = (given.image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    picture = o3d.geometry.RGBDImage.create_from_color_and_depth(
        o3d.geometry.Image(np.ascontiguousarray(image)), o3d.geometry.Image(given.depth.numpy()),
        depth_scale=1.0, depth_trunc=100.0, convert_rgb_to_intensity=False,
    )  # fmt: skip
    k = given.intrinsics.double().numpy()
    intrinsics = o3d.camera.PinholeCameraIntrinsic(640, 480, k[0, 0], k[1, 1], k[0, 2] - 0.5, k[1, 2] - 0.5)
    pose = given.camera_from_world.double().numpy()
    return lambda: volume.integrate(picture, intrinsics, pose)


def main() -> None:
    """Print the tables of ratios, without and with colours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=how_many, default=15)
    parser.add_argument("--side", type=how_many, default=256)
    parser.add_argument("--no-reference", action="store_true")
    options = parser.parse_args()
    given = frame()
    for colored in (False, True):
        contenders = {"native": ours(options.side, given, "native", colored)}
        if not options.no_reference:
            contenders["torch reference"] = ours(options.side, given, "reference", colored)
        absent = {}
        try:
            contenders["Open3D UniformTSDFVolume"] = open3d_uniform(options.side, given, colored)
        except (ImportError, OSError) as error:
            absent["Open3D UniformTSDFVolume"] = str(error)
        title = f"TSDF, 640x480 into {options.side}^3, {'with' if colored else 'without'} colours, one thread"
        print(table(title, measure(contenders, options.rounds), absent))


if __name__ == "__main__":
    main()
