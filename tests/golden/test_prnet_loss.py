"""The weighted position loss with PRNet's own masks, and the masks themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.geometry.uv_atlas import UVAtlas
from deep3dmap.methods.prnet.losses import position_loss


@pytest.fixture(scope="module")
def part(load_part: Callable[[str], Any]) -> Any:
    return load_part("prnet/loss")


@pytest.fixture(scope="module")
def atlas(shared_data: Path) -> UVAtlas:
    return UVAtlas.from_prnet_folder(shared_data / "data" / "prnet_uv")


def test_weight_is_the_product_of_both_masks(part: Any, atlas: UVAtlas) -> None:
    assert float(atlas.region_weight.mean()) == pytest.approx(float(part.arrays["weight01_mean"]), rel=1e-5)
    np.testing.assert_allclose(atlas.region_weight[::4, ::4], part.arrays["weight01_sub4"], atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "reference"), [("l2", "weighted_l2_mean"), ("l1", "weighted_l1_mean"), ("norm", "weighted_l2norm_mean")]
)
def test_loss_equals_the_reference(part: Any, atlas: UVAtlas, kind: str, reference: str) -> None:
    generator = np.random.default_rng(int(part.arrays["loss_seed"]))
    predicted, target = (torch.from_numpy(generator.random((2, 3, 256, 256), np.float32)) for _ in range(2))
    loss = position_loss(predicted, target, torch.from_numpy(atlas.region_weight), kind)
    assert float(loss) == pytest.approx(float(part.arrays[reference]), rel=1e-5)
