"""Surface metrics between two point sets, usually the vertices of two meshes (Atlas and NeuralRecon protocol)."""

import torch
from torch import Tensor


def voxel_down_sample(points: Tensor, voxel_size: float) -> Tensor:
    """Return the mean of the points (N, 3) in each occupied voxel, (M, 3), in the same dtype and no particular order.

    The grid starts half a voxel below the smallest coordinates, as in Open3D. Raises ValueError for wrong shapes, non-finite
    points, and a voxel size that is not positive.
    """
    _check(points, "points")
    if voxel_size <= 0:
        raise ValueError(f"voxel_size must be positive, got {voxel_size}")
    if len(points) == 0:
        return points
    exact = points.double()
    cells = torch.floor((exact - (exact.amin(0) - 0.5 * voxel_size)) / voxel_size).long()
    extent = cells.amax(0) + 1
    keys = (cells[:, 0] * extent[1] + cells[:, 1]) * extent[2] + cells[:, 2]
    occupied, owner, count = torch.unique(keys, return_inverse=True, return_counts=True)
    sums = exact.new_zeros(len(occupied), 3).index_add_(0, owner, exact)
    return (sums / count[:, None]).to(points.dtype)


def nearest_distances(points: Tensor, targets: Tensor) -> Tensor:
    """Return the Euclidean distance (N,) float64 from every point (N, 3) to the nearest target (M, 3), M > 0."""
    from scipy.spatial import cKDTree

    # Large leaves and midpoint splits take a quarter of the time for points far from a flat surface, as in bad predictions.
    tree = cKDTree(targets.detach().cpu().double().numpy(), leafsize=64, compact_nodes=False, balanced_tree=False)
    distances, _ = tree.query(points.detach().cpu().double().numpy())
    return torch.from_numpy(distances).reshape(-1)


def surface_metrics(
    predicted: Tensor, truth: Tensor, threshold: float = 0.05, down_sample: float = 0.02, largest: float = 1.0
) -> dict[str, float]:
    """Compare predicted points (N, 3) with true ones (M, 3), in metres, without alignment.

    accuracy: mean distance from predicted points to the truth. completeness: mean distance from true points to the prediction.
    precision, recall: fraction of these distances below `threshold`. f_score: their harmonic mean. chamfer: mean of accuracy
    and completeness. Both sets are first reduced to one point per `down_sample` voxel (0 disables this).
    An empty prediction gets precision = recall = f_score = 0 and accuracy = completeness = `largest`, the distance assigned to
    a missing scene in TransformerFusion's protocol, so that a failure never scores better than a bad result.
    Raises ValueError if the truth is empty or a coordinate is not finite.
    """
    for points, name in ((predicted, "predicted"), (truth, "truth")):
        _check(points, name)
    if len(truth) == 0:
        raise ValueError("the true surface has no points")
    if len(predicted) == 0:
        return _summary(largest, largest, 0.0, 0.0)
    if down_sample > 0:
        predicted, truth = voxel_down_sample(predicted, down_sample), voxel_down_sample(truth, down_sample)
    to_truth, to_predicted = nearest_distances(predicted, truth), nearest_distances(truth, predicted)
    precision, recall = ((distances < threshold).double().mean().item() for distances in (to_truth, to_predicted))
    return _summary(to_truth.mean().item(), to_predicted.mean().item(), precision, recall)


def _summary(accuracy: float, completeness: float, precision: float, recall: float) -> dict[str, float]:
    f_score = 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
    return {
        "accuracy": accuracy,
        "completeness": completeness,
        "chamfer": (accuracy + completeness) / 2,
        "precision": precision,
        "recall": recall,
        "f_score": f_score,
    }


def _check(points: Tensor, name: str) -> None:
    if points.dim() != 2 or points.shape[1] != 3:
        raise ValueError(f"{name} must be (N, 3), got {tuple(points.shape)}")
    if not torch.isfinite(points).all():
        raise ValueError(f"{name} contains NaN or infinity")
