"""The Neural 3D Mesh Renderer's rasteriser: native against reference, the approximate gradient, and the exact one of depth."""

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.ops.neural_mesh import depth_of_faces, find_faces, follow_edges, render_neural_mesh
from deep3dmap.ops.neural_mesh_paint import cubes_from_corners, paint_cubes, paint_vertices

NUMBERS = {
    "outside": (
        [[0.8, 0.8, 1.0], [0.0, -0.5, 1.0], [0.2, -0.4, 1.0]], (25, 35), 1.0,
        [[1.6725862, -0.26021874, 0], [1.41986704, -1.64284933, 0], [0, 0, 0]],
    ),
    "inside": (
        [[0.8, 0.8, 1.0], [-0.5, -0.8, 1.0], [0.8, -0.8, 1.0]], (40, 50), 0.0,
        [[0.98646867, 1.04628897, 0], [-1.03415668, -0.10403691, 0], [3.00094461, -1.55173182, 0]],
    ),
}  # fmt: skip


def pixels(ndc: Tensor, size: int) -> Tensor:
    """Convert the renderer's coordinates, x right and y up in [-1, 1], to pixels."""
    return torch.stack([(1 + ndc[:, 0]) * size / 2, (1 - ndc[:, 1]) * size / 2, ndc[:, 2]], 1)


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("case", list(NUMBERS))
def test_published_gradients(case: str, backend: str) -> None:
    """The values of hiroharu-kato/neural_renderer, tests/test_rasterize_silhouettes.py, with its tolerance."""
    corners, pixel, wanted, expected = NUMBERS[case]
    ndc = torch.tensor(corners, requires_grad=True)
    faces = torch.tensor([[0, 1, 2]])
    drawn = render_neural_mesh(pixels(ndc, 64), faces, 64, 64, anti_aliasing=False, epsilon=1e-4, backend=backend)  # type: ignore[arg-type]
    (drawn.silhouette[pixel] - wanted).abs().backward()
    assert ndc.grad is not None
    torch.testing.assert_close(ndc.grad, torch.tensor(expected), rtol=1e-3, atol=1e-6)


def random_problem(seed: int) -> tuple[Tensor, Tensor, int, int, bool]:
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(1, 24, 2))
    count = int(rng.integers(0, 14))
    low_z = -0.4 if seed % 4 == 1 else 0.4  # some corners behind the camera
    vertices = rng.uniform(-0.3, 1.3, (max(3, count), 3)) * (width, height, 1)
    vertices[:, 2] = rng.uniform(low_z, 1.6, len(vertices))
    if seed % 3 == 0:
        vertices[:, :2] = np.round(vertices[:, :2] * 2) / 2  # corners and edges on pixel centres
    if seed % 5 == 0:
        vertices[0, seed % 3] = (np.nan, np.inf)[seed % 2]
    faces = rng.integers(0, len(vertices), (count, 3))  # including repeated corners
    if seed % 7 == 0:
        vertices[:, 1] = vertices[0, 1]
    return torch.tensor(vertices, dtype=torch.float32), torch.tensor(faces), height, width, bool(seed % 2)


@pytest.mark.parametrize("seed", range(200))
def test_native_equals_reference(seed: int) -> None:
    vertices, faces, height, width, perspective = random_problem(seed)
    generator = torch.Generator().manual_seed(seed)
    image, cotangent = (torch.randn(1 + seed % 4, height, width, generator=generator) for _ in range(2))
    cotangent[torch.rand(cotangent.shape, generator=generator) < 0.3] = 0
    results = []
    for backend in ("native", "reference"):
        given = vertices.clone().requires_grad_()
        seen = find_faces(
            given, faces, height, width, near=0.5, far=1.5, perspective=perspective, backend=backend  # type: ignore[arg-type]
        )  # fmt: skip
        shown = follow_edges(image, given, faces, seen.face_id, backend=backend)  # type: ignore[arg-type]
        assert torch.equal(shown, image)
        (edges,) = torch.autograd.grad((shown * cotangent).sum(), given)
        depth = depth_of_faces(given, faces, seen, perspective=perspective, backend=backend)  # type: ignore[arg-type]
        (slide,) = torch.autograd.grad((depth * cotangent[0]).sum(), given)
        results.append((seen, edges, depth, slide))
    ours, theirs = results
    assert torch.equal(ours[0].face_id, theirs[0].face_id)
    torch.testing.assert_close(ours[0].barycentrics, theirs[0].barycentrics, atol=1e-5, rtol=1e-5)
    for one, other in zip((ours[0].depth, *ours[1:]), (theirs[0].depth, *theirs[1:])):
        assert torch.isfinite(one).all()
        scale = float(other.detach().abs().max().clamp(min=1))
        torch.testing.assert_close(one, other, atol=1e-4 * scale, rtol=1e-4)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("seed", [1, 2, 4, 6, 8, 13])
