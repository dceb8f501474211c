"""Soft rasterisation: the nearest faces of every pixel, including faces close to it. Differentiable in the vertices.

The quantities are those of Soft Rasterizer (Liu et al., ICCV 2019), computed as in facebookresearch/pytorch3d, in pixels.
"""

import math
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from deep3dmap.ops import rasterize_soft_reference as reference
from deep3dmap.ops._backend import Backend, choose, native_devices, run_native
from deep3dmap.ops._checks import check_face_ids, check_image, check_mesh
from deep3dmap.ops._registration import native_op
from deep3dmap.ops._segments import scatter_sum, segments
from deep3dmap.ops.rasterize import Cull

MAX_FACES = 64
GROUP = 256  # faces per bounding box in the CUDA kernel
Order = Literal["depth", "distance"]


class SoftFragments(NamedTuple):
    """The K nearest faces of every pixel.

    face_id: (H, W, K) int64, nearest first, padded with -1. depth: (H, W, K). barycentrics: (H, W, K, 3).
    distance: (H, W, K) squared distance in pixels from the pixel centre to the nearest edge, negative inside. All values of
    empty entries are 0.
    """

    face_id: Tensor
    depth: Tensor
    barycentrics: Tensor
    distance: Tensor


def rasterize_soft(
    vertices: Tensor,
    faces: Tensor,
    height: int,
    width: int,
    *,
    faces_per_pixel: int = 8,
    blur_radius: float = 0.0,
    perspective: bool = True,
    clip_barycentrics: bool = True,
    cull: Cull = "none",
    order: Order = "depth",
    backend: Backend = "auto",
) -> SoftFragments:
    """Find the nearest faces of each pixel that cover its centre or come closer to it than `blur_radius` pixels.

    vertices: (V, 3): x right and y down in pixels, z the depth along the optical axis; float32, or float64 for the reference.
    faces: (F, 3) int64. perspective: compute perspective-correct barycentrics rather than those in the image plane; skips faces
    with a corner at or behind the camera. clip_barycentrics: clamp barycentrics to points inside the face. order: select and
    sort faces by depth, or by signed distance, so that those covering the pixel most come first, as needed for silhouettes.
    cull: as in `rasterize`. Faces with no area or non-finite corners are skipped. Gradients flow through depth, barycentrics
    and distance; the selection and order of faces are treated as constant. backend: the kernels support float32; auto selects
    the reference for float64.
    Raises ValueError for a wrong shape, type or value, and for face indices out of range.
    """
    chosen = _backend(backend, vertices)
    by_kernel = vertices.is_cuda and chosen == "native"
    _check(vertices, faces, height, width, faces_per_pixel, blur_radius, cull, ids=not by_kernel)
    shape, how = (height, width, faces_per_pixel), (blur_radius, perspective, clip_barycentrics)
    if chosen == "native":
        *evaluated, face_id = _draw(vertices, faces, *shape, *how, int(cull == "back"), order == "distance")
        return SoftFragments(face_id, *evaluated)
    with torch.no_grad():
        face_id = reference.select_faces(vertices, faces, *shape, *how, cull == "back", order == "distance")
    return SoftFragments(face_id, *reference.evaluate_faces(vertices, faces, face_id, perspective, clip_barycentrics))


def look_at_faces(
    vertices: Tensor,
    faces: Tensor,
    face_id: Tensor,
    *,
    perspective: bool = True,
    clip_barycentrics: bool = False,
    backend: Backend = "auto",
) -> SoftFragments:
    """Return depth, barycentrics and distance of the faces in face_id, differentiable in the vertices.

    vertices, faces, perspective, clip_barycentrics: as in `rasterize_soft`. face_id: (H, W, K) int64, -1 for none. With the
    face ids of a z-buffer, (H, W, 1), this returns its depth and barycentrics with visibility held fixed.
    Raises ValueError for a wrong shape or type, and for vertex or face ids out of range.
    """
    check_mesh(vertices, faces)
    check_face_ids(face_id, faces, 3)
    evaluate = _evaluate if _backend(backend, vertices) == "native" else reference.evaluate_faces
    return SoftFragments(face_id, *evaluate(vertices, faces, face_id, perspective, clip_barycentrics))


def _backend(backend: Backend, vertices: Tensor) -> str:
    if backend == "auto" and (vertices.dtype == torch.float64 or vertices.device.type not in native_devices()):
        return "reference"
    chosen = choose(backend, vertices.device.type)
    if chosen == "native" and vertices.dtype != torch.float32:
        raise ValueError("vertices must be float32 in the native kernel; use backend=reference for float64")
    return chosen


