"""Bodies in several views: consistency of the parts of a sample."""

from pathlib import Path

import numpy as np
import pytest
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import describe_key
from deep3dmap.data.content_hash import hash_folder
from deep3dmap.data.datasets.bodies import Bodies, BodiesConfig
from deep3dmap.data.scenes.body_clothes import color_at, sample_clothes
from deep3dmap.geometry.cameras import project
from deep3dmap.geometry.joint_limits import beyond_limits
from deep3dmap.render.mesh_renderer import render_mesh

SMALL = BodiesConfig(train=3, val=1, test=2, views=3, image_size=48, recordings=2, noise=0.0)
PARAMETERS = ("betas", "body_pose", "global_orient", "translation")


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> Bodies:
    dataset = Bodies(SMALL, tmp_path_factory.mktemp("cache"))
    dataset.prepare()
    return dataset


def test_samples_hold_what_the_card_says(bodies: Bodies) -> None:
    for name, count in (("train", 3), ("val", 1), ("test", 2)):
        split = bodies.split(name)
        assert len(split) == count
        assert set(split[0]) == set(bodies.card.provides)
    for key in bodies.card.provides:
        describe_key(key)
    sample = bodies.split("train")[0]
    assert sample["images"].shape == (3, 3, 48, 48)
    assert sample["masks"].max() == 1
    assert sample["joint_visibility"].mean() > 0.95
    assert abs(sample["vertices"][:, 1].min()) < 1e-5


def test_template_makes_the_true_surface_and_joints(bodies: Bodies) -> None:
    sample, template = bodies.split("test")[1], bodies.template()
    vertices = template.vertices({name: torch.from_numpy(sample[name])[None] for name in PARAMETERS})
    np.testing.assert_allclose(vertices[0].numpy(), sample["vertices"], atol=1e-5)
    shaped = template.vertices({name: torch.from_numpy(sample[name])[None] for name in ("betas", "body_pose")})[0].numpy()
    moved = shaped @ sample["world_from_template"][:3, :3].T + sample["world_from_template"][:3, 3]
    np.testing.assert_allclose(moved, sample["vertices"], atol=1e-5)
    np.testing.assert_allclose(template.landmarks(vertices)[0].numpy(), sample["joints"], atol=1e-5)
    assert beyond_limits(torch.from_numpy(sample["body_pose"])[None]).item() == pytest.approx(0, abs=1e-9)
    np.testing.assert_array_equal(sample["mesh"].faces, template.faces.numpy())


def test_views_show_the_surface(bodies: Bodies) -> None:
    sample = bodies.split("train")[1]
    for view in range(3):
        intrinsics, pose = sample["intrinsics"][view], sample["world_from_camera"][view]
        drawn = render_mesh(sample["vertices"], sample["mesh"].faces, intrinsics, pose, 48, 48).face_id.numpy() >= 0
        assert (drawn != (sample["masks"][view] > 0.5)).mean() < 0.01
        pixels, _ = project(sample["joints"], intrinsics, np.linalg.inv(pose))
        np.testing.assert_allclose(pixels.numpy(), sample["joints_views"][view], atol=2e-3)


def test_same_person_in_other_poses(bodies: Bodies) -> None:
    train, test = bodies.split("train"), bodies.split("test")
    np.testing.assert_array_equal(train[0]["betas"], train[1]["betas"])
    np.testing.assert_array_equal(train[0]["mesh"].colors, train[1]["mesh"].colors)
    assert not np.array_equal(train[0]["body_pose"], train[1]["body_pose"])
    assert not np.array_equal(train[0]["betas"], test[0]["betas"])


def test_same_bytes_whoever_makes_them(bodies: Bodies, tmp_path: Path) -> None:
    again = Bodies(SMALL, tmp_path)
    with pytest.raises(UserError, match="data prepare bodies"):
        again.split("train")
    again.prepare()
    assert hash_folder(again.root) == hash_folder(bodies.root)


def test_clothes_are_where_they_belong() -> None:
    clothes = sample_clothes(np.random.default_rng(0))
    places = torch.tensor([[0.8, 1.39, 0], [0.1, 0.03, 0.1], [0.1, 0.8, 0.08], [0, 1.6, -0.1]])
    colors = color_at(clothes, places.T).T.numpy()
    expected = np.clip([clothes.skin, clothes.shoes, clothes.trousers, clothes.hair], 0, 1)
    np.testing.assert_allclose(colors, expected, atol=1e-6)