def test_a_batch_has_the_depth_and_gradients_of_its_meshes(seed: int, backend: str, device: str) -> None:
    vertices, faces, height, width, perspective = random_problem(seed)
    how = {"perspective": perspective, "backend": backend}
    generator = torch.Generator().manual_seed(seed)
    batch = vertices + torch.randn(3, *vertices.shape, generator=generator) * torch.tensor([2.0, 2.0, 0.05])
    cotangent = torch.randn(3, height, width, generator=generator)

    def depth_and_gradient(meshes: Tensor, weight: Tensor) -> list[Tensor]:
        given = meshes.to(device).requires_grad_()
        seen = find_faces(given, faces.to(device), height, width, near=0.5, far=1.5, **how)  # type: ignore[arg-type]
        depth = depth_of_faces(given, faces.to(device), seen, **how)  # type: ignore[arg-type]
        (gradient,) = torch.autograd.grad((depth * weight.to(device)).sum(), given)
        return [seen.face_id, seen.barycentrics, depth.detach(), gradient]

    together = depth_and_gradient(batch, cotangent)
    each = [depth_and_gradient(mesh, weight) for mesh, weight in zip(batch, cotangent)]
    for found, expected in zip(together, zip(*each), strict=True):
        torch.testing.assert_close(found, torch.stack(expected))
    assert (together[0] >= 0).any()


def test_the_random_problems_hold_what_they_should() -> None:
    seen = [find_faces(*random_problem(seed)[:4], near=0.5, far=1.5).face_id for seed in range(200)]
    assert sum(bool((face_id >= 0).any()) for face_id in seen) > 80
    assert sum(len(random_problem(seed)[1]) == 0 for seed in range(200)) > 5


def scene() -> tuple[Tensor, Tensor]:
    corners = torch.tensor([[4.0, 25, 1.2], [26, 22, 0.9], [14, 3, 1.5], [2.3, 8.1, 0.7], [20.2, 28.7, 2.0], [29, 6.5, 1.1]])
    return corners, torch.tensor([[0, 1, 2], [3, 4, 5]])


def test_depth_gradient_is_that_of_the_formula() -> None:
    vertices, faces = scene()
    for perspective in (True, False):
        given = vertices.clone().requires_grad_()
        depth = render_neural_mesh(given, faces, 32, 32, anti_aliasing=False, perspective=perspective).depth
        weight = torch.linspace(0, 1, 1024).reshape(32, 32)
        (gradient,) = torch.autograd.grad((depth * weight).sum(), given)
        seen = find_faces(vertices, torch.cat([faces, faces.flip(1)]), 32, 32, perspective=perspective)
        twice = torch.cat([faces, faces.flip(1)])
        for vertex, axis in ((0, 0), (1, 1), (2, 2), (3, 0), (4, 1), (5, 2)):
            step = torch.zeros(6, 3, dtype=torch.float64)
            step[vertex, axis] = 1e-5
            up, down = (
                depth_of_faces(vertices.double() + sign * step, twice, seen, perspective=perspective, backend="reference")
                for sign in (1, -1)
            )
            expected = ((up - down) * weight).sum() / 2e-5
            torch.testing.assert_close(gradient[vertex, axis].double(), expected, rtol=1e-3, atol=1e-3)


def test_faces_are_seen_as_the_conventions_say() -> None:
    near, far = [[2.0, 14, 1], [14, 14, 1], [8, 2, 1]], [[2.0, 14, 3], [14, 14, 3], [8, 2, 3]]
    vertices = torch.tensor(near + far)
    both = torch.tensor([[3, 4, 5], [0, 1, 2]])
    seen = find_faces(vertices, both, 16, 16)
    assert set(seen.face_id.unique().tolist()) == {-1, 1}
    assert set(find_faces(vertices, both, 16, 16, near=2).face_id.unique().tolist()) == {-1, 0}
    assert (find_faces(vertices, both, 16, 16, near=1, far=3).face_id == -1).all(), "depths equal to near and far are not drawn"
    assert (find_faces(vertices, both.flip(1), 16, 16).face_id == -1).all(), "clockwise faces are backs"
    front = render_neural_mesh(vertices, both, 16, 16)
    back = render_neural_mesh(vertices, both.flip(1), 16, 16)
    assert torch.equal(front.depth, back.depth)
    assert torch.equal(front.silhouette, back.silhouette)
    assert (render_neural_mesh(vertices, both.flip(1), 16, 16, fill_back=False).silhouette == 0).all()
    assert front.depth[0, 0] == 100


