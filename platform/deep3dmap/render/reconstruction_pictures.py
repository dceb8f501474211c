"""Renders an overview image of a reconstruction."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deep3dmap.core.reconstruction import Reconstruction
from deep3dmap.render.camera_orbit import up_direction
from deep3dmap.render.face_files import nearness_picture
from deep3dmap.render.mesh_renderer import render_in_image, render_mesh
from deep3dmap.render.views import overview, turntable
from deep3dmap.render.visualization import blend, contact_sheet, depth_picture, draw_landmarks_68, draw_points, save_png

TILE = 400
GREEN = (40, 220, 90)
ROTATIONS = (-60.0, -20.0, 20.0, 60.0)

Tile = tuple[str, Tensor]

EMPTY_MESH_TILE: Tile = ("the mesh is empty", torch.full((3, TILE, TILE), 0.9))


def picture_reconstruction(reconstruction: Reconstruction, sample: dict[str, Any], file: Path) -> Path:
    """Write a PNG with the input, the reconstruction overlaid or rendered from the input camera, and the mesh from all sides.

    sample: the method's input, by key; missing parts are omitted. Raises ValueError if the reconstruction contains nothing that
    can be shown.
    """
    draw_tiles = {"image": _draw_over_photograph, "relief": _draw_in_camera_frame}.get(
        reconstruction.frame, _draw_in_world_frame
    )
    tiles = draw_tiles(reconstruction, sample) + _map_tiles(reconstruction)
    if not tiles:
        raise ValueError(f"nothing to show in a reconstruction of {reconstruction.produced()}")
    file.parent.mkdir(parents=True, exist_ok=True)
    caption = f"frame: {reconstruction.frame}, unit: {reconstruction.unit}, contains: {', '.join(reconstruction.produced())}"
    return save_png(contact_sheet(tiles, columns=4, caption=caption), file)


def _draw_over_photograph(reconstruction: Reconstruction, sample: dict[str, Any]) -> list[Tile]:
    tiles: list[Tile] = []
    if "image" in sample:
        photograph = torch.as_tensor(sample["image"]).float()
        large, scale = _resize_to_tile(photograph), TILE / photograph.shape[1]
        tiles.append(("photograph", large))
        # Show points only if there is no mesh, which would show the same shape better.
        standalone_points = reconstruction.points if reconstruction.mesh is None else None
        for title, points in (("landmarks", reconstruction.landmarks), ("points", standalone_points)):
            if points is not None:
                tiles.append((title, _mark_points(large, torch.as_tensor(points) * scale)))
    mesh = reconstruction.mesh
    if mesh is not None and mesh.is_empty:
        tiles.append(EMPTY_MESH_TILE)
    elif mesh is not None:
        vertices, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
        if "image" in sample:
            shaded = render_in_image(vertices * scale, faces, large.shape[1], large.shape[2], supersample=2)
            tiles.append(("mesh over the photograph", blend(large, shaded.image, shaded.face_id >= 0)))
        tiles += _rotated_views(vertices, faces, None if mesh.colors is None else torch.from_numpy(mesh.colors))
    return tiles


def _mark_points(image: Tensor, points: Tensor) -> Tensor:
    if len(points) == 68:
        return draw_landmarks_68(image, points, GREEN, radius=2.5)
    return draw_points(image, points, GREEN, radius=2.5 if len(points) < 1000 else 0.5)


def _rotated_views(vertices: Tensor, faces: Tensor, colors: Tensor | None) -> list[Tile]:
    """Render a mesh in image coordinates at several rotations about its vertical axis."""
    centre = (vertices.amin(0) + vertices.amax(0)) / 2
    radius = max(float((vertices - centre).norm(dim=1).amax()), 1e-6)
    tiles = []
    for degrees in ROTATIONS:
        angle = torch.tensor(degrees).deg2rad()
        # In image coordinates z points towards the viewer: a positive angle turns the nose to the image's right.
        turn = torch.tensor([[angle.cos(), 0.0, angle.sin()], [0.0, 1.0, 0.0], [-angle.sin(), 0.0, angle.cos()]])
        placed = (vertices - centre) @ turn.T * (0.47 * TILE / radius) + TILE / 2
        seen = render_in_image(placed, faces, TILE, TILE, colors=colors, supersample=2)
        tiles.append((f"rotated by {degrees:+.0f} degrees", seen.image))
    return tiles


def _draw_in_camera_frame(reconstruction: Reconstruction, sample: dict[str, Any]) -> list[Tile]:
    """Render a mesh given in camera axes, z forward."""
    tiles: list[Tile] = [("photograph", _resize_to_tile(torch.as_tensor(sample["image"])))] if "image" in sample else []
    mesh = reconstruction.mesh
    if mesh is None or mesh.is_empty:
        return tiles if mesh is None else [*tiles, EMPTY_MESH_TILE]
    towards_viewer = torch.from_numpy(mesh.vertices) * torch.tensor([1.0, 1.0, -1.0])
    colors = None if mesh.colors is None else torch.from_numpy(mesh.colors)
    return tiles + _rotated_views(towards_viewer, torch.from_numpy(mesh.faces), colors)


def _draw_in_world_frame(reconstruction: Reconstruction, sample: dict[str, Any]) -> list[Tile]:
    posed = "images" in sample and {"intrinsics", "world_from_camera"} <= sample.keys()
    tiles: list[Tile] = []
    if "images" in sample:
        tiles.append(("frame 0", _resize_to_tile(torch.as_tensor(sample["images"][0]))))
    mesh = reconstruction.mesh
    if mesh is None or mesh.is_empty:
        return tiles if mesh is None else [*tiles, EMPTY_MESH_TILE]
    colors = mesh.colors
    if posed:
        height, width = sample["images"][0].shape[1:]
        camera = sample["intrinsics"][0], sample["world_from_camera"][0]
        seen = render_mesh(mesh.vertices, mesh.faces, *camera, height, width, colors=colors, supersample=2)
        tiles.append(("mesh from frame 0", _resize_to_tile(seen.image)))
    up = up_direction(sample)
    size = TILE, TILE * 4 // 3
    view = overview(mesh.vertices, mesh.faces, width=size[1], height=size[0], up=up)
    for title, paint in (("mesh from outside", colors), ("shape without colours", None))[0 if colors is not None else 1 :]:
        inside = render_mesh(mesh.vertices, mesh.faces, *view, *size, colors=paint, cull="back", supersample=2)
        tiles.append((title, inside.image))
    sides = turntable(
        mesh.vertices, mesh.faces, colors, elevation_degrees=40.0, size=TILE, up=up, look_inside=True, supersample=2
    )
    return tiles + [(f"side {index + 1} of 4", side) for index, side in enumerate(sides)]


def _map_tiles(reconstruction: Reconstruction) -> list[Tile]:
    """Return tiles for the maps and images of the reconstruction."""
    tiles: list[Tile] = []
    if reconstruction.depth is not None:
        color = nearness_picture if reconstruction.frame == "image" else depth_picture
        tiles.append(("depth of view 0", _resize_to_tile(color(torch.as_tensor(reconstruction.depth[0])))))
    if reconstruction.normals is not None:
        tiles.append(("normals of view 0", _resize_to_tile(torch.as_tensor(reconstruction.normals[0]).float() / 2 + 0.5)))
    if reconstruction.position_map is not None:
        tiles.append(("position map", _resize_to_tile(_rescale_channels(torch.as_tensor(reconstruction.position_map).float()))))
    for title, picture in (("texture", reconstruction.texture), ("frontal view", reconstruction.frontal)):
        if picture is not None:
            tiles.append((title, _resize_to_tile(torch.as_tensor(picture))))
    for title, images in (("view 0", reconstruction.images), ("sample 0", reconstruction.samples)):
        if images is not None:
            tiles.append((title, _resize_to_tile(torch.as_tensor(images[0]).float())))
    return tiles


def _rescale_channels(values: Tensor) -> Tensor:
    """Rescale each channel (C, H, W) to [0, 1]."""
    low, high = values.amin((1, 2), keepdim=True), values.amax((1, 2), keepdim=True)
    return (values - low) / (high - low).clamp(min=1e-9)


def _resize_to_tile(image: Tensor) -> Tensor:
    size = (TILE, round(image.shape[2] * TILE / image.shape[1]))
    return torch.nn.functional.interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0].clamp(0, 1)
