"""The soft rasteriser: native against reference on random problems, gradients against finite differences, closed forms."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from soft_meshes import draw, soup, well_shaped
from torch import Tensor

from deep3dmap.ops.rasterize import rasterize
from deep3dmap.ops.rasterize_soft import MAX_FACES, _draw, _evaluate, look_at_faces, rasterize_soft

TRIANGLE = torch.tensor([[2.0, 2.0, 1.0], [14.0, 2.0, 2.0], [2.0, 14.0, 3.0]])
ONE = torch.tensor([[0, 1, 2]])


@pytest.mark.parametrize("seed", range(100))
def test_native_equals_reference(seed: int) -> None:
    vertices, faces, how = soup(seed)
    ours, theirs = draw(vertices, faces, "native", **how), draw(vertices, faces, "reference", **how)
    # Faces share corners, so many are equally near and may appear in either order.
    same = ours.face_id == theirs.face_id
    key = "depth" if how["order"] == "depth" else "distance"
    torch.testing.assert_close(getattr(ours, key), getattr(theirs, key), atol=2e-4, rtol=2e-4)
    assert torch.equal(ours.face_id < 0, theirs.face_id < 0)
    for name in ("depth", "barycentrics", "distance"):
        torch.testing.assert_close(getattr(ours, name)[same], getattr(theirs, name)[same], atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize(("perspective", "clip"), list(itertools.product([True, False], repeat=2)))
def test_gradients_are_the_finite_differences(perspective: bool, clip: bool) -> None:
    vertices, faces = well_shaped(0)
    chosen = rasterize_soft(vertices, faces, 16, 16, faces_per_pixel=3, blur_radius=1.5, backend="reference").face_id

    def look(moved: Tensor) -> tuple[Tensor, ...]:
        return look_at_faces(moved, faces, chosen, perspective=perspective, clip_barycentrics=clip, backend="reference")[1:]

    assert torch.autograd.gradcheck(look, vertices.requires_grad_(), atol=1e-4, rtol=1e-3, fast_mode=True)


@pytest.mark.parametrize(("seed", "clip"), list(itertools.product(range(4), [True, False])))
def test_native_gradients_are_the_references(seed: int, clip: bool) -> None:
    vertices, faces = well_shaped(seed)
    single = vertices.float()
    chosen = rasterize_soft(single, faces, 16, 16, faces_per_pixel=4, blur_radius=2.0).face_id
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(shape, generator=generator) for shape in ((16, 16, 4), (16, 16, 4, 3), (16, 16, 4))]
    found = []
    for start, backend in ((single, "native"), (vertices, "reference")):
        moved = start.clone().requires_grad_()
        seen = look_at_faces(moved, faces, chosen, clip_barycentrics=clip, backend=backend)  # type: ignore[arg-type]
        sum((one * weight.to(one)).sum() for one, weight in zip(seen[1:], weights)).backward()  # type: ignore[union-attr]
        found.append(moved.grad)
    assert found[0] is not None
    torch.testing.assert_close(found[0].double(), found[1], atol=2e-3, rtol=2e-3)


def test_the_operators_are_registered_as_torch_wants_them() -> None:
    vertices, faces = well_shaped(1)
    single = vertices.float()
    settings = (8, 8, 3, 1.0, True, True, 0, False)
    torch.library.opcheck(_draw, (single.clone().requires_grad_(), faces, *settings), atol=1e-4, rtol=1e-3)
    chosen = rasterize_soft(single, faces, 8, 8, faces_per_pixel=3, blur_radius=1.0).face_id
    torch.library.opcheck(_evaluate, (single.requires_grad_(), faces, chosen, True, True), atol=1e-4, rtol=1e-3)


def test_the_number_of_threads_changes_nothing() -> None:
    vertices, faces = well_shaped(2)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 4):
            torch.set_num_threads(threads)
            moved = vertices.float().requires_grad_()
            seen = rasterize_soft(moved, faces, 60, 50, faces_per_pixel=5, blur_radius=3.0, backend="native")
            (seen.depth.sum() + seen.distance.square().sum() + seen.barycentrics[..., 0].sum()).backward()
            found.append((*seen, moved.grad))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*found))


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_distances_are_to_the_nearest_edge(backend: Any) -> None:
    seen = rasterize_soft(TRIANGLE, ONE, 18, 18, faces_per_pixel=1, blur_radius=2.0, backend=backend)
    distance, drawn = seen.distance[..., 0], seen.face_id[..., 0] >= 0
    # Inside, one pixel from the upper edge; outside, left of the left edge, and beyond the upper left corner.
    assert distance[2, 6] == pytest.approx(-(0.5**2))
    assert distance[6, 0] == pytest.approx(1.5**2)
    assert distance[1, 1] == pytest.approx(2 * 0.5**2)
    # The long edge is x + y = 16.
    assert distance[8, 8] == pytest.approx((17 - 16) ** 2 / 2)
    # Faces reach no farther than the radius, and every pixel within it is included.
    rows, columns = torch.meshgrid(torch.arange(18) + 0.5, torch.arange(18) + 0.5, indexing="ij")
    beside_left = (columns < 2) & (rows > 2) & (rows < 14)
    assert torch.equal(drawn[beside_left], (2 - columns[beside_left]) < 2.0)


def test_without_blur_it_is_the_hard_rasteriser() -> None:
    vertices, faces = well_shaped(3)
    single = vertices.float()
    soft = rasterize_soft(single, faces, 16, 16, faces_per_pixel=1, blur_radius=0.0)
    hard = rasterize(single, faces, 16, 16)
    agree = soft.face_id[..., 0] == hard.face_id
    assert agree.float().mean() > 0.99
    torch.testing.assert_close(soft.depth[..., 0][agree], hard.depth[agree], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(soft.barycentrics[..., 0, :][agree], hard.barycentrics[agree], atol=1e-3, rtol=1e-3)


def test_more_faces_per_pixel_only_add_to_what_fewer_found() -> None:
    vertices, faces = well_shaped(4)
    few, many = (rasterize_soft(vertices.float(), faces, 16, 16, faces_per_pixel=k, blur_radius=2.0) for k in (2, 8))
    assert torch.equal(few.face_id, many.face_id[..., :2])
    there = many.face_id[..., 1:] >= 0
    assert (many.depth[..., 1:][there] >= many.depth[..., :-1][there] - 1e-6).all()


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize(
    "vertices",
    [
        TRIANGLE * torch.tensor([1.0, 1.0, -1.0]),
        TRIANGLE * torch.tensor([1.0, 1.0, 0.0]),
        TRIANGLE[[0, 0, 0]],
        torch.cat([TRIANGLE[:2], torch.full((1, 3), torch.nan)]),
        torch.cat([TRIANGLE[:2], torch.full((1, 3), torch.inf)]),
    ],
    ids=["behind the camera", "at the camera", "without area", "NaN", "infinite"],
)
def test_what_cannot_be_drawn_is_left_out(vertices: Tensor, backend: Any) -> None:
    seen = rasterize_soft(vertices.requires_grad_(), ONE, 16, 16, blur_radius=2.0, backend=backend)
    assert (seen.face_id == -1).all()
    (seen.depth.sum() + seen.distance.sum() + seen.barycentrics.sum()).backward()
    assert vertices.grad is not None
    assert not vertices.grad[torch.isfinite(vertices.detach())].any()


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_nothing_to_draw(backend: Any) -> None:
    seen = rasterize_soft(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64), 4, 5, backend=backend)
    assert (seen.face_id == -1).all()
    assert seen.barycentrics.shape == (4, 5, 8, 3)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"faces": torch.tensor([[0, 1, 3]])}, "faces index vertices 0..3, but there are 3"),
        ({"faces": torch.tensor([[0, 1, 2]]).int()}, "faces must be int64"),
        ({"vertices": torch.zeros(3, 2)}, "vertices must be floating"),
        ({"height": 0}, "height and width must be positive"),
        ({"faces_per_pixel": MAX_FACES + 1}, "faces_per_pixel must lie between 1 and 64"),
        ({"blur_radius": math.nan}, "blur_radius must be a finite, non-negative number of pixels"),
        ({"cull": "front"}, "cull must be none or back"),
        ({"vertices": TRIANGLE.double(), "backend": "native"}, "must be float32 in the native kernel"),
    ],
)
def test_mistakes_are_named(changed: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"vertices": TRIANGLE, "faces": ONE, "height": 8, "width": 8, **changed}
    with pytest.raises(ValueError, match=words):
        rasterize_soft(**given)


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.float32, (7, 3), elements=st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, 4.0, 1e-20, math.inf])),
    arrays.arrays(np.int64, (5, 3), elements=st.integers(0, 6)),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 0.5, 4.0]),
)
def test_fuzz(corners: Any, indices: Any, perspective: bool, clip: bool, radius: float) -> None:
    vertices = torch.from_numpy(corners).requires_grad_()
    how = {"perspective": perspective, "clip_barycentrics": clip, "faces_per_pixel": 3, "blur_radius": radius}
    seen = rasterize_soft(vertices, torch.from_numpy(indices), 9, 11, **how)  # type: ignore[arg-type]
    (seen.depth.sum() + seen.distance.sum() + seen.barycentrics.square().sum()).backward()
    for values in seen:
        assert not values.isnan().any()
    assert vertices.grad is not None
    assert not vertices.grad.isnan().any()
