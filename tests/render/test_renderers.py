"""All renderers implement one interface: equal silhouettes and depth, defined behaviour for broken meshes, exact gradients."""

import math
import sys
from dataclasses import replace
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.ops.rasterize_soft import rasterize_soft
from deep3dmap.render import blending
from deep3dmap.render.pytorch3d_renderer import Pytorch3dRenderer
from deep3dmap.render.renderer import UNLIT, Lights, Renderer, Rendering, Surface, View
from deep3dmap.render.renderer_comparison import agreement, view_of
from deep3dmap.render.renderers import available, names, renderer, renderer_type

WORKING = [name for name, reason in available().items() if reason is None]
# Tolerances of silhouettes and depths relative to the z-buffer; the grid of a surface has cells of a few pixels.
SETTINGS: dict[str, tuple[dict[str, Any], float, float]] = {
    "hard": ({}, 1.0, 0.0),
    "soft": ({"sigma": 1e-6, "gamma": 1e-6}, 0.99, 2e-3),
    "neural_mesh": ({}, 0.98, 1e-5),
    "pyrender": ({}, 0.999, 1e-4),
    "pytorch3d": ({"sigma": 1e-6, "gamma": 1e-6}, 0.98, 2e-3),
    "volume": ({"resolution": 32, "samples": 96}, 0.9, 3e-2),
}
LIGHTS = Lights(direction=(0.5, 1.0, 1.0))


def sphere(level: int = 2) -> Surface:
    vertices, faces = icosphere(level)
    points = torch.from_numpy(vertices).float() * torch.tensor([1.0, 0.8, 0.6])
    return Surface(points, torch.from_numpy(faces), (points * 0.4 + 0.5).clamp(0, 1))


def build(name: str, **options: Any) -> Renderer:
    if name not in WORKING:
        pytest.skip(f"{name}: {available()[name]}")
    return renderer(name, **{**SETTINGS[name][0], **options})


def finite(rendering: Rendering) -> bool:
    return all(
        bool(torch.isfinite(one).all()) for one in (rendering.image, rendering.depth, rendering.normals, rendering.silhouette)
    )


@pytest.mark.parametrize("projection", ["perspective", "orthographic"])
@pytest.mark.parametrize("name", names())
def test_all_see_the_same(name: str, projection: Any) -> None:
    surface = sphere()
    view = view_of(surface.vertices, 64, 40, 20, projection=projection)
    # An off-centre principal point and non-square pixels, to expose convention errors.
    intrinsics = view.intrinsics * torch.tensor([[1.05], [0.9], [1.0]]) + torch.tensor([[0, 0, 3.3], [0, 0, 1.4], [0, 0, 0]])
    view = replace(view, intrinsics=intrinsics, width=72)
    expected = renderer("hard").render(surface, view, LIGHTS)
    seen = build(name).render(surface, view, LIGHTS)
    assert seen.image.shape == seen.normals.shape == (3, 64, 72)
    assert seen.depth.shape == seen.silhouette.shape == (64, 72)
    assert finite(seen)
    agrees = agreement(expected, seen)
    assert agrees.iou >= SETTINGS[name][1]
    assert agrees.depth <= SETTINGS[name][2]
    inside = expected.silhouette.bool() & (seen.silhouette > 0.99)
    assert (seen.normals * expected.normals).sum(0)[inside].mean() > 0.98
    assert (seen.image - expected.image).abs()[:, inside].mean() < 0.02
    nothing = seen.silhouette == 0
    assert nothing.any()
    assert (seen.image[:, nothing] > 0.999).all()
    assert not seen.depth[nothing].any()
    assert not seen.normals[:, nothing].any()
    if seen.face_id is not None:
        same = (seen.face_id == expected.face_id)[inside]
        assert same.float().mean() > 0.9
        assert (seen.face_id[nothing] == -1).all()