@native_op("deep3dmap::rasterize_soft")
def _draw(
    vertices: Tensor, faces: Tensor, height: int, width: int, count: int, blur_radius: float, perspective: bool, clip: bool,
    cull: int, by_distance: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    check_image(height, width)
    mesh, shape = (vertices.contiguous(), faces.contiguous()), (height, width, count)
    how = (blur_radius, perspective, clip, cull, by_distance)
    if not vertices.is_cuda:
        face_id = torch.full(shape, -1, dtype=torch.int64)
        run_native("select_faces", vertices.device, *mesh, face_id, *how)
        return *_evaluate_natively(*mesh, face_id, perspective, clip), face_id
    face_id = torch.empty(shape, dtype=torch.int64, device=vertices.device)
    groups = -(-len(faces) // GROUP)
    boxes = torch.empty(len(faces) + groups + 1, 4, dtype=torch.int32, device=vertices.device)
    run_native("select_faces", vertices.device, *mesh, boxes, face_id, *how)
    evaluated = _evaluate_natively(*mesh, face_id, perspective, clip)
    # The kernel skips faces with invalid vertex ids and reports them in the last box.
    if boxes[-1, 0].item():
        check_mesh(vertices, faces)
    return *evaluated, face_id


@_draw.register_fake
def _(
    vertices: Tensor, faces: Tensor, height: int, width: int, count: int, blur_radius: float, perspective: bool, clip: bool,
    cull: int, by_distance: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    face_id = torch.empty((height, width, count), dtype=torch.int64, device=vertices.device)
    return *_empty_evaluation(vertices, face_id), face_id


def _save_for_drawn_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:2], output[3])
    ctx.mark_non_differentiable(output[3])
    blur_radius, perspective, clip = inputs[5:8]
    ctx.settings = (perspective, clip, blur_radius)


def _drawn_backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
    return _evaluate_backward(*ctx.saved_tensors, *gradients[:3], *ctx.settings), *(None,) * 9


_draw.register_autograd(_drawn_backward, setup_context=_save_for_drawn_backward)


@native_op("deep3dmap::evaluate_faces")
def _evaluate(vertices: Tensor, faces: Tensor, face_id: Tensor, perspective: bool, clip: bool) -> tuple[Tensor, Tensor, Tensor]:
    return _evaluate_natively(vertices.contiguous(), faces.contiguous(), face_id.contiguous(), perspective, clip)


@_evaluate.register_fake
def _(vertices: Tensor, faces: Tensor, face_id: Tensor, perspective: bool, clip: bool) -> tuple[Tensor, Tensor, Tensor]:
    return _empty_evaluation(vertices, face_id)


def _evaluate_natively(
    vertices: Tensor, faces: Tensor, face_id: Tensor, perspective: bool, clip: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return depth, barycentrics and distance."""
    evaluated = _empty_evaluation(vertices, face_id)
    if not vertices.is_cuda:  # the CUDA kernel also writes empty entries
        for one in evaluated:
            one.zero_()
    run_native("evaluate_faces", vertices.device, vertices, faces, face_id, *evaluated, perspective, clip)
    return evaluated


def _empty_evaluation(vertices: Tensor, face_id: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return vertices.new_empty(face_id.shape), vertices.new_empty(*face_id.shape, 3), vertices.new_empty(face_id.shape)


@native_op("deep3dmap::evaluate_faces_backward")
def _evaluate_backward(
    vertices: Tensor, faces: Tensor, face_id: Tensor, grad_depth: Tensor, grad_barycentrics: Tensor, grad_distance: Tensor,
    perspective: bool, clip: bool, blur_radius: float = -1.0,
) -> Tensor:  # fmt: skip
    """blur_radius: the one used to select the faces; negative if the faces are arbitrary."""
    mesh, seen = (vertices, faces, face_id), (grad_depth, grad_barycentrics, grad_distance)
    if vertices.is_cuda:
        # Fragments are searched within the reach of their face, or sorted, then corners are summed by vertex: no atomics.
        corners = vertices.new_empty(len(faces), 3, 3)
        known = blur_radius >= 0
        found = () if known else segments(face_id.reshape(-1), len(faces))
        sums = [one.contiguous() for one in (*mesh, *found, *seen, corners)]
        kernel, reach = ("selected_faces_backward", (blur_radius,)) if known else ("evaluate_faces_backward", ())
        run_native(kernel, vertices.device, *sums, *reach, perspective, clip)
        return scatter_sum(corners.reshape(-1, 3), faces.reshape(-1), len(vertices))
    gradient = torch.zeros_like(vertices, memory_format=torch.contiguous_format)
    given = (*mesh, *seen, gradient)
    run_native("evaluate_faces_backward", vertices.device, *(one.contiguous() for one in given), perspective, clip)
    return gradient


@_evaluate_backward.register_fake
def _(
    vertices: Tensor, faces: Tensor, face_id: Tensor, grad_depth: Tensor, grad_barycentrics: Tensor, grad_distance: Tensor,
    perspective: bool, clip: bool, blur_radius: float = -1.0,
) -> Tensor:  # fmt: skip
    return torch.empty_like(vertices, memory_format=torch.contiguous_format)


def _save_for_backward(
    ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, bool, bool], output: tuple[Tensor, Tensor, Tensor]
) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.settings = inputs[3:]


def _backward(
    ctx: Any, grad_depth: Tensor, grad_barycentrics: Tensor, grad_distance: Tensor
) -> tuple[Tensor, None, None, None, None]:
    gradient = _evaluate_backward(*ctx.saved_tensors, grad_depth, grad_barycentrics, grad_distance, *ctx.settings)
    return gradient, None, None, None, None


_evaluate.register_autograd(_backward, setup_context=_save_for_backward)


def _check(
    vertices: Tensor, faces: Tensor, height: int, width: int, faces_per_pixel: int, blur_radius: float, cull: str, ids: bool
) -> None:
    check_mesh(vertices, faces, ids)
    check_image(height, width)
    if not 1 <= faces_per_pixel <= MAX_FACES:
        raise ValueError(f"faces_per_pixel must lie between 1 and {MAX_FACES}, got {faces_per_pixel}")
    if not (0 <= blur_radius < math.inf):
        raise ValueError(f"blur_radius must be a finite, non-negative number of pixels, got {blur_radius}")
    if cull not in ("none", "back"):
        raise ValueError(f"cull must be none or back, not '{cull}'")
