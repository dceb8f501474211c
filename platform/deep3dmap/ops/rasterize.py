"""Z-buffer rasterisation of triangles: depth, face ids and barycentrics. Not differentiable."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from deep3dmap.ops import rasterize_reference
from deep3dmap.ops._backend import Backend, choose, run_native, small_matrix
from deep3dmap.ops._checks import check_image, check_mesh
from deep3dmap.ops._registration import native_op
from deep3dmap.ops.faces_in_view import FacesInView, faces_in_view

Cull = Literal["none", "back"]


class Fragments(NamedTuple):
    """The visible surface at each pixel, with a leading axis for a batch of images.

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

    vertices: (V, 3) float32: x right and y down in pixels, z the depth along the optical axis; smaller is nearer. A batch
    (B, V, 3) of meshes with the same faces is drawn into B images at once. faces: (F, 3) int64.
    perspective: interpolate 1/z, so that depth and barycentrics are perspective-correct (only z > 0 is drawn); otherwise
    interpolate z itself, as for orthographic and weak-perspective cameras, where z may have any sign.
    cull: "back" skips triangles whose corners appear clockwise in the image (x right, y down). For an OpenCV camera these are
    the faces seen from behind, if faces are counter-clockwise from outside as in most files.
    The nearest triangle wins; at equal depth, the one with the lower index. There are no gaps between triangles that share an
    edge. Degenerate triangles and triangles with non-finite vertices are skipped.
    Raises ValueError for a wrong shape or type and for face indices out of range.
    """
    by_kernel = vertices.is_cuda and choose(backend, "cuda") == "native"
    _check(vertices, faces, height, width, cull, ids=not by_kernel, batched=True)
    return _drawn(vertices, faces, height, width, perspective, cull, backend, check_ids=by_kernel)


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
    """Rasterise triangles given in camera coordinates (OpenCV axes), clipping them at the near plane.

    vertices: (V, 3) float32 in metres. faces: (F, 3) int64. intrinsics: (3, 3) in pixels, centres at +0.5. near: in metres.
    Returns fragments whose face ids and barycentrics refer to the given faces.
    Raises ValueError naming the argument whose shape, type or value is wrong.
    """
    _check(vertices, faces, height, width, cull)
    if not 0 < near < math.inf:
        raise ValueError(f"near must be a positive number of metres, got {near}")
    matrix = small_matrix("intrinsics", intrinsics, (3, 3), vertices.device)
    seen = faces_in_view(vertices, faces, matrix, height, width, near)
    drawn = _drawn(seen.pixels(matrix), seen.faces, height, width, True, cull, backend)
    every = len(seen.source) == len(faces) and len(seen.corners) == 0
    return drawn if every or len(seen.source) == 0 else _to_original_faces(drawn, seen)


def _drawn(
    vertices: Tensor,
    faces: Tensor,
    height: int,
    width: int,
    perspective: bool,
    cull: Cull,
    backend: Backend,
    check_ids: bool = False,
) -> Fragments:
    culled = cull == "back"
    if choose(backend, vertices.device.type) == "native":
        how = (faces, height, width, perspective, culled, check_ids)
        return draw_batch(vertices, lambda meshes: _native_rasterize(meshes, *how))
    return draw_each(vertices, lambda mesh: rasterize_reference.rasterize(mesh, faces, height, width, perspective, culled))


def draw_batch(vertices: Tensor, draw: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]) -> Fragments:
    """Draw one mesh (V, 3) or a batch (B, V, 3) by a function that draws batches."""
    if vertices.dim() == 3:
        return Fragments(*draw(vertices))
    return Fragments(*(images[0] for images in draw(vertices[None])))


def draw_each(vertices: Tensor, draw: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]) -> Fragments:
    """Draw one mesh (V, 3) or a batch (B, V, 3) by a function that draws one mesh."""
    if vertices.dim() == 2:
        return Fragments(*draw(vertices))
    return Fragments(*(torch.stack(images) for images in zip(*map(draw, vertices), strict=True)))


def corner_values(values: Tensor, faces: Tensor) -> Tensor:
    """Return values (V, C) at the corners of faces (N, 3) as (N, 3, C).

    Its gradient is summed in a fixed order, so it is bitwise reproducible; that of `values[faces]` is not with several threads.
    """
    return values.index_select(0, faces.reshape(-1)).unflatten(0, (-1, 3))


def interpolate(fragments: Fragments, faces: Tensor, attributes: Tensor) -> Tensor:
    """Interpolate vertex attributes (V, C) over the fragments of one image; returns (C, H, W), 0 where empty.

    Differentiable in the attributes.
    """
    seen = fragments.face_id >= 0
    corners = corner_values(attributes, faces[fragments.face_id[seen]])
    image = attributes.new_zeros(*fragments.face_id.shape, attributes.shape[1])
    image[seen] = (corners * fragments.barycentrics[seen].to(attributes.dtype)[..., None]).sum(1)
    return image.permute(2, 0, 1)


def interpolate_at(
    face_id: Tensor, barycentrics: Tensor, faces: Tensor, attributes: Tensor, backend: Backend = "auto"
) -> Tensor:
    """Interpolate vertex attributes (V, C) at samples, face_id (N,), barycentrics (N, 3); returns (N, C), 0 where the id is -1.

    CPU only. Equals `interpolate` up to rounding, without a gradient and many times faster. The values of each attribute are
    contiguous in memory, that is, the transpose of the result is contiguous.
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