@pytest.mark.parametrize("name", names())
def test_textures_are_read_the_same_way_round(name: str) -> None:
    square = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    texture = torch.zeros(3, 16, 16)
    texture[0, :8], texture[1, :, :8], texture[2, 8:, 8:] = 1, 1, 1
    # Corners in a different order from the vertices.
    uv, faces_uv = torch.tensor([[1.0, 1], [1, 0], [0, 0], [0, 1]]), torch.tensor([[2, 1, 0], [2, 0, 3]])
    view = view_of(square, 32, 0, 0)
    image = build(name).render(Surface(square, faces, None, texture, uv, faces_uv), view, UNLIT).image
    for row, column, wanted in ((8, 8, (1, 1, 0)), (8, 24, (1, 0, 0)), (24, 8, (0, 1, 0)), (24, 24, (0, 0, 1))):
        torch.testing.assert_close(image[:, row, column], torch.tensor(wanted).float(), atol=0.03, rtol=0)


def through_the_camera(view: View) -> Tensor:
    return view.camera_from_world[2, :3]


def broken(kind: str) -> tuple[Surface, View, float | None]:
    """Return a defective surface, a view, and its expected coverage relative to the intact sphere's."""
    surface = sphere()
    view = view_of(surface.vertices, 40, 30, 15)
    vertices, faces = surface.vertices, surface.faces
    spoilt = vertices.clone()
    none = torch.zeros(0, 3, dtype=torch.int64)
    if kind in ("nan", "inf"):
        spoilt[7] = float(kind)
        return replace(surface, vertices=spoilt), view, None
    cases: dict[str, tuple[Surface, float | None]] = {
        "no finite vertex": (replace(surface, vertices=vertices * math.nan), 0.0),
        "no faces": (replace(surface, faces=none), 0.0),
        "nothing at all": (Surface(torch.zeros(0, 3), none), 0.0),
        "degenerate faces too": (replace(surface, faces=torch.cat([faces, torch.tensor([[0, 0, 1], [3, 3, 3]])])), 1.0),
        "only degenerate faces": (replace(surface, faces=torch.tensor([[0, 0, 1], [2, 2, 2]])), 0.0),
        "behind the camera": (replace(surface, vertices=vertices - 20 * through_the_camera(view)), 0.0),
    }
    return cases[kind][0], view, cases[kind][1]


BROKEN = (
    "nan", "inf", "no finite vertex", "no faces", "nothing at all", "degenerate faces too", "only degenerate faces",
    "behind the camera",
)  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("name", names())
def test_broken_meshes(name: str, kind: str) -> None:
    drawn = build(name)
    surface, view, share = broken(kind)
    vertices = surface.vertices.clone().requires_grad_()
    seen = drawn.render(replace(surface, vertices=vertices), view, LIGHTS)
    assert finite(seen)
    whole = drawn.render(sphere(), view, LIGHTS).silhouette.sum()
    if share is not None:
        assert float(seen.silhouette.detach().sum()) == pytest.approx(share * float(whole), rel=0.02, abs=1e-3)
    elif name != "volume":  # because a closed mesh becomes a sheet when it loses a face
        assert 0.8 < float((seen.silhouette.sum() / whole).detach()) <= 1
    if drawn.differentiable:
        (seen.image.sum() + seen.depth.sum() + seen.normals.sum() + seen.silhouette.sum()).backward()
        assert vertices.grad is not None
        assert torch.isfinite(vertices.grad).all()


