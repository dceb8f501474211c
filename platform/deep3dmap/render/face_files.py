"""Writes face reconstructions for viewing and other programs: a textured OBJ, landmarks on the photograph, a turntable."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deep3dmap.core.reconstruction import Reconstruction
from deep3dmap.render.mesh_renderer import render_in_image
from deep3dmap.render.visualization import depth_picture, draw_landmarks_68, draw_points, save_png

GREEN = (40, 220, 90)
TURNTABLE = (-80.0, -40.0, 0.0, 40.0, 80.0)
SIDE = 320
MATERIAL = "newmtl face\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd texture.png\n"


def write_face_files(reconstruction: Reconstruction, image: Any, folder: Path) -> list[Path]:
    """Write the results of a reconstruction in pixels of `image` (3, H, W); returns the files.

    mesh.obj (with mesh.mtl and texture.png if it has a texture), landmarks.png, turntable.png, depth.png, frontal.png.
    Raises ValueError for a reconstruction in another frame.
    """
    if reconstruction.frame != "image":
        raise ValueError(f"these files need a reconstruction in the frame 'image', not '{reconstruction.frame}'")
    photograph, files = torch.as_tensor(image).float(), []
    if reconstruction.mesh is not None and not reconstruction.mesh.is_empty:
        files.append(write_obj(reconstruction, photograph.shape[1], folder))
        files.append(save_png(turntable(reconstruction), folder / "turntable.png"))
    if reconstruction.landmarks is not None:
        drawn = _mark_points(photograph, torch.as_tensor(reconstruction.landmarks))
        files.append(save_png(drawn, folder / "landmarks.png"))
    if reconstruction.depth is not None:
        files.append(save_png(nearness_picture(torch.as_tensor(reconstruction.depth[0])), folder / "depth.png"))
    for name, picture in (("texture", reconstruction.texture), ("frontal", reconstruction.frontal)):
        if picture is not None:
            files.append(save_png(torch.as_tensor(picture), folder / f"{name}.png"))
    return files


def write_obj(reconstruction: Reconstruction, height: int, folder: Path) -> Path:
    """Write mesh.obj in the axes that viewers expect: x right, y up from the photograph's lower edge, z towards the viewer.

    The unit is pixels. Vertex colours are written as three additional numbers per vertex. If the reconstruction has texture and
    vertex_uv, a material and texture coordinates are written too. Raises ValueError if there is no mesh.
    """
    mesh, uv = reconstruction.mesh, reconstruction.vertex_uv
    if mesh is None:
        raise ValueError("there is no mesh to write")
    texture_places = [] if uv is None or reconstruction.texture is None else _format_rows("vt", uv)
    textured = bool(texture_places)
    flipped = mesh.vertices * np.array([1, -1, 1]) + np.array([0, height, 0])
    rows = flipped if mesh.colors is None else np.column_stack([flipped, mesh.colors])
    lines = ["mtllib mesh.mtl"] if textured else []
    lines += _format_rows("v", rows)
    lines += texture_places
    lines += ["usemtl face"] if textured else []
    corner = "{0}/{0}" if textured else "{0}"
    pattern = "f " + " ".join(corner.replace("0", str(k)) for k in range(3))
    # Faces are wound outwards in the image axes, which are left-handed; flipping y reverses the winding, so restore it.
    lines += [pattern.format(*face) for face in (mesh.faces[:, ::-1] + 1).tolist()]
    file = folder / "mesh.obj"
    file.write_text("\n".join(lines) + "\n", encoding="ascii")
    if textured:
        (folder / "mesh.mtl").write_text(MATERIAL, encoding="ascii")
    return file


def turntable(reconstruction: Reconstruction) -> Tensor:
    """Render a mesh in image axes at several rotations about its vertical axis, (3, SIDE or 2 * SIDE, N * SIDE).

    The upper row is in colour if the mesh has colours, the lower row in grey. Raises ValueError if there is no mesh.
    """
    mesh = reconstruction.mesh
    if mesh is None:
        raise ValueError("there is no mesh to render")
    vertices, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
    centre = (vertices.amin(0) + vertices.amax(0)) / 2
    scale = 0.47 * SIDE / max(float((vertices - centre).norm(dim=1).amax()), 1e-6)
    rows = []
    for colors in (None if mesh.colors is None else torch.from_numpy(mesh.colors), None):
        views = [_render_rotated((vertices - centre) * scale, faces, colors, degrees) for degrees in TURNTABLE]
        rows.append(torch.cat(views, 2))
    return torch.cat(rows if mesh.colors is not None else rows[:1], 1)


def nearness_picture(depth: Tensor) -> Tensor:
    """Colour the depth (H, W) of a reconstruction in image axes, larger = nearer, 0 = empty; near is bright; (3, H, W)."""
    return depth_picture(torch.where(depth > 0, depth.max() - depth + 1, 0))


def _render_rotated(centred: Tensor, faces: Tensor, colors: Tensor | None, degrees: float) -> Tensor:
    angle = torch.tensor(degrees).deg2rad()
    # z points towards the viewer: a positive angle turns the nose to the image's right.
    turn = torch.tensor([[angle.cos(), 0.0, angle.sin()], [0.0, 1.0, 0.0], [-angle.sin(), 0.0, angle.cos()]])
    return render_in_image(centred @ turn.T + SIDE / 2, faces, SIDE, SIDE, colors=colors, supersample=2).image


def _mark_points(image: Tensor, points: Tensor) -> Tensor:
    radius = max(1.5, image.shape[2] / 250)
    return draw_landmarks_68(image, points, GREEN, radius) if len(points) == 68 else draw_points(image, points, GREEN, radius)


def _format_rows(kind: str, values: NDArray[Any]) -> list[str]:
    return [" ".join([kind, *(f"{value:.4f}" for value in row)]) for row in values.tolist()]
