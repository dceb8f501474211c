"""Overlap of consecutive views in closed form, and images cached in memory."""

import numpy as np
import pytest

from deep3dmap.data.scan_checks import mean_overlap
from deep3dmap.data.small_pictures import KeptImages

INTRINSICS = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])


def moved(*places: tuple[float, float, float], turn: float = 0.0) -> np.ndarray:
    poses = np.tile(np.eye(4), (len(places), 1, 1))
    poses[:, :3, 3] = places
    for index in range(len(places)):
        sine, cosine = np.sin(index * turn), np.cos(index * turn)
        poses[index, :3, :3] = [[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]
    return poses


def overlap(poses: np.ndarray, *depths: float) -> float:
    return mean_overlap(np.repeat(INTRINSICS[None], len(poses), 0), poses, np.array(depths))


def test_views_share_all_or_nothing() -> None:
    here = (0.0, 0.0, 0.0)
    assert overlap(moved(here, here), 1.0, 3.0) == 1
    assert overlap(moved(here, here, turn=np.pi), 1.0, 3.0) == 0
    assert overlap(moved(here, (0.0, 0.0, 5.0)), 1.0, 3.0) == 0, "the next camera stands beyond what is seen"
    assert overlap(moved(here, (0.0, 0.0, -5.0)), 1.0, 3.0) == 1, "it steps back"


@pytest.mark.parametrize(("aside", "columns"), [(0.15, 4), (0.25, 4), (0.5, 3), (0.9, 1), (1.5, 0)])
def test_a_step_aside_hides_the_columns_it_passes(aside: float, columns: int) -> None:
    """At depth 1, an image is one metre wide, with columns of points at 0.05, 0.275, 0.5, 0.725 and 0.95 of it."""
    expected = sum(place * 1.0 - aside >= 0 for place in (0.05, 0.275, 0.5, 0.725, 0.95))
    assert expected == columns
    assert overlap(moved((0.0, 0.0, 0.0), (aside, 0.0, 0.0)), 1.0) == pytest.approx(columns / 5)


def test_the_overlap_is_the_mean_over_views_and_depths() -> None:
    steps = moved((0.0, 0.0, 0.0), (0.25, 0.0, 0.0), (0.25, 0.0, 0.0))
    assert overlap(steps, 1.0) == pytest.approx((0.8 + 1) / 2)
    # At depth 4, the image is four metres wide, and a step of 0.25 passes only the first column.
    assert overlap(steps[:2], 1.0, 4.0) == pytest.approx((0.8 + 0.8) / 2)


def test_kept_pictures_are_those_that_are_read() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.random((4, 3, 5, 6)).astype(np.float32)
    read: list[int] = []

    def load(index: int) -> np.ndarray:
        read.append(index)
        return pictures[index]

    kept = KeptImages(load, 2)
    first = [kept[index] for index in (3, 1, 0, 3, 1, 0)]
    assert read == [3, 1, 0, 0], "two stay, the third is read each time"
    for once, again in zip(first[:3], first[3:]):
        np.testing.assert_array_equal(once, again)
        assert once.dtype == np.float32
    np.testing.assert_array_equal(np.round(first[0] * 255), np.round(pictures[3] * 255))
    assert np.abs(first[0] - pictures[3]).max() <= 0.5 / 255 + 1e-6
    first[0][:] = 0
    np.testing.assert_array_equal(kept[3], first[3])