@pytest.mark.parametrize("faces", [[[0, 1, 99]], [[0, -1, 2]]])
@pytest.mark.parametrize("name", names())
def test_faces_out_of_range(name: str, faces: list[list[int]]) -> None:
    surface = Surface(torch.eye(3), torch.tensor(faces))
    with pytest.raises(ValueError, match="but there are 3"):
        build(name).render(surface, view_of(torch.eye(3), 16, 0, 0))
    textured = Surface(torch.eye(3), torch.tensor([[0, 1, 2]]), None, torch.zeros(3, 2, 2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"uv 0\.\.2, but there are 2"):
        build(name).render(textured, view_of(torch.eye(3), 16, 0, 0))


@pytest.mark.parametrize("name", ["hard", "pyrender"])
def test_surfaces_around_the_camera_are_cut(name: str) -> None:
    surface = replace(sphere(), vertices=sphere().vertices * 5)
    view = replace(view_of(torch.eye(3), 32, 20, 10), near=0.05)
    seen = build(name).render(surface, view)
    assert (seen.silhouette == 1).all()
    assert (seen.depth >= 0.05).all()


def test_outputs_that_are_not_differentiable_are_detached() -> None:
    for name in WORKING:
        surface = sphere()
        given = replace(surface, vertices=surface.vertices.requires_grad_())
        seen = build(name).render(given, view_of(surface.vertices, 24, 30, 15), LIGHTS)
        for output in ("image", "depth", "normals", "silhouette"):
            assert getattr(seen, output).requires_grad == (output in build(name).differentiable), f"{output} of {name}"


def test_soft_edges_become_hard() -> None:
    surface = sphere()
    view = view_of(surface.vertices, 64, 30, 15)
    hard = renderer("hard").render(surface, view, LIGHTS)
    errors = []
    for sigma in (1e-3, 1e-4, 1e-5, 1e-7):
        soft = renderer("soft", sigma=sigma, gamma=min(sigma, 1e-4)).render(surface, view, LIGHTS)
        errors.append([float((getattr(soft, one) - getattr(hard, one)).abs().mean()) for one in ("silhouette", "image")])
    for before, after in pairwise(errors):
        assert after[0] < before[0]
        assert after[1] < before[1]
    assert max(errors[-1]) < 2e-3


# Exact gradients with respect to the vertices, which finite differences can check.
EXACT = [
    (name, output)
    for name in names()
    for output in sorted(renderer_type(name).differentiable - getattr(renderer_type(name), "approximate", frozenset()))
]
# All faces are included, so that none enters or leaves within a finite-difference step.
SMOOTH = {"sigma": 3e-3, "gamma": 1e-1, "faces_per_pixel": 18}


def relief(size: float) -> tuple[Surface, View]:
    """A bumpy square of 18 triangles; with size 3 it is larger than the image."""
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 4), torch.linspace(-1, 1, 4), indexing="ij")
    bumps = 0.15 * torch.rand(rows.shape, generator=torch.Generator().manual_seed(3))
    # Two corners fix the depth range, to which softness is relative; no edge passes along pixel centres.
    bumps[0, 0], bumps[-1, -1] = -0.1, 0.3
    vertices = torch.stack([size * columns + 0.037, size * rows + 0.053, bumps], -1).reshape(-1, 3)
    index = torch.arange(16).reshape(4, 4)
    first = torch.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:]], -1).reshape(-1, 3)
    second = torch.stack([index[:-1, :-1], index[1:, 1:], index[1:, :-1]], -1).reshape(-1, 3)
    view = view_of(torch.tensor([[-1.2, -1.2, 0], [1.2, 1.2, 0]]), 24, 0, 0)
    return Surface(vertices, torch.cat([first, second]), torch.full((16, 3), 0.6)), view


def problem(name: str, output: str) -> tuple[Surface, View, Tensor]:
    """Return a surface, a view, and the vertex directions (V, 3) in which the loss is differentiable, 0 if there is none."""
    if name == "volume":
        surface = sphere(1)
        assert surface.colors is not None
        points = surface.vertices.double()
        surface = replace(surface, vertices=points, colors=surface.colors.double())
        # Vertices that span the bounding box are fixed, because the grid cells would otherwise move too.
        outer = ((points <= points.amin(0) + 1e-4) | (points >= points.amax(0) - 1e-4)).any(1, keepdim=True)
        return surface, view_of(points, 24, 30, 15), torch.where(outer, 0.0, torch.ones(3).double())
    surface, view = relief(1.0 if output == "silhouette" else 3.0)
    inner = torch.zeros(16, 3)
    inner[[5, 6, 9, 10]] = 1.0
    if output == "silhouette":
        return surface, view, torch.ones(16, 3)
    if output == "normals" and name != "soft":
        # A z-buffer's normals are discontinuous between faces; moving vertices along rays keeps the faces in place.
        eye = -view.camera_from_world[:3, :3].T @ view.camera_from_world[:3, 3]
        return surface, view, inner * torch.nn.functional.normalize(surface.vertices - eye, dim=1)
    return surface, view, inner


