"""Z-buffer rasterisation of triangles: depth, face ids and barycentrics. Not differentiable."""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from deep3dmap.ops import rasterize_reference
from deep3dmap.ops._backend import Backend, choose, run_native, small_matrix
from deep3dmap.ops._checks import check_image, check_mesh
from deep3dmap.ops._registration import native_op

Cull = Literal["none", "back"]


class Fragments(NamedTuple):
    """What is seen at each pixel.

    depth: (H, W) float32, 0 where empty. face_id: (H, W) int64, -1 where empty. barycentrics: (H, W, 3) float32, 0 where empty.
    """

    depth: Tensor
    face_id: Tensor
    barycentrics: Tensor


def rasterize(
    vertices: Tensor,
    faces: Tensor,
    height: int,
    width: int,
    *,
    perspective: bool = True,
    cull: Cull = "none",
    backend: Backend = "auto",
) -> Fragments:
    """Rasterise triangles given in pixel coordinates; a pixel is sampled at its centre, +0.5.

    vertices: (V, 3) float32: x right and y down in pixels, z the depth along the optical axis; smaller is nearer.
    faces: (F, 3) int64. perspective: interpolate 1/z, so that depth and barycentrics belong to the surface in space (z > 0
    is drawn); otherwise interpolate z itself, as for orthographic and weak-perspective cameras, where z may have any sign.
    cull: "back" leaves out triangles whose corners turn clockwise in the image as it is looked at (x right, y down). An
    OpenCV camera sees them so from behind: of a closed mesh whose faces are counter-clockwise from outside, as most files
    have them, the outer side stays.
    The nearest triangle wins, of equal depths the lower face. No pixel falls between two triangles that share an edge.
    Triangles that are degenerate or hold non-finite vertices are left out.
    Raises ValueError for a wrong shape or type and for face indices out of range.
    """
    _check(vertices, faces, height, width, cull)
    return _drawn(vertices, faces, height, width, perspective, cull, backend)


def rasterize_camera(
    vertices: Tensor,
    faces: Tensor,
    intrinsics: Tensor,
    height: int,
    width: int,
    *,
    near: float = 0.01,
    cull: Cull = "none",
    backend: Backend = "auto",
) -> Fragments:
    """Rasterise triangles given in camera coordinates (OpenCV axes), cutting those that reach behind the near plane.

    vertices: (V, 3) float32 metres. intrinsics: (3, 3) pixels, centres at +0.5. near: metres.
    Returns fragments whose face ids and barycentrics are those of the given faces.
    Raises ValueError that names the argument of a wrong shape, type or value.
    """
    _check(vertices, faces, height, width, cull)
    if not 0 < near < math.inf:
        raise ValueError(f"near is a positive number of metres, got {near}")
    lens = small_matrix("intrinsics", intrinsics, (3, 3), vertices.device)
    ahead = _maybe_seen(vertices, faces, lens, height, width, near)
    clipped = _clip_near(vertices, faces if ahead is None else faces.index_select(0, ahead), near)
    x, y, z = clipped.vertices.unbind(-1)
    safe = torch.where(z > 0, z, torch.ones_like(z))
    pixels = torch.stack([lens[0, 0] * x / safe + lens[0, 2], lens[1, 1] * y / safe + lens[1, 2], z], -1)
    given = ahead if clipped.source is None else clipped.source if ahead is None else ahead.index_select(0, clipped.source)
    return _of_given(_drawn(pixels, clipped.faces, height, width, True, cull, backend), given, clipped)


def _drawn(
    vertices: Tensor, faces: Tensor, height: int, width: int, perspective: bool, cull: Cull, backend: Backend
) -> Fragments:
    if choose(backend, vertices.device.type) == "native":
        return Fragments(*_native_rasterize(vertices, faces, height, width, perspective, cull == "back"))
    return Fragments(*rasterize_reference.rasterize(vertices, faces, height, width, perspective, cull == "back"))


def corner_values(values: Tensor, faces: Tensor) -> Tensor:
    """Return values (V, C) at the corners of faces (N, 3) as (N, 3, C).

    Its gradient is summed in one order, so two runs agree to the bit; that of `values[faces]` is not, on several threads.
    """
    return values.index_select(0, faces.reshape(-1)).unflatten(0, (-1, 3))


def interpolate(fragments: Fragments, faces: Tensor, attributes: Tensor) -> Tensor:
    """Interpolate vertex attributes (V, C) over the fragments; returns (C, H, W), 0 where empty. Differentiable in them."""
    seen = fragments.face_id >= 0
    corners = corner_values(attributes, faces[fragments.face_id[seen]])
    image = attributes.new_zeros(*fragments.face_id.shape, attributes.shape[1])
    image[seen] = (corners * fragments.barycentrics[seen].to(attributes.dtype)[..., None]).sum(1)
    return image.permute(2, 0, 1)


def interpolate_at(
    face_id: Tensor, barycentrics: Tensor, faces: Tensor, attributes: Tensor, backend: Backend = "auto"
) -> Tensor:
    """Interpolate vertex attributes (V, C) at samples, face_id (N,), barycentrics (N, 3); returns (N, C), 0 where the id is -1.

    All on the CPU. What `interpolate` gives there up to rounding, without its gradient and many times as fast. The values of
    an attribute lie side by side: the transpose is contiguous.
    """
    if choose(backend, attributes.device.type) == "reference":
        corners = faces.index_select(0, face_id.clamp(min=0))
        with torch.no_grad():
            drawn = torch.nn.functional.embedding_bag(corners, attributes, per_sample_weights=barycentrics, mode="sum")
        return drawn * (face_id >= 0)[:, None]
    values = torch.empty(attributes.shape[1], len(face_id))
    given = (face_id.contiguous(), barycentrics.contiguous(), faces.contiguous(), attributes.contiguous())
    run_native("interpolate_at", attributes.device, *given, values)
    return values.T


