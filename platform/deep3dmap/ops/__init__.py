"""Native kernels with a torch reference beside each; docs/ops.md shows how to use them on their own."""

from deep3dmap.ops._backend import available_backends, native_build_hash
from deep3dmap.ops.back_project import back_project
from deep3dmap.ops.rasterize import Fragments, interpolate, rasterize, rasterize_camera
from deep3dmap.ops.rasterize_soft import SoftFragments, look_at_faces, rasterize_soft
from deep3dmap.ops.tsdf import integrate

__all__ = [
    "Fragments",
    "SoftFragments",
    "available_backends",
    "back_project",
    "integrate",
    "interpolate",
    "look_at_faces",
    "native_build_hash",
    "rasterize",
    "rasterize_camera",
    "rasterize_soft",
]
