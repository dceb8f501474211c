"""The rasteriser of the Neural 3D Mesh Renderer (Kato, Ushiku and Harada, CVPR 2018): hard pictures, a gradient made by hand.

A pixel shows its nearest face and nothing else. The gradient of a picture to the corners asks for every pixel of a line how far
an edge would have to move to change it, so it reaches across the whole image: a large basin, and a biased gradient.
Corners are in pixels, x right, y down, with the depth z; only faces that are counter-clockwise as seen are drawn.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from deep3dmap.ops import neural_mesh_reference as reference
from deep3dmap.ops._backend import Backend, choose, run_native
from deep3dmap.ops._checks import check_face_ids, check_image, check_mesh
from deep3dmap.ops._registration import native_op
from deep3dmap.ops.rasterize import Fragments, empty_fragments, kernel_arguments

# Colours (C, h, w) of what is seen, from the fragments and the faces (F, 3) that their ids point to.
Paint = Callable[[Fragments, Tensor], Tensor]


class NeuralPicture(NamedTuple):
    """A rendered mesh.

    image: (C, H, W). silhouette: (H, W) coverage in [0, 1]. depth: (H, W), `far` where empty. All three are differentiable.
    """

    image: Tensor
    silhouette: Tensor
    depth: Tensor


def render_neural_mesh(
    vertices: Tensor,
    faces: Tensor,
    height: int,
    width: int,
    *,
    paint: Paint | None = None,
    background: tuple[float, ...] = (0.0, 0.0, 0.0),
    near: float = 0.1,
    far: float = 100.0,
    epsilon: float = 1e-3,
    anti_aliasing: bool = True,
    fill_back: bool = True,
    perspective: bool = True,
    backend: Backend = "auto",
) -> NeuralPicture:
    """Render a mesh given in pixels: image, silhouette and depth as `neural_renderer` makes them.

    vertices: (V, 3) float32: x right, y down, pixel centres at +0.5; z the depth. faces: (F, 3) int64. paint: gives each pixel
    its colour, see `paint_vertices` and `paint_cubes`; white if None. near, far: depths outside of these are not drawn.
    epsilon: see `follow_edges`. anti_aliasing: draw at twice the size and average 2 x 2, depth included.
    fill_back: draw backs as well; their faces are reversed copies behind the F given ones.
    Raises ValueError for a wrong shape, type or value, and for face indices out of range.
    """
    check_mesh(vertices, faces)
    check_image(height, width)
    scale = 2 if anti_aliasing else 1
    corners = vertices * vertices.new_tensor([scale, scale, 1])
    drawn = torch.cat([faces, faces.flip(1)]) if fill_back else faces
    size = (height * scale, width * scale)
    seen = find_faces(corners, drawn, *size, near=near, far=far, perspective=perspective, backend=backend)
    mask = (seen.face_id >= 0).to(vertices.dtype)
    empty = vertices.new_tensor(background)[:, None, None]
    colors = paint(seen, drawn) if paint else torch.ones_like(empty).expand(-1, *size)
    flat = torch.cat([torch.where(mask > 0, colors, empty), mask[None]])
    image = follow_edges(flat, corners, drawn, seen.face_id, epsilon=epsilon, backend=backend)
    depth = depth_of_faces(corners, drawn, seen, perspective=perspective, backend=backend)
    depth = torch.where(mask > 0, depth, torch.full_like(depth, far))
    whole = avg_pool2d(torch.cat([image, depth[None]])[None], scale)[0]
    return NeuralPicture(whole[:-2], whole[-2], whole[-1])


def find_faces(
    vertices: Tensor,
    faces: Tensor,
    height: int,
    width: int,
    *,
    near: float = 0.1,
    far: float = 100.0,
    perspective: bool = True,
    backend: Backend = "auto",
) -> Fragments:
    """Find the nearest face with near < depth < far that covers each pixel's centre, edges included. Not differentiable.

    Of equal depths the lower face wins. Faces that are clockwise as seen, degenerate, not finite or, in perspective, with a
    corner at or behind the camera are left out.
    """
    check_mesh(vertices, faces)
    check_image(height, width)
    if not near < far:
        raise ValueError(f"near lies before far, got {near} and {far}")
    corners = vertices.detach().float().contiguous()
    if choose(backend, vertices.device.type) == "native":
        return Fragments(*_find(corners, faces.contiguous(), height, width, near, far, perspective))
    return Fragments(*reference.find_faces(corners, faces, height, width, near, far, perspective))


def follow_edges(
    image: Tensor, vertices: Tensor, faces: Tensor, face_id: Tensor, *, epsilon: float = 1e-3, backend: Backend = "auto"
) -> Tensor:
    """Return the image (C, H, W) unchanged, and give it the approximate gradient to the x and y of the vertices.

    face_id: (H, W) from `find_faces`. For each edge of a visible face and each line of pixel centres that it crosses: pixels
    outside, to the border, could get the colour just inside; the face's pixels could get the colour just outside. Where that
    lowers the loss by `delta` (all channels together), corners get -delta / distance, the distance they would have to go.
    epsilon: added to distances, where half of the image's side is 1. The image keeps its own gradient, e.g. to colours.
    Raises ValueError for a wrong shape, type or value, and for ids of vertices or faces that are not there.
    """
    check_mesh(vertices, faces)
    check_face_ids(face_id, faces, 2)
    if image.dim() != 3 or image.shape[1:] != face_id.shape:
        raise ValueError(f"image must be (C, {face_id.shape[0]}, {face_id.shape[1]}), got {tuple(image.shape)}")
    if not epsilon > 0:
        raise ValueError(f"epsilon is positive, got {epsilon}")
    native = choose(backend, vertices.device.type) == "native"
    return _follow(image, vertices, faces, face_id, epsilon, native)


def depth_of_faces(
    vertices: Tensor, faces: Tensor, seen: Fragments, *, perspective: bool = True, backend: Backend = "auto"
) -> Tensor:
    """Return the depth (H, W) of `find_faces`, differentiable in x, y and z of the vertices with the visibility held fixed.

    Raises ValueError for a wrong shape or type, and for ids of vertices or faces that are not there.
    """
    check_mesh(vertices, faces)
    check_face_ids(seen.face_id, faces, 2)
    if choose(backend, vertices.device.type) == "reference":
        return reference.depth_of_faces(vertices, faces, seen.face_id, perspective)
    return _depth(vertices, faces, seen.face_id, seen.depth, seen.barycentrics, perspective)


@native_op("deep3dmap::neural_mesh_faces")
def _find(
    vertices: Tensor, faces: Tensor, height: int, width: int, near: float, far: float, perspective: bool
) -> tuple[Tensor, Tensor, Tensor]:
    check_image(height, width)
    given, outputs = kernel_arguments(vertices, faces, height, width)
    run_native("neural_mesh_faces", vertices.device, *given, *outputs, near, far, perspective)
    return outputs


@_find.register_fake
def _(
    vertices: Tensor, faces: Tensor, height: int, width: int, near: float, far: float, perspective: bool
) -> tuple[Tensor, Tensor, Tensor]:
    return empty_fragments(vertices, height, width)


@native_op("deep3dmap::neural_mesh_edges")
def _follow(image: Tensor, vertices: Tensor, faces: Tensor, face_id: Tensor, epsilon: float, native: bool) -> Tensor:
    return image.clone()


@_follow.register_fake
def _(image: Tensor, vertices: Tensor, faces: Tensor, face_id: Tensor, epsilon: float, native: bool) -> Tensor:
    return torch.empty_like(image)


@native_op("deep3dmap::neural_mesh_edges_backward")
def _follow_backward(
    gradient: Tensor, image: Tensor, vertices: Tensor, faces: Tensor, face_id: Tensor, epsilon: float, native: bool
) -> Tensor:
    height, width = face_id.shape
    margin = (epsilon * width / 2, epsilon * height / 2)
    shown, wanted = (picture.detach().float().permute(1, 2, 0).contiguous() for picture in (image, gradient))
    given = (vertices.detach().float().contiguous(), faces.contiguous(), face_id.contiguous(), shown, wanted)
    if not native:
        return _to_vertices(vertices, faces, reference.follow_edges_backward(*given, margin))
    corners = torch.zeros(len(faces), 3, 2, device=vertices.device)
    run_native("neural_mesh_edges_backward", vertices.device, *given, corners, *margin)
    return _to_vertices(vertices, faces, corners)


@_follow_backward.register_fake
def _(
    gradient: Tensor, image: Tensor, vertices: Tensor, faces: Tensor, face_id: Tensor, epsilon: float, native: bool
) -> Tensor:
    return torch.empty_like(vertices)


@native_op("deep3dmap::neural_mesh_depth")
def _depth(vertices: Tensor, faces: Tensor, face_id: Tensor, depth: Tensor, barycentrics: Tensor, perspective: bool) -> Tensor:
    return depth.to(vertices.dtype, copy=True)


@_depth.register_fake
def _(vertices: Tensor, faces: Tensor, face_id: Tensor, depth: Tensor, barycentrics: Tensor, perspective: bool) -> Tensor:
    return torch.empty_like(depth, dtype=vertices.dtype)


@native_op("deep3dmap::neural_mesh_depth_backward")
def _depth_backward(
    gradient: Tensor, vertices: Tensor, faces: Tensor, face_id: Tensor, depth: Tensor, barycentrics: Tensor, perspective: bool
) -> Tensor:
    corners = torch.zeros(len(faces), 3, 3, device=vertices.device)
    given = (vertices.detach().float(), faces, face_id, depth, barycentrics, gradient.float())
    run_native("neural_mesh_depth_backward", vertices.device, *(one.contiguous() for one in given), corners, perspective)
    return _to_vertices(vertices, faces, corners)


@_depth_backward.register_fake
def _(
    gradient: Tensor, vertices: Tensor, faces: Tensor, face_id: Tensor, depth: Tensor, barycentrics: Tensor, perspective: bool
) -> Tensor:
    return torch.empty_like(vertices)


def _to_vertices(vertices: Tensor, faces: Tensor, corners: Tensor) -> Tensor:
    """Add the gradients of all corners, (F, 3, 2 or 3), to those of their vertices (V, 3)."""
    gradient = vertices.new_zeros(len(vertices), 3)
    gradient[:, : corners.shape[2]].index_add_(0, faces.reshape(-1), corners.reshape(-1, corners.shape[2]).to(vertices.dtype))
    return gradient


def _remember_edges(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.settings = inputs[4:]


def _edges_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    moved = _follow_backward(gradient, *ctx.saved_tensors, *ctx.settings) if ctx.needs_input_grad[1] else None
    return gradient, moved, None, None, None, None


def _remember_depth(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:5])
    ctx.perspective = inputs[5]


def _depth_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    return _depth_backward(gradient, *ctx.saved_tensors, ctx.perspective), None, None, None, None, None


_follow.register_autograd(_edges_gradient, setup_context=_remember_edges)
_depth.register_autograd(_depth_gradient, setup_context=_remember_depth)