@pytest.mark.parametrize(("name", "output"), EXACT)
def test_gradients_to_vertices(name: str, output: str) -> None:
    options = {"soft": {**SMOOTH, "silhouette_faces": 0}, "pytorch3d": SMOOTH, "volume": {"resolution": 20}}
    drawn = build(name, **options.get(name, {}))
    surface, view, moves = problem(name, output)
    start = drawn.render(surface, view)
    weights = torch.randn(getattr(start, output).shape, generator=torch.Generator().manual_seed(1))
    weights = torch.nn.functional.avg_pool2d(weights.reshape(1, -1, 24, 24), 9, 1, 4).reshape(weights.shape)
    if output != "silhouette":
        # Beyond the edge, depth and normals are 0 and not meaningful.
        weights = weights * (start.silhouette > 0.999)

    def loss(vertices: Tensor) -> Tensor:
        seen = getattr(drawn.render(replace(surface, vertices=vertices), view, LIGHTS), output)
        return (seen.double() * weights).sum()

    vertices = surface.vertices.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(vertices), vertices)
    generator, step = torch.Generator().manual_seed(2), 1e-3 if name != "volume" else 1e-4
    errors = []
    with torch.no_grad():
        for _ in range(4):
            along_rays = output == "normals" and name not in ("soft", "volume")
            move = moves * torch.randn(len(moves), 1 if along_rays else 3, generator=generator).to(moves)
            expected = (loss(surface.vertices + step * move) - loss(surface.vertices - step * move)) / (2 * step)
            scale = float((gradient * move).norm(dim=1).sum())
            errors.append(abs(float((gradient * move).sum() - expected)) / scale)
    assert max(errors) < 0.03, errors


@pytest.mark.parametrize("name", [name for name in names() if "image" in renderer_type(name).differentiable])
def test_gradients_to_colours(name: str) -> None:
    drawn, (surface, view) = build(name), relief(1.0 if name == "volume" else 3.0)
    assert surface.colors is not None
    weights = torch.randn(3, 24, 24, generator=torch.Generator().manual_seed(1))
    colors = surface.colors.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(
        (drawn.render(replace(surface, colors=colors), view, LIGHTS).image * weights).sum(), colors
    )
    move = torch.rand(16, 3, generator=torch.Generator().manual_seed(2))
    pictures = [
        drawn.render(replace(surface, colors=surface.colors + sign * 0.1 * move), view, LIGHTS).image for sign in (1, -1)
    ]
    expected = ((pictures[0] - pictures[1]).double() * weights).sum() / 0.2
    assert float((gradient * move).sum()) == pytest.approx(float(expected), rel=1e-3, abs=1e-2)


@pytest.mark.parametrize("name", ["neural_mesh", "soft", "volume"])
def test_silhouettes_pull_the_mesh_in_place(name: str) -> None:
    """The gradient reduces the loss, even that of `neural_mesh`, which is not a derivative."""
    surface = sphere(1)
    view = view_of(surface.vertices * 1.3, 32, 0, 0)
    drawn = build(
        name, **({"sigma": 1e-3} if name == "soft" else {"resolution": 16, "samples": 48} if name == "volume" else {})
    )
    target = drawn.render(replace(surface, vertices=surface.vertices + torch.tensor([0.2, 0.1, 0.0])), view).silhouette.detach()
    shift = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([shift], lr=0.02)
    losses = []
    for _ in range(25):
        seen = drawn.render(replace(surface, vertices=surface.vertices + shift), view).silhouette
        losses.append((seen - target).square().sum())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert float(losses[-1].detach()) < 0.3 * float(losses[0].detach())
    torch.testing.assert_close(shift.detach()[:2], torch.tensor([0.2, 0.1]), atol=0.06, rtol=0)


