"""The surface and depth metrics against those of the published evaluation."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from deep3dmap.metrics.depth import depth_metrics
from deep3dmap.metrics.surface_points import surface_metrics, voxel_down_sample

SURFACE = {"dist1": "accuracy", "dist2": "completeness", "prec": "precision", "recal": "recall", "fscore": "f_score"}
DEPTH = {
    "AbsRel": "abs_rel", "AbsDiff": "abs_diff", "SqRel": "sq_rel", "RMSE": "rmse", "LogRMSE": "log_rmse",
    "r1": "delta_1.25", "r2": "delta_1.25^2", "r3": "delta_1.25^3", "complete": "complete",
}  # fmt: skip


@pytest.mark.parametrize(("prefix", "down_sample"), [("metric", 0.02), ("metric_nodown", 0.0)])
def test_surface_metrics_equal_the_reference(load_part: Callable[[str], Any], prefix: str, down_sample: float) -> None:
    part = load_part("neuralrecon/eval_mesh")
    ours = surface_metrics(part.tensor("pred"), part.tensor("gt"), part.manifest["settings"]["threshold"], down_sample)
    for theirs, name in SURFACE.items():
        assert ours[name] == pytest.approx(float(part.arrays[f"{prefix}_{theirs}"][0]), rel=1e-5), name


@pytest.mark.parametrize("name", ["pred", "gt"])
def test_down_sampled_points_equal_the_reference(load_part: Callable[[str], Any], name: str) -> None:
    part = load_part("neuralrecon/eval_mesh")
    ours = voxel_down_sample(part.tensor(name), part.manifest["settings"]["down_sample"]).numpy()
    theirs = part.arrays[f"{name}_down_sorted"]
    assert ours.shape == theirs.shape
    distance, index = cKDTree(ours).query(theirs)
    assert distance.max() < 1e-5
    assert len(np.unique(index)) == len(ours)


def test_depth_metrics_equal_the_reference(load_part: Callable[[str], Any]) -> None:
    part = load_part("neuralrecon/eval_depth")
    ours = depth_metrics(part.tensor("pred"), part.tensor("gt"), part.manifest["settings"]["max_depth"])
    for theirs, name in DEPTH.items():
        assert ours[name] == pytest.approx(float(part.arrays[f"metric_{theirs}"][0]), rel=1e-5), name
