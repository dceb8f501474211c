"""Resized images: comparison with Pillow's filter, and closed forms for means and centre crops."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deep3dmap.data.formats.resizing import middle, resize
from deep3dmap.data.small_pictures import SquareCrop

PLANES = np.random.default_rng(0).random((3, 18, 30)).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(9, 15), (7, 11), (36, 60), (18, 5), (40, 12)])
def test_pictures_are_resized_as_pillow_does(height: int, width: int) -> None:
    resized = resize(PLANES, height, width)
    theirs = [Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR) for plane in PLANES]
    np.testing.assert_allclose(resized, np.stack([np.asarray(plane) for plane in theirs]), atol=2e-6)


def test_no_value_lies_beyond_those_given() -> None:
    depth = np.random.default_rng(1).uniform(0.9, 1.1, (1, 64, 64)).astype(np.float32)
    for side in (17, 32, 200):
        resized = resize(depth, side, side)
        assert resized.min() >= depth.min()
        assert resized.max() <= depth.max()
    even = np.full((1, 6, 6), 2.5, np.float32)
    np.testing.assert_array_equal(resize(even, 4, 9), np.full((1, 4, 9), 2.5))
    np.testing.assert_array_equal(resize(PLANES, 18, 30), PLANES)


def test_the_middle_leaves_as_much_on_both_sides() -> None:
    columns = np.broadcast_to(np.arange(30, dtype=np.float32), (1, 18, 30))
    np.testing.assert_array_equal(middle(columns, 10)[0, 0], np.arange(10, 20))
    np.testing.assert_array_equal(middle(PLANES, 18), PLANES[:, :, 6:24])


@pytest.mark.parametrize(("crop", "size", "side"), [(0, 0, 18), (12, 0, 12), (0, 6, 6), (12, 24, 24)])
def test_square_crops_are_the_resized_middle(crop: int, size: int, side: int) -> None:
    square = SquareCrop(crop, size)(PLANES, Path("photo.png"))
    np.testing.assert_array_equal(square, resize(middle(PLANES, crop or 18), side, side))
