"""The Frechet distance and its statistics against the code that GIRAFFE is evaluated with."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deep3dmap.metrics.feature_statistics import FeatureStatistics
from deep3dmap.metrics.generated_images import frechet_distance

Load = Callable[[str], Any]


@pytest.mark.parametrize(("case", "tolerance"), [("d4", 1e-6), ("d16", 1e-6), ("d64_rank_deficient", 2e-4)])
def test_frechet_distance(load_part: Load, case: str, tolerance: float) -> None:
    arrays = load_part("giraffe/frechet").arrays
    gaussians = []
    for number in (1, 2):
        statistics = FeatureStatistics()
        for batch in np.array_split(arrays[f"{case}_feat{number}"], 7):
            statistics.add(batch)
        gaussians.append(statistics.gaussian())
        if f"{case}_mu{number}" in arrays:
            np.testing.assert_allclose(gaussians[-1].mean, arrays[f"{case}_mu{number}"], rtol=1e-6, atol=1e-8)
            np.testing.assert_allclose(gaussians[-1].covariance, arrays[f"{case}_cov{number}"], rtol=1e-5, atol=1e-7)
    for name in ("fd", "fd_eig"):
        assert frechet_distance(*gaussians) == pytest.approx(float(arrays[f"{case}_{name}"][0]), rel=tolerance)
