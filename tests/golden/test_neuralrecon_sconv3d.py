"""One sparse convolution with its point branch against the official one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from deep3dmap.ops.sparse import Conv3d, SparseTensor, devoxelize, lookup, trilinear_map, unique_coordinates, voxelize_mean


def test_the_official_convolution_of_points(
    load_part: Callable[[str], Any], relative_error: Callable[[torch.Tensor, np.ndarray], float]
) -> None:
    part = load_part("neuralrecon/sconv3d")
    given, sizes = part.tensor("point_coords"), part.manifest["settings"]
    features = part.tensor("point_feats").clone().requires_grad_()
    positions, batch = given[:, :3] / sizes["vres"], given[:, 3].int()
    cells = torch.cat([batch[:, None], positions.floor().int()], 1)
    coordinates, rows = unique_coordinates(cells)
    assert torch.equal(lookup(coordinates, cells), rows)
    layer = Conv3d(sizes["inc"], sizes["outc"], sizes["ks"])
    layer.load_state_dict({"kernel": part.state["net.kernel"]})
    voxels = layer(SparseTensor(voxelize_mean(features, rows, len(coordinates)), coordinates))
    sampled = devoxelize(voxels.features, *trilinear_map(positions, batch, coordinates, 1))
    weight, bias = part.state["point_transforms.0.weight"], part.state["point_transforms.0.bias"]
    out = sampled + torch.nn.functional.linear(features, weight, bias)
    (out * part.tensor("w")).sum().backward()
    assert features.grad is not None
    assert relative_error(out, part.arrays["out"]) < 1e-4
    assert relative_error(features.grad, part.arrays["grad_point_feats"]) < 1e-4
