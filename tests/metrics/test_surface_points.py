import json
from pathlib import Path

import numpy as np
import pytest
import torch

from deep3dmap.metrics.surface_points import nearest_distances, surface_metrics, voxel_down_sample


def sorted_rows(points: np.ndarray) -> np.ndarray:
    return points[np.lexsort(points.T[::-1])]


def test_equals_the_official_metric(golden: Path) -> None:
    folder = golden / "neuralrecon" / "eval_mesh"
    settings, arrays = json.loads((folder / "manifest.json").read_text())["settings"], np.load(folder / "io.npz")
    predicted, truth = (torch.from_numpy(arrays[name]) for name in ("pred", "gt"))
    for name, points in (("pred", predicted), ("gt", truth)):
        down = voxel_down_sample(points, settings["down_sample"]).numpy()
        np.testing.assert_allclose(sorted_rows(down), arrays[f"{name}_down_sorted"], atol=1e-5)
    names = {"dist1": "accuracy", "dist2": "completeness", "prec": "precision", "recal": "recall", "fscore": "f_score"}
    for prefix, down_sample in (("metric_", settings["down_sample"]), ("metric_nodown_", 0.0)):
        found = surface_metrics(predicted, truth, settings["threshold"], down_sample)
        for theirs, ours in names.items():
            assert found[ours] == pytest.approx(float(arrays[prefix + theirs][0]), abs=1e-5)


def test_a_perfect_result_and_a_shifted_one() -> None:
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 10
    same = surface_metrics(points, points)
    assert (same["f_score"], same["accuracy"], same["chamfer"]) == (1, 0, 0)
    lattice = torch.cartesian_prod(*[torch.arange(5.0)] * 3)
    shifted = surface_metrics(lattice + torch.tensor([0.04, 0, 0]), lattice)
    assert shifted["f_score"] == 1
    assert shifted["chamfer"] == pytest.approx(0.04, abs=1e-6)
    assert surface_metrics(lattice + torch.tensor([0.06, 0, 0]), lattice)["f_score"] == 0


def test_half_a_result_has_full_precision_and_half_the_recall() -> None:
    lattice = torch.cartesian_prod(*[torch.arange(6.0)] * 3)
    found = surface_metrics(lattice[: len(lattice) // 2], lattice)
    assert (found["precision"], found["recall"]) == (1, 0.5)
    assert found["f_score"] == pytest.approx(2 / 3)


def test_nothing_scores_nothing_and_no_metric_is_nan() -> None:
    found = surface_metrics(torch.zeros(0, 3), torch.rand(5, 3))
    assert found == {"accuracy": 1, "completeness": 1, "chamfer": 1, "precision": 0, "recall": 0, "f_score": 0}


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="no points"):
        surface_metrics(torch.rand(5, 3), torch.zeros(0, 3))
    with pytest.raises(ValueError, match="NaN"):
        surface_metrics(torch.full((5, 3), torch.nan), torch.rand(5, 3))
    with pytest.raises(ValueError, match=r"\(N, 3\)"):
        surface_metrics(torch.rand(5, 2), torch.rand(5, 3))
    with pytest.raises(ValueError, match="positive"):
        voxel_down_sample(torch.rand(5, 3), 0)


def test_nearest_distances_equal_brute_force() -> None:
    one, other = torch.rand(40, 3), torch.rand(30, 3)
    torch.testing.assert_close(nearest_distances(one, other), torch.cdist(one.double(), other.double()).amin(1))


def test_down_sampling_averages_the_points_of_a_cell() -> None:
    points = torch.tensor([[0.0, 0, 0], [0.004, 0, 0], [1, 1, 1]])
    down = voxel_down_sample(points, 0.02)
    torch.testing.assert_close(down[down[:, 0].argsort()], torch.tensor([[0.002, 0, 0], [1, 1, 1]]))
