"""The baselines of view synthesis: the nearest photograph and the mean colour."""

import numpy as np
import pytest

from deep3dmap.core import Camera, UserError
from deep3dmap.geometry.cameras import look_at
from deep3dmap.methods.mean_color.method import MeanColor, MeanColorConfig
from deep3dmap.methods.nearest_view.method import NearestView, NearestViewConfig

EYES = [(2.0, 0, 0.5), (0, 2.0, 0.5), (-2.0, 0, 0.5)]
POSES = np.stack([look_at(eye, (0.0, 0, 0)).numpy() for eye in EYES])
IMAGES = np.stack([np.full((3, 8, 10), level, np.float32) for level in (0.2, 0.4, 0.9)])
GIVEN = {"images": IMAGES, "intrinsics": np.tile(np.eye(3), (3, 1, 1)), "world_from_camera": POSES}


def camera(eye: tuple[float, float, float], width: int = 10, height: int = 8) -> Camera:
    return Camera(np.eye(3), look_at(eye, (0.0, 0, 0)).numpy(), width, height)


def test_the_nearest_photograph_is_shown_at_the_wanted_size() -> None:
    method = NearestView(NearestViewConfig())
    with pytest.raises(UserError, match="reconstruct a scene"):
        method.render([camera((1.0, 0, 0))])
    method.reconstruct(GIVEN)
    views = method.render([camera((1.9, 0.3, 0.4), 20, 16), camera((0.2, 1.8, 0.6), 20, 16), camera((-1.5, -1, 0.5), 20, 16)])
    assert views.images.shape == (3, 3, 16, 20)
    np.testing.assert_allclose(views.images.mean((1, 2, 3)), [0.2, 0.4, 0.9], atol=1e-5)


def test_of_two_photographs_from_one_place_the_one_in_the_direction_is_shown() -> None:
    away = look_at((2.0, 0, 0.5), (4.0, 0, 0)).numpy()
    method = NearestView(NearestViewConfig())
    method.reconstruct(GIVEN | {"world_from_camera": np.stack([away, POSES[0], POSES[2]])})
    np.testing.assert_allclose(method.render([camera((2.0, 0, 0.5))]).images.mean(), 0.4, atol=1e-6)


def test_the_mean_colour_fills_every_view() -> None:
    method = MeanColor(MeanColorConfig())
    with pytest.raises(UserError, match="reconstruct a scene"):
        method.render([camera((1.0, 0, 0))])
    method.reconstruct(GIVEN)
    np.testing.assert_allclose(method.render([camera((1.0, 0, 0))]).images, 0.5, atol=1e-6)
