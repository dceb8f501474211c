"""The normalised mean error, its yaw bins and its 3-D variants against the reference numbers."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deep3dmap.metrics import face


@pytest.fixture(scope="module")
def part(load_part: Callable[[str], Any]) -> Any:
    return load_part("prnet/nme")


def test_errors_of_each_face_equal_the_reference(part: Any) -> None:
    truth, predicted = part.tensor("gt").mT, part.tensor("pred").mT
    size = face.box_size(truth)
    np.testing.assert_allclose(size, part.arrays["bbox_size"], rtol=1e-6)
    errors = {
        "nme_2d": face.normalized_mean_error(predicted[..., :2], truth[..., :2], size),
        "nme_3d_raw": face.normalized_mean_error(predicted, truth, size),
        "nme_3d_zmean_aligned": face.normalized_mean_error(face.align_mean_depth(predicted, truth), truth, size),
    }
    for name, error in errors.items():
        np.testing.assert_allclose(error, part.arrays[name], rtol=1e-5, err_msg=name)


def test_bins_and_their_mean_equal_the_reference(part: Any) -> None:
    truth, predicted = part.tensor("gt").mT, part.tensor("pred").mT
    errors = 100 * face.normalized_mean_error(predicted[..., :2], truth[..., :2], face.box_size(truth))
    bins = [face.yaw_bin(math.radians(float(yaw))) for yaw in part.arrays["yaw_deg"]]
    means, mean = face.mean_of_bins(zip(bins, errors.tolist()))
    np.testing.assert_allclose([means[name] for name in face.YAW_BINS], part.arrays["nme2d_percent_by_yaw"], rtol=1e-6)
    assert mean == pytest.approx(float(part.arrays["nme2d_percent_mean_of_bins"]), rel=1e-6)
    assert [bins.count(name) for name in face.YAW_BINS] == part.arrays["bin_counts"].tolist()
    assert float(errors.mean()) == pytest.approx(float(part.arrays["nme2d_percent_mean_all"]), rel=1e-6)


def test_interocular_distance_equals_the_reference(part: Any) -> None:
    distance = face.interocular_distance(part.tensor("gt")[0].mT)
    assert distance == pytest.approx(float(part.arrays["interocular_0"]), rel=1e-6)
