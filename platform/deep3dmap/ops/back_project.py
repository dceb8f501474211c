"""Lifting image features into 3D: the mean of what the views that see a point have there (NeuralRecon, section 3.1)."""

from torch import Tensor

from deep3dmap.ops import back_project_reference
from deep3dmap.ops._backend import Backend


def back_project(
    features: Tensor, projection: Tensor, positions: Tensor, backend: Backend = "auto"
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean feature (N, C), mean depth (N,) and the number of views (N,) int32 that see each position.

    features: (V, C, H, W) float32. projection: (V, 3, 4) or (V, 4, 4), pixel from world, where integers are the centres of
    the feature map's pixels. positions: (N, 3) world.
    A view sees a position in front of it (z > 0) whose pixel lies within [0, W - 1] x [0, H - 1]; features are sampled
    bilinearly there. What no view sees has zeros. Differentiable in features.
    Raises ValueError for wrong shapes or types.
    """
    _check(features, projection, positions)
    return back_project_reference.back_project(features, projection, positions)


def _check(features: Tensor, projection: Tensor, positions: Tensor) -> None:
    if features.dim() != 4 or not features.is_floating_point():
        raise ValueError(f"features must be floating (V, C, H, W), got {features.dtype} {tuple(features.shape)}")
    if projection.dim() != 3 or projection.shape[0] != len(features) or tuple(projection.shape[1:]) not in ((3, 4), (4, 4)):
        raise ValueError(f"projection must be ({len(features)}, 3 or 4, 4), got {tuple(projection.shape)}")
    if positions.dim() != 2 or positions.shape[1] != 3:
        raise ValueError(f"positions must be (N, 3), got {tuple(positions.shape)}")