def _to_original_faces(fragments: Fragments, seen: FacesInView) -> Fragments:
    """Convert fragments of the clipped faces into fragments of the original faces."""
    # One lookup for all pixels, in a table whose first entry represents empty pixels.
    drawn = fragments.face_id.flatten() + 1
    face_id = _prepend_missing(seen.source).index_select(0, drawn).view_as(fragments.face_id)
    if len(seen.corners):
        part = _prepend_missing(seen.part)
        at = (part >= 0).index_select(0, drawn).nonzero()[:, 0]
        flat = fragments.barycentrics.view(-1, 3)
        corners = seen.corners.index_select(0, part.index_select(0, drawn.index_select(0, at)))
        flat.index_copy_(0, at, torch.einsum("nc,nco->no", flat.index_select(0, at), corners))
    return fragments._replace(face_id=face_id)


def _prepend_missing(table: Tensor) -> Tensor:
    return torch.cat([table.new_full((1,), -1), table])


@native_op("deep3dmap::rasterize")
def _native_rasterize(
    vertices: Tensor, faces: Tensor, height: int, width: int, perspective: bool, cull_back: bool, check_ids: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    check_image(height, width)
    given, outputs = kernel_arguments(vertices.contiguous(), faces.contiguous(), height, width)
    run_native("rasterize", vertices.device, *given, *outputs, perspective, int(cull_back))
    # The CUDA kernel skips faces with invalid vertex ids and reports them in the scratch buffer.
    if vertices.is_cuda and check_ids and given[2][1].item():
        check_mesh(vertices, faces, batched=True)
    return outputs


def kernel_arguments(
    vertices: Tensor, faces: Tensor, height: int, width: int
) -> tuple[tuple[Tensor, ...], tuple[Tensor, Tensor, Tensor]]:
    """Return the arguments of a z-buffer kernel for meshes (B, V, 3), and its buffers for depth, face ids and barycentrics.

    The CUDA kernels write every pixel and also take a scratch buffer, whose second number is then non-zero if a face has an
    invalid vertex id.
    """
    outputs = empty_fragments(vertices, height, width)
    if vertices.is_cuda:
        queue = torch.empty(len(vertices) * len(faces) + 2, dtype=torch.int32, device=vertices.device)
        return (vertices, faces, queue), outputs
    for one, empty in zip(outputs, (0, -1, 0), strict=True):
        one.fill_(empty)
    return (vertices, faces), outputs


def empty_fragments(vertices: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return uninitialised buffers for depth, face ids and barycentrics of meshes (B, V, 3)."""
    shape = (len(vertices), height, width)
    face_id = torch.empty(shape, dtype=torch.int64, device=vertices.device)
    return vertices.new_empty(shape), face_id, vertices.new_empty(*shape, 3)


@_native_rasterize.register_fake
def _(
    vertices: Tensor, faces: Tensor, height: int, width: int, perspective: bool, cull_back: bool, check_ids: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    return empty_fragments(vertices, height, width)


def _check(
    vertices: Tensor, faces: Tensor, height: int, width: int, cull: str, ids: bool = True, batched: bool = False
) -> None:
    check_mesh(vertices, faces, ids, batched)
    if vertices.dtype != torch.float32:
        raise ValueError(f"vertices must be float32, got {vertices.dtype}")
    check_image(height, width)
    if cull not in ("none", "back"):
        raise ValueError(f"cull must be none or back, not '{cull}'")