def test_unknown_names_and_options() -> None:
    with pytest.raises(UserError, match="did you mean 'soft'"):
        renderer("sfot")
    with pytest.raises(UserError, match="did you mean 'sigma'"):
        renderer("soft", sgima=1)
    with pytest.raises(UserError, match="sigma and gamma must be positive"):
        renderer("soft", sigma=-1.0)
    for name in names():
        cls = renderer_type(name)
        assert cls.name == name
        assert cls.reference
        assert isinstance(cls().options(), dict)


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace pytorch3d by a rasteriser with its documented interface and conventions."""

    def cameras(**given: Any) -> SimpleNamespace:
        assert given["in_ndc"]
        return SimpleNamespace(**given)

    class MeshRasterizer:
        def __init__(self, camera: SimpleNamespace, settings: SimpleNamespace) -> None:
            self.camera, self.settings = camera, settings

        def __call__(self, meshes: SimpleNamespace) -> SimpleNamespace:
            given, camera = self.settings, self.camera
            seen = meshes.verts[0] @ camera.R[0] + camera.T[0]
            divided = seen[:, :2] / seen[:, 2:] if given.perspective_correct else seen[:, :2]
            ndc = camera.focal_length[0] * divided + camera.principal_point[0]
            (height, width), half = given.image_size, min(given.image_size) / 2
            pixels = torch.stack([width / 2 - half * ndc[:, 0], height / 2 - half * ndc[:, 1], seen[:, 2]], 1)
            found = rasterize_soft(
                pixels, meshes.faces[0], height, width, faces_per_pixel=given.faces_per_pixel,
                blur_radius=math.sqrt(given.blur_radius) * half, perspective=given.perspective_correct,
            )  # fmt: skip
            empty = found.face_id < 0
            values = found.depth.masked_fill(empty, -1), found.barycentrics, (found.distance / half**2).masked_fill(empty, -1)
            return SimpleNamespace(
                pix_to_face=found.face_id[None], zbuf=values[0][None], bary_coords=values[1][None], dists=values[2][None]
            )

    def softmax_rgb_blend(colors: Tensor, fragments: Any, params: Any, znear: float, zfar: float) -> Tensor:
        names = ("pix_to_face", "zbuf", "bary_coords", "dists")
        found = blending.SoftFragments(*(getattr(fragments, name)[0] for name in names))
        half = min(found.face_id.shape[:2]) / 2
        found = found._replace(distance=found.distance * half**2)
        blend = blending.Blend(params.sigma, params.gamma, (znear, zfar))
        rgb = blending.softmax_blend(colors[0], found, blend, params.background_color)
        return torch.cat([rgb, blending.silhouette(found, params.sigma)[..., None]], -1)[None]

    modules: dict[str, dict[str, Any]] = {
        "pytorch3d": {},
        "pytorch3d.structures": {"Meshes": SimpleNamespace},
        "pytorch3d.renderer": {
            "PerspectiveCameras": cameras, "OrthographicCameras": cameras, "MeshRasterizer": MeshRasterizer,
            "RasterizationSettings": SimpleNamespace,
        },
        "pytorch3d.renderer.blending": {
            "softmax_rgb_blend": softmax_rgb_blend,
            "BlendParams": lambda sigma, gamma, color: SimpleNamespace(sigma=sigma, gamma=gamma, background_color=color),
        },
    }  # fmt: skip
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("projection", ["perspective", "orthographic"])
def test_pytorch3d_is_called_with_its_conventions(monkeypatch: pytest.MonkeyPatch, projection: Any) -> None:
    stand_in(monkeypatch)
    surface = sphere()
    view = replace(view_of(surface.vertices, 48, 40, 20, projection=projection), width=60)
    options = {"sigma": 1e-4, "gamma": 1e-3, "faces_per_pixel": 6}
    theirs = Pytorch3dRenderer(**options).render(surface, view, LIGHTS, (0.1, 0.2, 0.3))  # type: ignore[arg-type]
    ours = renderer("soft", silhouette_faces=0, **options).render(surface, view, LIGHTS, (0.1, 0.2, 0.3))
    for output in ("image", "depth", "normals", "silhouette"):
        torch.testing.assert_close(getattr(theirs, output), getattr(ours, output), atol=2e-3, rtol=1e-3)
    assert (theirs.silhouette > 0.5).float().mean() > 0.2


def test_without_pytorch3d_the_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pytorch3d", "pytorch3d.renderer", "pytorch3d.structures"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match="build it from source"):
        Pytorch3dRenderer().render(sphere(), view_of(sphere().vertices, 16, 0, 0))
