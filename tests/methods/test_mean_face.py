"""The mean face: exactly the mean, placed by the box only."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deep3dmap.core import UserError
from deep3dmap.geometry.face_crop import crop_from_detector_box, positions_to_crop
from deep3dmap.methods.mean_face.method import MeanFace, MeanFaceConfig

Loop = Callable[..., Any]


def trained(data: Any, make_loop: Loop) -> MeanFace:
    method = MeanFace(MeanFaceConfig(resolution=64))
    assert len(list(method.train_steps(make_loop(data)))) == 1
    return method


def test_it_is_the_mean_of_the_training_maps(faces: Any, make_loop: Loop) -> None:
    mean = np.mean([face["position_map"] for face in faces.faces], 0) / 64
    np.testing.assert_allclose(trained(faces, make_loop).mean_map, mean, atol=1e-6)


def test_crops_of_any_size_count_alike(faces: Any, make_loop: Loop) -> None:
    face = faces[0]
    larger = {"crop": np.zeros((3, 128, 128), np.float32), "position_map": 2 * face["position_map"]}
    np.testing.assert_allclose(trained([face, larger], make_loop).mean_map, face["position_map"] / 64, atol=1e-6)


def test_the_mean_of_one_face_is_that_face_again(faces: Any, make_loop: Loop) -> None:
    face = faces[3]
    reconstruction = trained([face], make_loop).reconstruct({"image": face["image"], "box": face["box"]})
    back = positions_to_crop(reconstruction.position_map, face["crop_from_image"])
    np.testing.assert_allclose(back, face["position_map"], atol=1e-3)
    assert (reconstruction.frame, reconstruction.unit) == ("image", "pixel")


def test_it_does_not_look_at_the_image_except_for_colours(faces: Any, make_loop: Loop) -> None:
    method, face = trained(faces, make_loop), faces[0]
    black = np.zeros_like(face["image"])
    one, other = (method.reconstruct({"image": image, "box": face["box"]}) for image in (face["image"], black))
    np.testing.assert_array_equal(one.position_map, other.position_map)
    assert one.mesh.colors.max() > 0
    assert other.mesh.colors.max() == 0


def test_it_moves_with_the_box(faces: Any, make_loop: Loop) -> None:
    method, face = trained(faces, make_loop), faces[0]
    here = method.reconstruct({"image": face["image"], "box": face["box"]})
    there = method.reconstruct({"image": face["image"], "box": face["box"] + np.float32([5, -3, 5, -3])})
    np.testing.assert_allclose(there.landmarks - here.landmarks, np.tile([5, -3, 0], (68, 1)), atol=1e-3)


def test_it_is_kept_in_the_state(faces: Any, make_loop: Loop) -> None:
    method, fresh = trained(faces, make_loop), MeanFace(MeanFaceConfig(resolution=64))
    fresh.load_state_dict(method.state_dict())
    np.testing.assert_array_equal(fresh.mean_map, method.mean_map)


def test_before_training_there_is_nothing_to_say(faces: Any) -> None:
    method = MeanFace(MeanFaceConfig(resolution=64))
    assert method.state_dict() == {}
    with pytest.raises(UserError, match="train it"):
        method.reconstruct({"image": faces[0]["image"], "box": faces[0]["box"]})


def test_it_is_declared_a_baseline_with_the_crop_that_training_uses(faces: Any) -> None:
    assert MeanFace.card.is_baseline
    np.testing.assert_allclose(crop_from_detector_box(faces[0]["box"], 64), faces[0]["crop_from_image"])
