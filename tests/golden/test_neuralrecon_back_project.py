"""Back-projection against the official code: mean feature, normalised depth, number of views and gradient."""

from collections.abc import Callable

import numpy as np
import torch

from deep3dmap.methods.neuralrecon.network import normalized_depth
from deep3dmap.ops.back_project import back_project

from .conftest import Part


def test_back_projection(load_part: Callable[[str], Part], relative_error: Callable[[torch.Tensor, np.ndarray], float]) -> None:
    part = load_part("neuralrecon/back_project")
    coordinates, weight = part.tensor("coords").long(), part.tensor("w")
    features = part.tensor("feats").requires_grad_()
    projection, origin = part.tensor("KRcam"), part.tensor("origin")
    volume = torch.zeros_like(weight)
    for element in coordinates[:, 0].unique():
        rows = (coordinates[:, 0] == element).nonzero()[:, 0]
        positions = coordinates[rows, 1:] * part.manifest["settings"]["voxel_size"] + origin[element]
        mean, depth, count = back_project(features[:, element], projection[:, element], positions)
        volume = volume.index_put((rows,), torch.cat([mean, normalized_depth(depth)[:, None]], 1))
        np.testing.assert_array_equal(count, part.arrays["count"][rows])
    (volume * weight).sum().backward()
    assert relative_error(volume, part.arrays["volume"]) < 1e-4
    assert relative_error(features.grad, part.arrays["grad_feats"]) < 1e-4
