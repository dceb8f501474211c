"""Renders mesh depth with pyrender, the renderer used by published indoor evaluations, as an independent check of ours.

Optional: requires pyrender, PyOpenGL 3.1.10 and a software or GPU OpenGL (OSMesa or EGL). OSMesa samples pixel centres exactly.
EGL is multisampled: its silhouettes are wider, and its depth is that of a point up to half a pixel off the centre. Use a single
platform for all results of a table.
"""

import os
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.ops.rasterize import Cull

Platform = Literal["osmesa", "egl"]
# OpenGL cameras look along -z with y up.
OPENGL_AXES = np.diag([1.0, -1.0, -1.0, 1.0])


def pyrender_depth(
    vertices: Any,
    faces: Any,
    intrinsics: Any,
    world_from_camera: Any,
    height: int,
    width: int,
    *,
    near: float = 0.05,
    far: float = 100.0,
    cull: Cull = "none",
    platform: Platform = "osmesa",
) -> Tensor:
    """Return the depth (H, W) float32 of a world mesh along the optical axis, 0 where no surface is hit.

    vertices: (V, 3) metres. faces: (F, 3). intrinsics: (3, 3) pixels, centres at +0.5. world_from_camera: (4, 4), OpenCV axes.
    near, far: metres. cull: "back" skips faces that appear clockwise in the image. platform: used unless PYOPENGL_PLATFORM is
    set; it cannot be changed within a process. Raises UserError if pyrender or the OpenGL platform cannot be used.
    """
    if len(faces) == 0:
        return torch.zeros(height, width)
    pyrender = import_pyrender(platform)
    import trimesh

    matrix = np.asarray(intrinsics, np.float64)
    camera = pyrender.IntrinsicsCamera(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], znear=near, zfar=far)
    triangles = np.asarray(faces)
    # A depth-only pass always culls back faces, so both windings are added to render both sides.
    sides = triangles if cull == "back" else np.concatenate([triangles, triangles[:, ::-1]])
    surface = trimesh.Trimesh(np.asarray(vertices), sides, process=False)
    scene = pyrender.Scene()
    scene.add(pyrender.Mesh.from_trimesh(surface, smooth=False))
    scene.add(camera, pose=np.asarray(world_from_camera, np.float64) @ OPENGL_AXES)
    renderer = open_renderer(pyrender, width, height)
    try:
        return torch.from_numpy(renderer.render(scene, flags=pyrender.RenderFlags.DEPTH_ONLY).copy())
    finally:
        renderer.delete()


def import_pyrender(platform: Platform) -> Any:
    """Import pyrender for the platform, unless PYOPENGL_PLATFORM is set; raises UserError if it cannot be used."""
    # PyOpenGL selects its platform on first import.
    os.environ.setdefault("PYOPENGL_PLATFORM", platform)
    try:
        import pyrender
    except Exception as error:  # a missing library raises ImportError, OSError or AttributeError
        raise UserError(f"pyrender cannot be used ({error}); install pyrender, PyOpenGL 3.1.10 and libosmesa6") from error
    return pyrender


def open_renderer(pyrender: Any, width: int, height: int) -> Any:
    """Return an OffscreenRenderer, to be deleted after use; raises UserError if the platform does not work."""
    try:
        return pyrender.OffscreenRenderer(width, height)
    except Exception as error:  # the exception type depends on the platform
        chosen = os.environ["PYOPENGL_PLATFORM"]
        raise UserError(f"OpenGL with {chosen} does not work ({error}); set PYOPENGL_PLATFORM to osmesa or egl") from error