def test_edges_on_pixel_centres_are_inside() -> None:
    vertices = torch.tensor([[2.5, 6.5, 1], [6.5, 6.5, 1], [2.5, 2.5, 1]])
    seen = find_faces(vertices, torch.tensor([[0, 1, 2]]), 8, 8)
    assert int((seen.face_id == 0).sum()) == 15


def test_nothing_to_draw() -> None:
    given = torch.zeros(3, 3, requires_grad=True)
    drawn = render_neural_mesh(given, torch.zeros(0, 3, dtype=torch.int64), 4, 6, background=(0.5, 0.25, 1.0))
    assert drawn.image.shape == (3, 4, 6)
    assert (drawn.image[1] == 0.25).all()
    (drawn.image.sum() + drawn.silhouette.sum() + drawn.depth.sum()).backward()
    assert given.grad is not None
    assert (given.grad == 0).all()


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    vertices = torch.tensor(rng.uniform(0, 48, (300, 3)) * (1, 1, 0.02) + (0, 0, 0.5), dtype=torch.float32)
    faces = torch.tensor(rng.integers(0, 300, (500, 3)))
    before = torch.get_num_threads()
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        given = vertices.clone().requires_grad_()
        drawn = render_neural_mesh(given, faces, 48, 48, paint=paint_vertices(vertices / 48))
        (drawn.image.square().sum() + drawn.depth.sin().sum()).backward()
        results.append((drawn.image, given.grad))
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results))  # type: ignore[arg-type]


def test_cubes_made_of_corner_colours_interpolate_like_the_corners() -> None:
    vertices, faces = scene()
    colors = torch.rand(6, 3, generator=torch.Generator().manual_seed(0))
    cubes = cubes_from_corners(colors[faces])
    for order in (faces, faces.flip(1)):
        by_vertex = render_neural_mesh(vertices, order, 32, 32, paint=paint_vertices(colors)).image
        mine = cubes if order is faces else cubes_from_corners(colors[order])
        by_cube = render_neural_mesh(vertices, order, 32, 32, paint=paint_cubes(mine, epsilon=1e-6)).image
        torch.testing.assert_close(by_cube, by_vertex, atol=1e-4, rtol=1e-4)


def test_colours_get_their_exact_gradient() -> None:
    vertices, faces = scene()
    colors = torch.rand(2, 3, 3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    target = torch.rand(3, 16, 16, dtype=torch.float64)

    def loss(cubes: Tensor) -> Tensor:
        drawn = render_neural_mesh(vertices.double() / 2, faces, 16, 16, paint=paint_cubes(cubes), backend="reference")
        return (drawn.image - target).square().sum()

    torch.autograd.gradcheck(loss, (colors.requires_grad_(),), fast_mode=True)


def test_a_gradient_only_where_it_lowers_the_loss() -> None:
    vertices, faces = scene()
    given = vertices.clone().requires_grad_()
    silhouette = render_neural_mesh(given, faces[:1], 32, 32, anti_aliasing=False).silhouette
    outside = (silhouette == 0).nonzero()[0]
    (gradient,) = torch.autograd.grad(silhouette[tuple(outside)], given)
    assert (gradient == 0).all(), "an empty pixel cannot get emptier"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"faces": torch.tensor([[0, 1, 6]])}, "0..6"),
        ({"vertices": torch.zeros(3, 2)}, r"vertices must be floating \(V, 3\)"),
        ({"height": 0}, "positive"),
        ({"near": 2.0, "far": 1.0}, "near must be less than far"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"paint": paint_cubes(torch.zeros(5, 2, 2, 2, 3))}, "5 cubes"),
    ],
)
def test_wrong_arguments(change: dict[str, object], message: str) -> None:
    vertices, faces = scene()
    arguments: dict[str, object] = {"vertices": vertices, "faces": faces, "height": 8, "width": 8} | change
    with pytest.raises(ValueError, match=message):
        render_neural_mesh(**arguments)  # type: ignore[arg-type]


def test_cubes_have_equal_sides() -> None:
    with pytest.raises(ValueError, match="cubes must be"):
        paint_cubes(torch.zeros(1, 2, 2, 3, 3))
