"""One picture that shows what a reconstruction holds."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deep3dmap.core.reconstruction import Reconstruction
from deep3dmap.render.mesh_renderer import render_in_image, render_mesh
from deep3dmap.render.pictures import contact_sheet, depth_picture, draw_points
from deep3dmap.render.views import turntable

TILE = 400


def picture_reconstruction(reconstruction: Reconstruction, sample: dict[str, Any], file: Path) -> Path:
    """Write a PNG with the input, the reconstruction over it, and a turntable of the mesh."""
    tiles = _over_photograph(reconstruction, sample) if reconstruction.frame == "image" else _in_world(reconstruction, sample)
    if reconstruction.depth is not None:
        tiles.append(("depth of the first view", depth_picture(torch.as_tensor(reconstruction.depth[0]))))
    if not tiles:
        raise ValueError(f"nothing to picture in a reconstruction of {reconstruction.produced()}")
    file.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(tiles, columns=4).save(file)
    return file


def _over_photograph(reconstruction: Reconstruction, sample: dict[str, Any]) -> list[tuple[str, Tensor]]:
    photograph = torch.as_tensor(sample["image"]).float()
    scale = TILE / photograph.shape[1]
    large = _enlarged(photograph)
    tiles = [("photograph", large)]
    if reconstruction.landmarks is not None:
        points = torch.as_tensor(reconstruction.landmarks)[:, :2] * scale
        tiles.append(("landmarks", draw_points(large, points, (40, 220, 90), radius=2.5)))
    mesh = reconstruction.mesh
    if mesh is not None and not mesh.is_empty:
        vertices, faces = torch.from_numpy(mesh.vertices) * scale, torch.from_numpy(mesh.faces)
        shaded = render_in_image(vertices, faces, large.shape[1], large.shape[2])
        over = torch.where(shaded.face_id >= 0, 0.25 * large + 0.75 * shaded.image, large)
        tiles.append(("mesh over the photograph", over))
        colors = None if mesh.colors is None else torch.from_numpy(mesh.colors)
        tiles += _turned(vertices * torch.tensor([1.0, -1.0, 1.0]), faces.flip(1), colors)
    return tiles


def _enlarged(image: Tensor) -> Tensor:
    size = (TILE, round(image.shape[2] * TILE / image.shape[1]))
    return torch.nn.functional.interpolate(image[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1)


def _turned(vertices: Tensor, faces: Tensor, colors: Tensor | None) -> list[tuple[str, Tensor]]:
    """Show a face in its own frame, y up and z towards the viewer, from the left, the front and the right."""
    centre = vertices.mean(0)
    spread = float((vertices - centre).norm(dim=1).quantile(0.98))
    tiles = []
    for angle in (-60.0, 0.0, 60.0):
        turn = torch.tensor(angle).deg2rad()
        rotation = torch.tensor([[turn.cos(), 0.0, turn.sin()], [0.0, 1.0, 0.0], [-turn.sin(), 0.0, turn.cos()]])
        placed = (vertices - centre) @ rotation.T * (0.42 * TILE / spread) * torch.tensor([1.0, -1.0, 1.0]) + TILE / 2
        seen = render_in_image(placed, faces, TILE, TILE, colors=colors)
        tiles.append((f"turned by {angle:+.0f} degrees", seen.image))
    return tiles


def _in_world(reconstruction: Reconstruction, sample: dict[str, Any]) -> list[tuple[str, Tensor]]:
    mesh = reconstruction.mesh
    if mesh is None:
        return []
    vertices, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
    colors = None if mesh.colors is None else torch.from_numpy(mesh.colors)
    tiles = []
    if "images" in sample and not mesh.is_empty:
        for index in sorted({0, len(sample["images"]) // 2}):
            photograph = torch.as_tensor(sample["images"][index])
            camera = sample["intrinsics"][index], sample["world_from_camera"][index]
            seen = render_mesh(vertices, faces, *camera, *photograph.shape[1:], colors=colors)
            tiles += [(f"frame {index}", _enlarged(photograph)), (f"mesh from frame {index}", _enlarged(seen.image))]
    up = _upwards(sample)
    tiles += [(f"from outside, {i + 1}", view) for i, view in enumerate(
        turntable(vertices, faces, colors, elevation_degrees=40.0, size=TILE, up=up, look_inside=True)
    )]  # fmt: skip
    return tiles


def _upwards(sample: dict[str, Any]) -> tuple[float, float, float]:
    """Return the direction that is up on average in the frames: against the cameras' y axis."""
    if "world_from_camera" not in sample:
        return (0.0, 0.0, 1.0)
    x, y, z = (-torch.as_tensor(sample["world_from_camera"])[:, :3, 1].double().mean(0)).tolist()
    return (x, y, z)
