"""The rasteriser of the Neural 3D Mesh Renderer (Kato, Ushiku and Harada, CVPR 2018): hard images, approximate gradients.

Each pixel shows only its nearest face. The gradient of the image with respect to the vertices considers, for every pixel of a
line, how far an edge would have to move to change it. It therefore reaches across the whole image: the basin of convergence is
large, but the gradient is biased. Vertices are in pixels, x right, y down, with depth z; only faces that appear
counter-clockwise in the image are drawn.
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
from deep3dmap.ops.rasterize import Fragments, draw_batch, draw_each, empty_fragments, kernel_arguments

# Maps fragments and the faces (F, 3) that their ids index to the colours (C, h, w) of the pixels.
Paint = Callable[[Fragments, Tensor], Tensor]


class NeuralPicture(NamedTuple):
    """A rendered mesh.

    image: (C, H, W). silhouette: (H, W) coverage in [0, 1]. depth: (H, W), `far` in empty pixels. All are differentiable.
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
    """Render a mesh given in pixel coordinates: image, silhouette and depth as in `neural_renderer`.

    vertices: (V, 3) float32: x right, y down, pixel centres at +0.5; z the depth. faces: (F, 3) int64. paint: computes the
    colour of each pixel, see `paint_vertices` and `paint_cubes`; white if None. near, far: depth range that is drawn.
    epsilon: see `follow_edges`. anti_aliasing: render at twice the size and average 2 x 2 pixels, including depth.
    fill_back: also draw back faces, as reversed copies appended to the F given faces.
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
    """Find the nearest face with near < depth < far that covers each pixel centre, edges included. Not differentiable.

    Arguments as in `render_neural_mesh`, and a batch of vertices as in `rasterize`. At equal depth the face with the lower
    index wins. Faces are skipped if they appear clockwise in the image, are degenerate or non-finite, or, with perspective,
    have a corner at or behind the camera.
    """
    check_mesh(vertices, faces, batched=True)
    check_image(height, width)
    if not near < far:
        raise ValueError(f"near must be less than far, got {near} and {far}")
    corners = vertices.detach().float().contiguous()
    if choose(backend, vertices.device.type) == "native":
        ids = faces.contiguous()
        return draw_batch(corners, lambda meshes: _find(meshes, ids, height, width, near, far, perspective))
    return draw_each(corners, lambda mesh: reference.find_faces(mesh, faces, height, width, near, far, perspective))


def follow_edges(
    image: Tensor, vertices: Tensor, faces: Tensor, face_id: Tensor, *, epsilon: float = 1e-3, backend: Backend = "auto"
) -> Tensor:
    """Return the image (C, H, W) unchanged, with the approximate gradient with respect to the vertices' x and y attached.

    face_id: (H, W) from `find_faces`. For each edge of a visible face and each line of pixel centres that it crosses, pixels
    outside, up to the image border, could take the colour just inside, and the face's pixels the colour just outside. Where
    that lowers the loss by `delta` (summed over channels), each corner receives -delta / distance, where `distance` is how far
    it would have to move. epsilon: added to distances, in units of half the image size. The image's own gradient, e.g. with
    respect to colours, is passed through.
    Raises ValueError for a wrong shape, type or value, and for vertex or face ids out of range.
    """
    check_mesh(vertices, faces)
    check_face_ids(face_id, faces, 2)
    if image.dim() != 3 or image.shape[1:] != face_id.shape:
        raise ValueError(f"image must be (C, {face_id.shape[0]}, {face_id.shape[1]}), got {tuple(image.shape)}")
    if not epsilon > 0:
        raise ValueError(f"epsilon must be positive, got {epsilon}")
    native = choose(backend, vertices.device.type) == "native"
    return _follow(image, vertices, faces, face_id, epsilon, native)


def depth_of_faces(
    vertices: Tensor, faces: Tensor, seen: Fragments, *, perspective: bool = True, backend: Backend = "auto"
) -> Tensor:
    """Return the depth (H, W) of the fragments, differentiable in the vertices' x, y and z with visibility held fixed.

    vertices, seen: of one mesh, or (B, V, 3) and the fragments of that batch, as given to and returned by `find_faces`; then
    the depth is (B, H, W). Raises ValueError for a wrong shape or type, and for vertex or face ids out of range.
    """
    check_mesh(vertices, faces, batched=True)
    check_face_ids(seen.face_id, faces, vertices.dim(), rows=vertices.dim() - 2)
    if vertices.dim() == 2:
        return _depth_of_batch(vertices[None], faces, Fragments(*(image[None] for image in seen)), perspective, backend)[0]
    if len(seen.face_id) != len(vertices):
        raise ValueError(f"seen must have an image for each mesh, got {len(seen.face_id)} images for {len(vertices)} meshes")
    return _depth_of_batch(vertices, faces, seen, perspective, backend)


def _depth_of_batch(vertices: Tensor, faces: Tensor, seen: Fragments, perspective: bool, backend: Backend) -> Tensor:
    if choose(backend, vertices.device.type) == "reference":
        each = zip(vertices, seen.face_id, strict=True)
        return torch.stack([reference.depth_of_faces(mesh, faces, face_id, perspective) for mesh, face_id in each])
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
    corners = torch.zeros(len(vertices), len(faces), 3, 3, device=vertices.device)
    given = (vertices.detach().float(), faces, face_id, depth, barycentrics, gradient.float())
    run_native("neural_mesh_depth_backward", vertices.device, *(one.contiguous() for one in given), corners, perspective)
    return _to_vertices(vertices, faces, corners)


@_depth_backward.register_fake
def _(
    gradient: Tensor, vertices: Tensor, faces: Tensor, face_id: Tensor, depth: Tensor, barycentrics: Tensor, perspective: bool
) -> Tensor:
    return torch.empty_like(vertices)


def _to_vertices(vertices: Tensor, faces: Tensor, corners: Tensor) -> Tensor:
    """Sum the gradients of the face corners, (F, 3, 2 or 3) or (B, F, 3, 3), over their vertices, (V, 3) or (B, V, 3)."""
    gradient = vertices.new_zeros(vertices.numel() // 3, 3)
    meshes = torch.arange(vertices.shape[:-2].numel(), device=faces.device)
    rows = (meshes[:, None] * vertices.shape[-2] + faces.reshape(-1)).reshape(-1)
    axes = corners.shape[-1]
    gradient[:, :axes].index_add_(0, rows, corners.reshape(-1, axes).to(vertices.dtype))
    return gradient.view(vertices.shape)


def _save_for_edges_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.settings = inputs[4:]


def _edges_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    moved = _follow_backward(gradient, *ctx.saved_tensors, *ctx.settings) if ctx.needs_input_grad[1] else None
    return gradient, moved, None, None, None, None


def _save_for_depth_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:5])
    ctx.perspective = inputs[5]


def _depth_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    return _depth_backward(gradient, *ctx.saved_tensors, ctx.perspective), None, None, None, None, None


_follow.register_autograd(_edges_gradient, setup_context=_save_for_edges_backward)
_depth.register_autograd(_depth_gradient, setup_context=_save_for_depth_backward)
