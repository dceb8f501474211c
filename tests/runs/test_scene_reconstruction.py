"""A method never receives a scene whose per-image keys are incomplete."""

from typing import Any

import numpy as np
import pytest

from deep3dmap.core import UserError
from deep3dmap.core.registry import methods
from deep3dmap.runs.scene_reconstruction import reconstruct_scene

SCENE = {
    "images": np.zeros((4, 3, 6, 8), np.float32),
    "masks": np.ones((4, 6, 8), np.float32),
    "depths": np.ones((4, 6, 8), np.float32),
    "intrinsics": np.tile(np.array([[8.0, 0, 4], [0, 8, 3], [0, 0, 1]]), (4, 1, 1)),
    "world_from_camera": np.tile(np.eye(4), (4, 1, 1)),
}


def reconstructed(name: str, scene: dict[str, Any], **mapping: str) -> Any:
    cls = methods.load(name)
    return reconstruct_scene(cls(cls.config_type()), scene, "scene", mapping, None, 0)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *(("visual_hull", key) for key in ("masks", "intrinsics", "world_from_camera")),
        *(("tsdf_fusion", key) for key in ("depths", "intrinsics", "world_from_camera")),
        ("plane_sweep", "world_from_camera"),
    ],
)
def test_what_is_not_there_for_each_image_is_named_with_both_counts(name: str, key: str) -> None:
    with pytest.raises(UserError, match=f"^the dataset has 4 images but 3 of '{key}'; each image needs one$"):
        reconstructed(name, {**SCENE, key: SCENE[key][:3]})


def test_a_method_that_takes_no_images_is_told_too() -> None:
    with pytest.raises(UserError, match=r"^the dataset has 4 of 'masks' but 3 of 'intrinsics'; each image needs one$"):
        reconstructed("mean_subject", {**SCENE, "intrinsics": SCENE["intrinsics"][:3]})


def test_it_is_named_as_the_dataset_names_it() -> None:
    with pytest.raises(UserError, match="4 images but 2 of 'motions'"):
        reconstructed("tsdf_fusion", {**SCENE, "motions": SCENE["world_from_camera"][:2]}, world_from_camera="motions")


def test_what_is_complete_is_handed_over() -> None:
    assert reconstructed("tsdf_fusion", SCENE).given.keys() == {"images", "depths", "intrinsics", "world_from_camera"}
