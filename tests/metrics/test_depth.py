import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from deep3dmap.metrics.depth import NAMES, depth_metrics, mean_metrics

OFFICIAL = {
    "AbsRel": "abs_rel",
    "AbsDiff": "abs_diff",
    "SqRel": "sq_rel",
    "RMSE": "rmse",
    "LogRMSE": "log_rmse",
    "r1": "delta_1.25",
    "r2": "delta_1.25^2",
    "r3": "delta_1.25^3",
    "complete": "complete",
}


def test_equals_the_official_metric(golden: Path) -> None:
    folder = golden / "neuralrecon" / "eval_depth"
    settings, arrays = json.loads((folder / "manifest.json").read_text())["settings"], np.load(folder / "io.npz")
    found = depth_metrics(torch.from_numpy(arrays["pred"]), torch.from_numpy(arrays["gt"]), settings["max_depth"])
    for theirs, ours in OFFICIAL.items():
        assert found[ours] == pytest.approx(float(arrays[f"metric_{theirs}"][0]), abs=1e-5)


def test_a_twice_too_deep_prediction() -> None:
    truth = torch.full((2, 3), 2.0)
    found = depth_metrics(2 * truth, truth)
    assert found["abs_rel"] == 1
    assert found["abs_diff"] == found["sq_rel"] == found["rmse"] == 2
    assert found["log_rmse"] == pytest.approx(math.log(2))
    assert (found["delta_1.25"], found["delta_1.25^3"], found["complete"]) == (0, 0, 1)


def test_only_pixels_with_both_depths_count() -> None:
    predicted = torch.tensor([[1.0, 0.0, 5.0, 3.0]])
    truth = torch.tensor([[1.0, 2.0, 0.0, 12.0]])
    found = depth_metrics(predicted, truth)
    assert found["abs_diff"] == 0
    assert found["complete"] == 0.75


def test_an_empty_prediction_is_worse_than_any_other_and_never_nan() -> None:
    truth = torch.rand(4, 5) * 8 + 1
    empty = mean_metrics([depth_metrics(torch.zeros(4, 5), truth)])
    bad = mean_metrics([depth_metrics(truth * 0.3, truth)])
    assert set(empty) == set(NAMES)
    assert all(math.isfinite(value) for value in empty.values())
    assert all(empty[name] >= bad[name] for name in ("abs_rel", "abs_diff", "sq_rel", "rmse", "log_rmse"))
    assert empty["complete"] == empty["delta_1.25"] == 0


def test_frames_without_common_pixels_do_not_dilute_the_mean() -> None:
    truth = torch.full((2, 2), 2.0)
    frames = [depth_metrics(truth + 1, truth), depth_metrics(torch.zeros(2, 2), truth)]
    assert mean_metrics(frames)["abs_diff"] == 1
    assert mean_metrics(frames)["complete"] == 0.5


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="both be"):
        depth_metrics(torch.rand(2, 2), torch.rand(2, 3))
    with pytest.raises(ValueError, match="NaN"):
        depth_metrics(torch.full((2, 2), torch.nan), torch.rand(2, 2))
    with pytest.raises(ValueError, match="no frames"):
        mean_metrics([])
