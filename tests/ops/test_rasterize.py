"""The rasteriser: native against reference on random problems, against the official z-buffer, and against closed forms."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from deep3dmap.ops.rasterize import _native_rasterize, interpolate, interpolate_at, rasterize, rasterize_camera


def random_soup(seed: int) -> tuple[torch.Tensor, torch.Tensor, int, int, bool]:
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(1, 40, 2))
    count = int(rng.integers(0, 30))
    vertices = rng.uniform(-0.3, 1.3, (max(3, count), 3)) * (width, height, 1) + (0, 0, 0.5)
    if seed % 3 == 0:
        vertices[:, :2] = np.round(vertices[:, :2] * 2) / 2  # corners and edges on pixel centres
    if seed % 5 == 0:
        vertices[0] = np.nan
    faces = rng.integers(0, len(vertices), (count, 3))
    return torch.tensor(vertices, dtype=torch.float32), torch.tensor(faces), height, width, bool(seed % 2)


@pytest.mark.parametrize("seed", range(120))
def test_native_equals_reference(seed: int) -> None:
    vertices, faces, height, width, perspective = random_soup(seed)
    cull = ("none", "back")[seed // 2 % 2]
    ours = rasterize(vertices, faces, height, width, perspective=perspective, cull=cull, backend="native")  # type: ignore[arg-type]
    theirs = rasterize(vertices, faces, height, width, perspective=perspective, cull=cull, backend="reference")  # type: ignore[arg-type]
    assert torch.equal(ours.face_id, theirs.face_id)
    torch.testing.assert_close(ours.depth, theirs.depth, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.barycentrics, theirs.barycentrics, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("seed", range(12))
def test_a_batch_is_drawn_as_its_meshes_are(seed: int, backend: str, device: str) -> None:
    vertices, faces, height, width, perspective = random_soup(seed)
    generator = torch.Generator().manual_seed(seed)
    moved = [vertices + torch.randn(vertices.shape, generator=generator) * 0.2 for _ in range(1 + seed % 4)]
    how = {"perspective": perspective, "cull": ("none", "back")[seed % 2]}
    batch = torch.stack(moved).to(device)
    together = rasterize(batch, faces.to(device), height, width, backend=backend, **how)  # type: ignore[arg-type]
    for index, one in enumerate(moved):
        alone = rasterize(one, faces, height, width, backend=backend, **how)  # type: ignore[arg-type]
        assert torch.equal(together.face_id[index].cpu(), alone.face_id)
        torch.testing.assert_close(together.depth[index].cpu(), alone.depth)
        torch.testing.assert_close(together.barycentrics[index].cpu(), alone.barycentrics)


@pytest.mark.parametrize("threads", [3, 4, 6])  # one, four and two bands of rows per image
def test_a_batch_on_many_threads(threads: int) -> None:
    vertices, faces, height, width, _ = random_soup(8)
    batch = torch.stack([vertices, vertices.flip(0), vertices.roll(1, 0)])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    found = rasterize(batch, faces, height, width, backend="native")
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(found, rasterize(batch, faces, height, width, backend="native")))
    assert (found.face_id >= 0).flatten(1).any(1).all()


def test_no_cracks_and_no_threads_dependence() -> None:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.linspace(-1, 65, 30), np.linspace(-1, 65, 30)), -1).reshape(-1, 2)
    inner = (grid > 0).all(1) & (grid < 64).all(1)
    grid[inner] += rng.uniform(-1, 1, (inner.sum(), 2))
    from scipy.spatial import Delaunay

    faces = torch.tensor(Delaunay(grid).simplices.astype(np.int64))
    vertices = torch.tensor(np.column_stack([grid, np.ones(len(grid))]), dtype=torch.float32)
    before = torch.get_num_threads()
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        results.append(rasterize(vertices, faces, 64, 64, backend="native"))
    torch.set_num_threads(before)
    assert (results[0].face_id >= 0).all()
    assert all(torch.equal(a, b) for a, b in zip(*results))


def test_seams_of_doubled_vertices_stay_closed() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        corners = torch.tensor([[-9.0, -9], [70, -9], [70, 70], [-9, 70]])
        middle = torch.tensor(rng.uniform(10, 50, (1, 2)), dtype=torch.float32)
        fan = torch.stack([torch.stack([corners[i], corners[(i + 1) % 4], middle[0]]) for i in range(4)]).reshape(-1, 2)
        order = torch.tensor(rng.permutation(12))  # the same corner has another index in each triangle
        vertices = torch.cat([fan[order], torch.ones(12, 1)], 1)
        seen = rasterize(vertices, order.argsort().reshape(4, 3), 64, 64)
        assert (seen.face_id >= 0).all()


def sphere_camera() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    sphere = trimesh.creation.icosphere(subdivisions=4)
    vertices = torch.tensor(np.asarray(sphere.vertices), dtype=torch.float32) + torch.tensor([0.0, 0.0, 3.0])
    intrinsics = torch.tensor([[100.0, 0, 64], [0, 100, 64], [0, 0, 1]])
    return vertices, torch.tensor(np.asarray(sphere.faces), dtype=torch.int64), intrinsics


def test_sphere_depth_and_culling() -> None:
    vertices, faces, intrinsics = sphere_camera()
    front = rasterize_camera(vertices, faces, intrinsics, 128, 128, cull="back")
    both = rasterize_camera(vertices, faces, intrinsics, 128, 128)
    assert torch.equal(front.depth, both.depth)
    assert front.depth[front.depth > 0].min() == pytest.approx(2.0, abs=2e-3)
    inside_out = rasterize_camera(vertices, faces.flip(1), intrinsics, 128, 128, cull="back")
    assert inside_out.depth[64, 64] == pytest.approx(4.0, abs=5e-3)
    positions = interpolate(both, faces, vertices)
    torch.testing.assert_close(positions[2], both.depth, atol=1e-5, rtol=1e-5)
    rows, columns = torch.meshgrid(torch.arange(128) + 0.5, torch.arange(128) + 0.5, indexing="ij")
    seen = both.depth > 0
    torch.testing.assert_close(positions[0][seen], ((columns - 64) / 100 * both.depth)[seen], atol=1e-4, rtol=0)
    torch.testing.assert_close(positions[1][seen], ((rows - 64) / 100 * both.depth)[seen], atol=1e-4, rtol=0)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_inside_a_box_the_near_plane_cuts(backend: str) -> None:
    box = trimesh.creation.box((4, 4, 4))
    vertices = torch.tensor(np.asarray(box.vertices), dtype=torch.float32)
    faces = torch.tensor(np.asarray(box.faces), dtype=torch.int64)
    intrinsics = torch.tensor([[8.0, 0, 16], [0, 8, 16], [0, 0, 1]])
    seen = rasterize_camera(vertices, faces, intrinsics, 32, 32, backend=backend)  # type: ignore[arg-type]
    rows, columns = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(32) + 0.5, indexing="ij")
    ray = torch.stack([(columns - 16) / 8, (rows - 16) / 8, torch.ones(32, 32)])
    torch.testing.assert_close(seen.depth, 2 / ray.abs().amax(0), atol=1e-4, rtol=1e-4)
    positions = interpolate(seen, faces, vertices)
    torch.testing.assert_close(positions, ray * seen.depth, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(seen.barycentrics.sum(-1), torch.ones(32, 32), atol=1e-4, rtol=0)


def test_interpolating_at_some_samples_gives_what_the_whole_picture_has_there() -> None:
    vertices, faces, height, width, perspective = random_soup(4)
    seen = rasterize(vertices, faces, height, width, perspective=perspective)
    at = (seen.face_id >= 0).flatten().nonzero()[::3, 0]
    assert len(at) > 10
    attributes = torch.randn(len(vertices), 5, generator=torch.Generator().manual_seed(0))
    everywhere = interpolate(seen, faces, attributes).flatten(1).T
    assert (seen.face_id < 0).any(), "where nothing is shown it is 0"
    for backend in ("native", "reference"):
        some = interpolate_at(seen.face_id.flatten()[at], seen.barycentrics.view(-1, 3)[at], faces, attributes, backend)  # type: ignore[arg-type]
        torch.testing.assert_close(some, everywhere[at], atol=1e-5, rtol=1e-5)
        every = interpolate_at(seen.face_id.flatten(), seen.barycentrics.view(-1, 3), faces, attributes, backend)  # type: ignore[arg-type]
        torch.testing.assert_close(every, everywhere, atol=1e-5, rtol=1e-5)
    for wrong in (len(faces), -2):
        with pytest.raises(ValueError, match="id of a face that is not there"):
            interpolate_at(torch.tensor([wrong]), torch.ones(1, 3), faces, attributes, "native")


def test_everything_behind_the_camera_is_empty() -> None:
    vertices, faces, intrinsics = sphere_camera()
    seen = rasterize_camera(vertices * torch.tensor([1.0, 1.0, -1.0]), faces, intrinsics, 16, 16)
    assert (seen.face_id == -1).all()
    assert (seen.depth == 0).all()


def test_official_z_buffer(golden: Path) -> None:
    with np.load(golden / "prnet" / "zbuffer" / "io.npz") as file:
        data = {name: file[name] for name in file.files}
    vertices = torch.tensor(data["vertices"], dtype=torch.float32)
    faces = torch.tensor(data["triangles"].astype(np.int64))
    if faces.shape[0] == 3 and faces.shape[1] != 3:
        faces = faces.T.contiguous()
    height, width = data["depth"].shape[:2]
    # The official code has integer pixel centres, and larger z is nearer.
    ours = vertices * torch.tensor([1.0, 1.0, -1.0]) + torch.tensor([0.5, 0.5, 0.0])
    seen = rasterize(ours, faces, height, width, perspective=False)
    interior = np.s_[2:-2, 2:-2]
    same = seen.face_id.numpy()[interior] == data["triangle_id"][interior]
    assert same.mean() > 0.99  # a pixel centre on an edge may be assigned to either triangle
    covered = same & (data["triangle_id"][interior] >= 0)
    np.testing.assert_allclose(-seen.depth.numpy()[interior][covered], data["depth"][interior][covered], atol=1e-3)


def test_opcheck() -> None:
    vertices, faces, height, width, _ = random_soup(7)
    torch.library.opcheck(_native_rasterize, (torch.stack([vertices, vertices.flip(0)]), faces, height, width, True, False))


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        np.float32, (6, 3), elements=st.floats(-1e6, 1e6, width=32) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0])
    ),
    arrays.arrays(np.int64, (4, 3), elements=st.integers(0, 5)),
    st.booleans(),
)
def test_any_triangles_give_finite_images(vertices: np.ndarray, faces: np.ndarray, perspective: bool) -> None:
    seen = rasterize(torch.tensor(vertices), torch.tensor(faces), 8, 9, perspective=perspective)
    assert torch.isfinite(seen.depth).all()
    assert torch.isfinite(seen.barycentrics).all()


def test_wrong_arguments_are_named() -> None:
    vertices, faces, intrinsics = sphere_camera()
    with pytest.raises(ValueError, match="but there are"):
        rasterize(vertices, faces + len(vertices), 4, 4)
    with pytest.raises(ValueError, match="vertices must be float32"):
        rasterize(vertices.double(), faces, 4, 4)
    with pytest.raises(ValueError, match="intrinsics must be"):
        rasterize_camera(vertices, faces, torch.eye(4), 4, 4)
    with pytest.raises(ValueError, match="near must be"):
        rasterize_camera(vertices, faces, intrinsics, 4, 4, near=0.0)
    with pytest.raises(ValueError, match="height and width"):
        rasterize_camera(vertices, faces, intrinsics, 0, 4)
