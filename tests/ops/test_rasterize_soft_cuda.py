"""The soft rasteriser on CUDA: against the CPU and the reference on random problems, gradients, bitwise reproducibility."""

import math

import pytest
import torch
from soft_meshes import draw, soup, well_shaped
from torch import Tensor

from deep3dmap.ops.rasterize_soft import SoftFragments, look_at_faces, rasterize_soft

pytestmark = pytest.mark.gpu


def sphere(triangles: int, size: int) -> tuple[Tensor, Tensor]:
    """A sphere of about this many triangles that fills most of an image."""
    rows = max(2, round(math.sqrt(triangles / 4)))
    up, around = torch.meshgrid(torch.linspace(0.05, 3.09, rows + 1), torch.linspace(0, 6.2, 2 * rows + 1), indexing="ij")
    unit = torch.stack([up.sin() * around.cos(), up.sin() * around.sin(), up.cos()], -1).reshape(-1, 3)
    corner = torch.arange((rows + 1) * (2 * rows + 1)).reshape(rows + 1, 2 * rows + 1)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    faces = torch.cat([torch.stack([a, b, c], -1).reshape(-1, 3), torch.stack([b, d, c], -1).reshape(-1, 3)])
    return unit * torch.tensor([0.45 * size, 0.45 * size, 1.0]) + torch.tensor([size / 2, size / 2, 3.0]), faces


def assert_alike(ours: SoftFragments, theirs: SoftFragments, key: str, least: float) -> None:
    """Faces that are equally near may appear in either order; everything else must agree."""
    same = ours.face_id.cpu() == theirs.face_id
    assert same.float().mean() >= least
    torch.testing.assert_close(getattr(ours, key).cpu(), getattr(theirs, key), atol=2e-4, rtol=2e-4)
    assert torch.equal(ours.face_id.cpu() < 0, theirs.face_id < 0)
    for name in ("depth", "barycentrics", "distance"):
        torch.testing.assert_close(getattr(ours, name).cpu()[same], getattr(theirs, name)[same], atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("other", ["native", "reference"])
@pytest.mark.parametrize("seed", range(50))
def test_cuda_draws_what_the_cpu_does(seed: int, other: str) -> None:
    vertices, faces, how = soup(seed)
    there = draw(vertices.cuda(), faces.cuda(), "native", **how)
    assert_alike(there, draw(vertices, faces, other, **how), "depth" if how["order"] == "depth" else "distance", 0.0)


@pytest.mark.parametrize("count", [1, 8, 12, 40])
def test_a_whole_mesh_in_many_groups_and_tiles(count: int) -> None:
    vertices, faces = sphere(2000, 100)
    how = {"faces_per_pixel": count, "blur_radius": 1.5}
    there = rasterize_soft(vertices.cuda(), faces.cuda(), 100, 90, **how)  # type: ignore[arg-type]
    assert_alike(there, rasterize_soft(vertices, faces, 100, 90, **how), "depth", 0.95)  # type: ignore[arg-type]
    assert (there.face_id >= 0).any()


@pytest.mark.parametrize(("seed", "clip"), [(0, True), (1, False), (2, True), (3, False)])
def test_gradients_are_the_references(seed: int, clip: bool) -> None:
    vertices, faces = well_shaped(seed)
    chosen = rasterize_soft(vertices.float(), faces, 16, 16, faces_per_pixel=4, blur_radius=2.0).face_id
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(shape, generator=generator) for shape in ((16, 16, 4), (16, 16, 4, 3), (16, 16, 4))]
    ours, theirs = vertices.float().cuda().requires_grad_(), vertices.clone().requires_grad_()
    seen = look_at_faces(ours, faces.cuda(), chosen.cuda(), clip_barycentrics=clip, backend="native")
    sum((one * weight.cuda()).sum() for one, weight in zip(seen[1:], weights, strict=True)).backward()  # type: ignore[union-attr]
    seen = look_at_faces(theirs, faces, chosen, clip_barycentrics=clip, backend="reference")
    sum((one * weight).sum() for one, weight in zip(seen[1:], weights, strict=True)).backward()  # type: ignore[union-attr]
    assert ours.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(ours.grad.cpu().double(), theirs.grad, atol=2e-3, rtol=2e-3)


def test_gradients_repeat_bit_by_bit() -> None:
    vertices, faces = sphere(2000, 100)
    found = []
    for _ in range(3):
        moved = vertices.cuda().requires_grad_()
        seen = rasterize_soft(moved, faces.cuda(), 100, 100, blur_radius=2.0)
        (seen.depth.sin().sum() + seen.distance.cos().sum() + seen.barycentrics[..., 0].square().sum()).backward()
        found.append((*seen, moved.grad))
    for repeat in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found[0], repeat, strict=True))


def test_nothing_to_draw() -> None:
    none = torch.zeros(0, 3, dtype=torch.int64)
    seen = rasterize_soft(torch.zeros(0, 3).cuda(), none.cuda(), 4, 5)
    assert (seen.face_id == -1).all()
    moved = torch.zeros(3, 3).cuda().requires_grad_()
    rasterize_soft(moved, none.cuda(), 4, 5).depth.sum().backward()
    assert moved.grad is not None
    assert not moved.grad.any()
