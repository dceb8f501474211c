"""Native kernels, each with a torch reference implementation; docs/ops.md shows how to use them standalone."""

from deep3dmap.ops._backend import available_backends, native_build_hash
from deep3dmap.ops.back_project import back_project
from deep3dmap.ops.composite import composite
from deep3dmap.ops.fused_leaky_relu import fused_leaky_relu
from deep3dmap.ops.hash_grid import HashGridLevels, hash_grid
from deep3dmap.ops.march_rays import march_rays
from deep3dmap.ops.rasterize import Fragments, interpolate, rasterize, rasterize_camera
from deep3dmap.ops.rasterize_soft import SoftFragments, look_at_faces, rasterize_soft
from deep3dmap.ops.tsdf import integrate
from deep3dmap.ops.upfirdn2d import upfirdn2d

__all__ = [
    "Fragments",
    "HashGridLevels",
    "SoftFragments",
    "available_backends",
    "back_project",
    "composite",
    "fused_leaky_relu",
    "hash_grid",
    "integrate",
    "interpolate",
    "look_at_faces",
    "march_rays",
    "native_build_hash",
    "rasterize",
    "rasterize_camera",
    "rasterize_soft",
    "upfirdn2d",
]
