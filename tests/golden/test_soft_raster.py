"""The soft rasteriser and its blending against PyTorch3D's."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.ops.rasterize_soft import SoftFragments, rasterize_soft
from deep3dmap.render.blending import Blend, nearest_blend, silhouette, softmax_blend

SIGMA, BACKGROUND = 5e-3, (0.2, 0.4, 0.6)
BLEND = Blend(SIGMA, 1e-1, (1.0, 10.0))
Load = Callable[[str], Any]
Error = Callable[[Tensor, np.ndarray], float]


def _pixels(ndc: Tensor, height: int, width: int) -> Tensor:
    """PyTorch3D's NDC (x left, y up, the shorter side spans 2) to pixels, x right and y down."""
    scale = min(height, width) / 2
    return torch.stack([width / 2 - scale * ndc[:, 0], height / 2 - scale * ndc[:, 1], ndc[:, 2]], 1)


def _draw(part: Any, case: str, backend: str) -> tuple[Tensor, Tensor, SoftFragments]:
    height, width = part.arrays[f"{case}_zbuf"].shape[1:3]
    ndc = part.tensor("verts_ndc").clone().requires_grad_()
    colors = part.tensor("vert_colors").clone().requires_grad_()
    exact = case == "pc"
    fragments = rasterize_soft(
        _pixels(ndc, height, width), part.tensor("faces"), height, width, faces_per_pixel=4,
        blur_radius=math.sqrt(math.log(1 / 1e-4 - 1) * SIGMA) * min(height, width) / 2,
        perspective=exact, clip_barycentrics=exact, backend=backend,
    )  # fmt: skip
    return ndc, colors, fragments


def _blended(colors: Tensor, faces: Tensor, fragments: SoftFragments) -> Tensor:
    corners = colors[faces[fragments.face_id.clamp(min=0)]]
    texels = (fragments.barycentrics[..., None] * corners).sum(-2)
    rgb = softmax_blend(texels, fragments, BLEND, BACKGROUND)
    return torch.cat([rgb, silhouette(fragments, SIGMA)[..., None]], -1)


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("case", ["sq", "pc"])
def test_fragments_and_blending(load_part: Load, relative_error: Error, case: str, backend: str) -> None:
    part = load_part("multiview_face/soft_raster")
    ndc, colors, fragments = _draw(part, case, backend)
    there = part.tensor(f"{case}_pix_to_face")[0] >= 0
    assert torch.equal(fragments.face_id, part.tensor(f"{case}_pix_to_face")[0])
    scale = min(fragments.face_id.shape[:2]) / 2
    for ours, theirs in (
        (fragments.depth, "zbuf"),
        (fragments.barycentrics, "bary"),
        (fragments.distance / scale**2, "dists"),
    ):
        torch.testing.assert_close(ours[there], part.tensor(f"{case}_{theirs}")[0][there], atol=2e-5, rtol=1e-4)

    rgba = _blended(colors, part.tensor("faces"), fragments)
    assert relative_error(rgba[None], part.arrays[f"{case}_soft_rgba"]) < 1e-4
    assert relative_error(silhouette(fragments, SIGMA)[None], part.arrays[f"{case}_soft_silhouette"]) < 1e-4
    nearest = (
        fragments.barycentrics[..., 0, :, None] * colors[part.tensor("faces")[fragments.face_id[..., 0].clamp(min=0)]]
    ).sum(-2)
    hard = nearest_blend(nearest, fragments.face_id[..., 0], BACKGROUND)
    assert relative_error(hard[None], part.arrays[f"{case}_hard_rgba"][..., :3]) < 1e-4

    (rgba * part.tensor(f"{case}_R")[0]).sum().backward()
    assert ndc.grad is not None
    assert colors.grad is not None
    assert relative_error(ndc.grad, part.arrays[f"{case}_grad_verts_soft"]) < 1e-3
    assert relative_error(colors.grad, part.arrays[f"{case}_grad_colors_soft"]) < 1e-3


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("case", ["sq", "pc"])
def test_the_gradient_of_the_silhouette(load_part: Load, relative_error: Error, case: str, backend: str) -> None:
    part = load_part("multiview_face/soft_raster")
    ndc, _, fragments = _draw(part, case, backend)
    (silhouette(fragments, SIGMA) * part.tensor(f"{case}_Rs")[0]).sum().backward()
    assert ndc.grad is not None
    assert relative_error(ndc.grad, part.arrays[f"{case}_grad_verts_sil"]) < 1e-3