def _maybe_seen(vertices: Tensor, faces: Tensor, lens: Tensor, height: int, width: int, near: float) -> Tensor | None:
    """Return the faces (N,), ascending, that do not lie wholly behind the near plane or beside the picture; None = all."""
    x, y, z = vertices.unbind(-1)
    across, down = lens[0, 0] * x + lens[0, 2] * z, lens[1, 1] * y + lens[1, 2] * z
    # A pixel of margin: what rounding might move into the picture stays. Where a coordinate is not finite nothing is said.
    sides = (z < near, across < -z, across > (width + 1) * z, down < -z, down > (height + 1) * z)
    outside = torch.zeros(len(vertices), dtype=torch.uint8, device=vertices.device)
    for bit, side in enumerate(sides):
        outside |= side.to(torch.uint8) << bit
    corners = outside.index_select(0, faces.reshape(-1)).view(-1, 3)
    kept = (corners[:, 0] & corners[:, 1] & corners[:, 2]) == 0
    return None if bool(kept.all()) else kept.nonzero()[:, 0]


class _Clipped(NamedTuple):
    """What is left before the near plane. source: (F,) the given face each part is of, None if all are whole.

    corners: (C, 3, 3) barycentrics, in the given face, of the parts of faces that were cut. part: (F,) index into them, -1
    for faces that are whole.
    """

    vertices: Tensor
    faces: Tensor
    source: Tensor | None
    part: Tensor
    corners: Tensor


def _clip_near(vertices: Tensor, faces: Tensor, near: float) -> _Clipped:
    """Cut triangles at z = near; the parts come in the order of the faces they are of, so that ties go to the lower face."""
    none = vertices.new_zeros(0, 3, 3)
    front = vertices[:, 2] >= near
    in_front = front.index_select(0, faces.reshape(-1)).view(-1, 3).sum(1)
    if bool((in_front == 3).all()):
        return _Clipped(vertices, faces, None, faces.new_zeros(0), none)
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
    return _Clipped(torch.cat(added), drawn, source, part, torch.cat(corners))


def _of_given(fragments: Fragments, given: Tensor | None, clipped: _Clipped) -> Fragments:
    """Return fragments of the faces that were drawn as fragments of those that they are of, `given` (F,); None = the same."""
    if given is None or len(given) == 0:
        return fragments
    # One lookup for all pixels, in a table that begins with what stands for no face.
    drawn = fragments.face_id.flatten() + 1
    face_id = _led_by_none(given).index_select(0, drawn).view_as(fragments.face_id)
    if len(clipped.corners):
        part = _led_by_none(clipped.part)
        at = (part >= 0).index_select(0, drawn).nonzero()[:, 0]
        flat = fragments.barycentrics.view(-1, 3)
        corners = clipped.corners.index_select(0, part.index_select(0, drawn.index_select(0, at)))
        flat.index_copy_(0, at, torch.einsum("nc,nco->no", flat.index_select(0, at), corners))
    return fragments._replace(face_id=face_id)


def _led_by_none(table: Tensor) -> Tensor:
    return torch.cat([table.new_full((1,), -1), table])


def _cut(vertices: Tensor, faces: Tensor, front: Tensor, near: float, inside: int) -> tuple[Tensor, Tensor]:
    """Return five corners for each cut triangle, (N, 5, 3), its own three, turned, and two cuts, and their barycentrics."""
    # Turn each triangle so that the odd one out is corner 0 (one in front) or corner 2 (two in front).
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


@native_op("deep3dmap::rasterize")
def _native_rasterize(
    vertices: Tensor, faces: Tensor, height: int, width: int, perspective: bool, cull_back: bool
) -> tuple[Tensor, Tensor, Tensor]:
    check_image(height, width)
    depth = vertices.new_zeros(height, width)
    face_id = torch.full((height, width), -1, dtype=torch.int64, device=vertices.device)
    barycentrics = vertices.new_zeros(height, width, 3)
    given, outputs = (vertices.contiguous(), faces.contiguous()), (depth, face_id, barycentrics)
    run_native("rasterize", vertices.device, *given, *outputs, perspective, int(cull_back))
    return depth, face_id, barycentrics


@_native_rasterize.register_fake
def _(
    vertices: Tensor, faces: Tensor, height: int, width: int, perspective: bool, cull_back: bool
) -> tuple[Tensor, Tensor, Tensor]:
    face_id = torch.empty((height, width), dtype=torch.int64, device=vertices.device)
    return vertices.new_empty(height, width), face_id, vertices.new_empty(height, width, 3)


def _check(vertices: Tensor, faces: Tensor, height: int, width: int, cull: str) -> None:
    if vertices.dtype != torch.float32 or vertices.dim() != 2 or vertices.shape[1] != 3:
        raise ValueError(f"vertices must be float32 (V, 3), got {vertices.dtype} {tuple(vertices.shape)}")
    check_mesh(vertices, faces)
    check_image(height, width)
    if cull not in ("none", "back"):
        raise ValueError(f"cull is none or back, not '{cull}'")
