"""The surfaces to score: the predicted one, and its part that is visible in the frames."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core import Mesh, Reconstruction, UserError
from deep3dmap.geometry.cameras import invert, transform
from deep3dmap.geometry.tsdf_volume import TSDFVolume
from deep3dmap.ops.rasterize import rasterize_camera
from deep3dmap.render.pyrender_depth import pyrender_depth

VOXEL, TRUNCATION, MAX_DEPTH = 0.04, 0.12, 5.0  # metres

Renderer = Literal["native", "pyrender", "auto"]
Draw = Callable[[Mesh, Any, Any, int, int], Tensor]


def renderer(name: Renderer) -> Draw:
    """Return a function (mesh, intrinsics, pose, height, width) -> depth (H, W) in metres, with back faces culled.

    native: the platform's rasteriser, identical on every machine. pyrender: used by published evaluations; its depth depends on
    the machine's OpenGL. auto: pyrender if it works, otherwise native. Raises ValueError for an unknown name.
    """
    known: dict[str, Draw] = {"native": _native_depth, "pyrender": _pyrender_depth, "auto": _pyrender_depth}
    if name not in known:
        raise ValueError(f"renderer must be one of {sorted(known)}, got '{name}'")
    if name == "auto" and not _pyrender_works():
        return _native_depth
    return known[name]


def predicted_surface(reconstruction: Reconstruction, truth: dict[str, Any]) -> Mesh:
    """Return the predicted mesh, or fuse the depth maps, as NeuralRecon's evaluation does for single-view methods.

    Raises ValueError for a reconstruction that is not in the world frame in metres or has neither a mesh nor depth.
    """
    if (reconstruction.frame, reconstruction.unit) != ("world", "metre"):
        raise ValueError(f"indoor requires the world frame in metres, got {reconstruction.frame} in {reconstruction.unit}")
    if reconstruction.mesh is not None:
        return reconstruction.mesh
    if reconstruction.depth is None:
        raise ValueError(f"indoor requires a mesh or depth, got {reconstruction.produced()}")
    if len(reconstruction.depth) != len(truth["images"]):
        raise ValueError(f"there are {len(truth['images'])} frames, but {len(reconstruction.depth)} depth maps")
    return fused([torch.from_numpy(np.asarray(depth, np.float32)) for depth in reconstruction.depth], truth)


def rendered_depths(mesh: Mesh, truth: dict[str, Any], draw: Draw) -> list[Tensor]:
    """Return the depth (H, W) of a mesh in every frame of the scan, at the size of the true depth; 0 = no surface."""
    cameras = zip(truth["true_depths"], truth["intrinsics"], truth["world_from_camera"])
    return [
        torch.zeros(*true.shape) if mesh.is_empty else draw(mesh, intrinsics, pose, *true.shape)
        for true, intrinsics, pose in cameras
    ]


def fused(depths: Sequence[Tensor], truth: dict[str, Any]) -> Mesh:
    """Fuse depth maps (H, W) of all frames: 4 cm voxels, 12 cm truncation, depth up to 5 m; empty without depth."""
    intrinsics, poses = (torch.from_numpy(np.asarray(truth[key])) for key in ("intrinsics", "world_from_camera"))
    if not any(((depth > 0) & (depth <= MAX_DEPTH)).any() for depth in depths):
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3)))
    volume = TSDFVolume.for_frames(
        depths, intrinsics, poses, voxel_size=VOXEL, truncation=TRUNCATION, max_depth=MAX_DEPTH, colors=False
    )
    for depth, matrix, pose in zip(depths, intrinsics, poses):
        volume.integrate(depth, matrix, pose, max_depth=MAX_DEPTH)
    vertices, faces, _ = volume.extract_mesh(1.0)
    return Mesh(vertices.numpy(), faces.numpy())


def _native_depth(mesh: Mesh, intrinsics: Any, pose: Any, height: int, width: int) -> Tensor:
    seen = transform(torch.from_numpy(mesh.vertices), invert(pose))
    matrix = torch.from_numpy(np.asarray(intrinsics, np.float32))
    return rasterize_camera(seen, torch.from_numpy(mesh.faces), matrix, height, width, cull="back").depth


def _pyrender_depth(mesh: Mesh, intrinsics: Any, pose: Any, height: int, width: int) -> Tensor:
    return pyrender_depth(mesh.vertices, mesh.faces, intrinsics, pose, height, width, cull="back")


def _pyrender_works() -> bool:
    triangle = np.array([[0.0, 0, 1], [1, 0, 1], [0, 1, 1]])
    try:
        pyrender_depth(triangle, np.array([[0, 1, 2]]), np.diag([8.0, 8, 1]), np.eye(4), 8, 8)
    except UserError:
        return False
    return True
