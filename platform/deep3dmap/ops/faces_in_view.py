"""Selects the faces of a mesh that may be visible to a camera and clips them at its near plane."""

from typing import NamedTuple

import torch
from torch import Tensor


class FacesInView(NamedTuple):
    """The part of a mesh that may be visible to a camera.

    vertices: (V, 3) in camera coordinates, those of the mesh followed by those created by clipping. faces: (F, 3). source: (F,)
    index of the original face, ascending. part: (F,) row of `corners`, -1 for faces that were not clipped. corners: (C, 3, 3)
    barycentrics of the corners of clipped faces with respect to the original face.
    """

    vertices: Tensor
    faces: Tensor
    source: Tensor
    part: Tensor
    corners: Tensor

    def pixels(self, intrinsics: Tensor) -> Tensor:
        """Project the vertices with the intrinsics (3, 3); returns (V, 3): x and y in pixels, z the depth."""
        x, y, z = self.vertices.unbind(-1)
        safe = torch.where(z > 0, z, torch.ones_like(z))
        return torch.stack(
            [intrinsics[0, 0] * x / safe + intrinsics[0, 2], intrinsics[1, 1] * y / safe + intrinsics[1, 2], z], -1
        )

    def at_corners(self, faces: Tensor, attributes: Tensor) -> Tensor:
        """Return the vertex attributes (V, C) of the original mesh at the corners of the faces in view, (F, 3, C)."""
        values = attributes.index_select(0, faces.index_select(0, self.source).flatten()).unflatten(0, (-1, 3))
        cut = (self.part >= 0).nonzero()[:, 0]
        corners = self.corners.index_select(0, self.part.index_select(0, cut)).to(values.dtype)
        return values.index_copy_(0, cut, corners @ values.index_select(0, cut))


def faces_in_view(vertices: Tensor, faces: Tensor, intrinsics: Tensor, height: int, width: int, near: float) -> FacesInView:
    """Return the faces that are not entirely behind the near plane or to one side of the image, clipped at z = near.

    vertices: (V, 3) float32 in camera coordinates. intrinsics: (3, 3) float32. The image is extended by a margin of one pixel.
    """
    ahead = _find_possibly_visible(vertices, faces, intrinsics, height, width, near)
    clipped = _clip_near(vertices, faces.index_select(0, ahead), near)
    return clipped._replace(source=ahead.index_select(0, clipped.source))


def _find_possibly_visible(vertices: Tensor, faces: Tensor, intrinsics: Tensor, height: int, width: int, near: float) -> Tensor:
    """Return the faces (N,), ascending, that are not entirely behind the near plane or to one side of the image."""
    x, y, z = vertices.unbind(-1)
    across, down = intrinsics[0, 0] * x + intrinsics[0, 2] * z, intrinsics[1, 1] * y + intrinsics[1, 2] * z
    # The one-pixel margin retains faces that rounding could move into the image. Non-finite coordinates exclude nothing.
    sides = (z < near, across < -z, across > (width + 1) * z, down < -z, down > (height + 1) * z)
    outside = torch.zeros(len(vertices), dtype=torch.uint8, device=vertices.device)
    for bit, side in enumerate(sides):
        outside |= side.to(torch.uint8) << bit
    corners = outside.index_select(0, faces.reshape(-1)).view(-1, 3)
    return ((corners[:, 0] & corners[:, 1] & corners[:, 2]) == 0).nonzero()[:, 0]


def _clip_near(vertices: Tensor, faces: Tensor, near: float) -> FacesInView:
    """Clip triangles at z = near; the parts are ordered by their original face, so that the lower face wins ties."""
    none = vertices.new_zeros(0, 3, 3)
    front = vertices[:, 2] >= near
    in_front = front.index_select(0, faces.reshape(-1)).view(-1, 3).sum(1)
    if bool((in_front == 3).all()):
        every = torch.arange(len(faces), device=faces.device)
        return FacesInView(vertices, faces, every, torch.full_like(every, -1), none)
    parts_of = torch.tensor([0, 1, 2, 1], device=faces.device)[in_front]
    source = torch.arange(len(faces), device=faces.device).repeat_interleave(parts_of)
    first = parts_of.cumsum(0) - parts_of
    drawn, part = faces.index_select(0, source), torch.full_like(source, -1)
    added, corners, count = [vertices], [none], len(vertices)
    for inside, triangles in ((1, ((0, 3, 4),)), (2, ((0, 1, 3), (0, 3, 4)))):
        cut = (in_front == inside).nonzero()[:, 0]
        polygon, weights = _cut(vertices, faces[cut], front, near, inside)
        added.append(polygon.reshape(-1, 3))
        base = count + torch.arange(len(cut), device=faces.device)[:, None] * 5
        count += polygon.shape[0] * 5
        for number, triangle in enumerate(triangles):
            place = first[cut] + number
            drawn[place] = base + torch.tensor(triangle, device=faces.device)
            part[place] = sum(map(len, corners)) + torch.arange(len(cut), device=faces.device)
            corners.append(weights[:, list(triangle)])
    return FacesInView(torch.cat(added), drawn, source, part, torch.cat(corners))


def _cut(vertices: Tensor, faces: Tensor, front: Tensor, near: float, inside: int) -> tuple[Tensor, Tensor]:
    """Return five corners per clipped triangle, (N, 5, 3), its own three, rotated, and two intersections, with barycentrics."""
    # Rotate each triangle so that the odd one out is corner 0 (one in front) or corner 2 (two in front).
    odd = (front[faces] if inside == 1 else ~front[faces]).int().argmax(1)
    first = odd if inside == 1 else (odd + 1) % 3
    turn = (first[:, None] + torch.arange(3, device=faces.device)) % 3
    corners = vertices[faces.gather(1, turn)]
    barycentrics = torch.eye(3, dtype=vertices.dtype, device=vertices.device)[turn]
    pairs = ((0, 1), (0, 2)) if inside == 1 else ((1, 2), (0, 2))
    for start, end in pairs:
        z0, z1 = corners[:, start, 2], corners[:, end, 2]
        t = ((near - z0) / (z1 - z0))[:, None]
        corners = torch.cat([corners, ((1 - t) * corners[:, start] + t * corners[:, end])[:, None]], 1)
        barycentrics = torch.cat([barycentrics, ((1 - t) * barycentrics[:, start] + t * barycentrics[:, end])[:, None]], 1)
    return corners, barycentrics
