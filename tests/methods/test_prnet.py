"""PRNet: consistent augmentation of crops and maps, losses, placement in the image, and training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.core import UserError
from deep3dmap.geometry.face_crop import positions_to_crop
from deep3dmap.methods.prnet.augmentation import Augmentation, mirrored, noise_texture, occlude, similarity_about_centre
from deep3dmap.methods.prnet.losses import position_loss, weight_penalty
from deep3dmap.methods.prnet.method import PRNet, PRNetConfig

STILL = {"rotation": 0.0, "translation": 0.0, "scale": [1.0, 1.0], "color": [1.0, 1.0], "occluders": 0.0}
SMALL = {"resolution": 64, "width": 4}


class Fixed(torch.nn.Module):
    """A network that ignores its input and always returns the same map."""

    def __init__(self, position_map: np.ndarray) -> None:
        super().__init__()
        self.answer = torch.from_numpy(position_map)[None]

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return self.answer.expand(len(crops), -1, -1, -1)


def dotted(points: np.ndarray, size: int) -> np.ndarray:
    """A black picture with a soft dot at each point."""
    centres = np.arange(size) + 0.5
    squared = (centres[None, None] - points[:, 0, None, None]) ** 2 + (centres[None, :, None] - points[:, 1, None, None]) ** 2
    return np.exp(-squared / 4).max(0)[None].repeat(3, 0).astype(np.float32)


def brightest_near(picture: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Centre of brightness within four pixels of a point."""
    rows, columns = np.mgrid[: picture.shape[1], : picture.shape[2]] + 0.5
    weight = picture[0] * ((columns - point[0]) ** 2 + (rows - point[1]) ** 2 < 16)
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@pytest.mark.parametrize("size", [64, 96])
def test_augmentation_moves_crop_and_map_alike(size: int) -> None:
    positions = np.random.default_rng(0).uniform(20, 44, (3, 8, 8)).astype(np.float32)
    shown = [(0, 0), (3, 5), (7, 2)]
    crop = dotted(np.array([positions[:2, r, c] for r, c in shown]), 64)
    augmentation = Augmentation(color=(1.0, 1.0), occluders=0.0)
    for seed in range(5):
        picture, moved = augmentation(crop, positions, size, np.random.default_rng(seed))
        assert picture.shape == (3, size, size)
        for row, column in shown:
            found = brightest_near(picture, moved[:2, row, column])
            np.testing.assert_allclose(found, moved[:2, row, column], atol=0.6)


def test_depth_follows_the_scale_and_no_rotation() -> None:
    positions = np.random.default_rng(0).uniform(0, 64, (3, 4, 4)).astype(np.float32)
    crop = np.zeros((3, 64, 64), np.float32)
    _, turned = Augmentation(scale=(1.0, 1.0))(crop, positions, 64, np.random.default_rng(0))
    np.testing.assert_allclose(turned[2], positions[2], atol=1e-4)
    _, larger = Augmentation(scale=(1.2, 1.2))(crop, positions, 64, np.random.default_rng(0))
    np.testing.assert_allclose(larger[2], 1.2 * positions[2], rtol=1e-5)


def test_similarity_turns_x_towards_y_about_the_centre() -> None:
    similarity = similarity_about_centre(64, np.pi / 2, 1.0, np.array([32.0, 32.0]))
    np.testing.assert_allclose(similarity @ (64, 32, 1), (32, 64, 1), atol=1e-9)


def test_a_mirrored_face_is_a_face_of_the_same_atlas(faces: Any) -> None:
    method, face = PRNet(PRNetConfig(**SMALL)), faces[0]
    crop, positions = mirrored(face["crop"], face["position_map"])
    np.testing.assert_array_equal(crop, face["crop"][..., ::-1])
    before, after = (method.atlas.landmarks(one) for one in (face["position_map"], positions))
    # The landmark of the other side, mirrored about the middle of the crop: jaw, brows, eyes, lips.
    for one, other in ((0, 16), (17, 26), (36, 45), (48, 54), (30, 30)):
        np.testing.assert_allclose(after[one], before[other] * (-1, 1, 1) + (64, 0, 0), atol=1.5)
    twice = mirrored(crop, positions)
    np.testing.assert_array_equal(twice[0], face["crop"])
    np.testing.assert_allclose(twice[1], face["position_map"], atol=1e-4)


def test_faces_are_mirrored_as_often_as_asked(faces: Any) -> None:
    still = {"rotation": 0.0, "translation": 0.0, "scale": (1.0, 1.0), "color": (1.0, 1.0), "occluders": 0.0}
    face, flipped = faces[0], []
    for seed in range(20):
        crop, _ = Augmentation(**still, flip=0.5)(face["crop"], face["position_map"], 64, np.random.default_rng(seed))
        flipped.append(bool(np.abs(crop - face["crop"]).max() > 0.05))
    assert 4 < sum(flipped) < 16


def test_networks_of_others_have_pixel_centers_at_whole_numbers(faces: Any) -> None:
    face = faces[2]
    given = {"image": face["image"], "box": face["box"]}
    answers, terms = [], []
    for centers in ("half", "integer"):
        method = PRNet(PRNetConfig(**SMALL, centers=centers))
        method.network = Fixed(face["position_map"] / method.normalizer)
        answers.append(positions_to_crop(method.reconstruct(given).position_map, face["crop_from_image"]))
        batch = {"crop": torch.zeros(1, 3, 64, 64), "position_map": torch.from_numpy(answers[-1])[None]}
        terms.append(float(method.losses(method({"crop": batch["crop"]}), batch)["position"]))
    np.testing.assert_allclose(answers[1] - answers[0], np.broadcast_to([[[0.5]], [[0.5]], [[0]]], answers[0].shape), atol=1e-3)
    assert terms == pytest.approx([0, 0], abs=1e-9)


def test_the_older_port_sees_bgr_less_its_mean() -> None:
    method, seen = PRNet(PRNetConfig(**SMALL, pixels="bgr")), []
    method.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    method.set_mode(training=False)
    with torch.no_grad():
        method({"crop": torch.tensor([0.1, 0.2, 0.3])[None, :, None, None].expand(1, 3, 64, 64)})
    np.testing.assert_allclose(seen[0][0, :, 0, 0], np.array([76.5, 51, 25.5]) - (103.53, 116.28, 123.675), atol=1e-3)


def test_no_augmentation_gives_the_sample_back(faces: Any) -> None:
    method, face = PRNet(PRNetConfig(**SMALL, **STILL)), faces[0]
    sample = method.transform({"crop": face["crop"], "position_map": face["position_map"]}, np.random.default_rng(0))
    np.testing.assert_allclose(sample["crop"], face["crop"], atol=1e-4)
    np.testing.assert_allclose(sample["position_map"], face["position_map"], atol=1e-3)


def test_augmentation_is_seeded_and_moves_landmarks_consistently(faces: Any) -> None:
    method, face = PRNet(PRNetConfig(**SMALL)), faces[1]
    given = {"crop": face["crop"], "position_map": face["position_map"]}
    one, same, other = (method.transform(given, np.random.default_rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one["crop"], same["crop"])
    np.testing.assert_array_equal(one["position_map"], same["position_map"])
    assert np.abs(one["position_map"] - other["position_map"]).max() > 1
    before, after = (method.atlas.landmarks(item["position_map"]) for item in (given, one))
    distances = [np.linalg.norm(points[36, :2] - points[45, :2]) for points in (before, after)]
    assert 0.9 <= distances[1] / distances[0] <= 1.2


def test_occluders_cover_a_part_by_noise() -> None:
    picture = np.full((3, 64, 64), 0.5, np.float32)
    covered = (occlude(picture, np.random.default_rng(1)) != picture).any(0)
    assert 0.005 < covered.mean() < 0.5
    texture = noise_texture(50, np.random.default_rng(2))
    assert texture.shape == (3, 50, 50)
    assert texture.min() >= 0
    assert texture.max() <= 1


def test_losses_of_a_perfect_answer_are_zero_and_what_is_out_of_range_is_clamped(faces: Any) -> None:
    method = PRNet(PRNetConfig(**SMALL, landmark_factor=1.0, weight_penalty=1e-4))
    positions = torch.from_numpy(faces[0]["position_map"])[None]
    positions[:, :, 0, 0] = -20
    batch = {"crop": torch.zeros(1, 3, 64, 64), "position_map": positions}
    with torch.no_grad():
        terms = method.losses({"position_map": (positions / (1.1 * 64)).clamp(0, 1)}, batch)
    assert set(terms) == {"position", "landmarks", "penalty"}
    assert float(terms["position"]) == pytest.approx(0, abs=1e-12)
    assert float(terms["landmarks"]) == pytest.approx(0, abs=1e-6)
    assert float(terms["penalty"]) > 0


def test_a_larger_crop_is_the_same_sample(faces: Any) -> None:
    method, face = PRNet(PRNetConfig(**SMALL)), faces[0]
    method.set_mode(training=False)
    crop, positions = (torch.from_numpy(face[name])[None] for name in ("crop", "position_map"))
    doubled = torch.nn.functional.interpolate(crop, scale_factor=2, mode="nearest")
    with torch.no_grad():
        small = method.losses(method({"crop": crop}), {"crop": crop, "position_map": positions})
        large = method.losses(method({"crop": doubled}), {"crop": doubled, "position_map": 2 * positions})
    assert float(small["position"]) == pytest.approx(float(large["position"]), rel=1e-4)


def test_losses_count_where_the_weight_is() -> None:
    weight = torch.zeros(4, 4)
    weight[1, 2] = 2.0
    predicted, target = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    predicted[:, :, 0, 0] = 9
    assert float(position_loss(predicted, target, weight)) == 0
    predicted[:, :2, 1, 2] = torch.tensor([3.0, 4.0])
    assert float(position_loss(predicted, target, weight, "l2")) == pytest.approx(2 * 25 / 48)
    assert float(position_loss(predicted, target, weight, "l1")) == pytest.approx(2 * 7 / 48)
    assert float(position_loss(predicted, target, weight, "norm")) == pytest.approx(2 * 5 / 16)
    assert float(weight_penalty([torch.tensor([3.0]), torch.tensor([[4.0]])])) == 12.5
    with pytest.raises(ValueError, match="kind"):
        position_loss(predicted, target, weight, "huber")


def test_the_map_returns_to_the_image_and_back(faces: Any) -> None:
    method, face = PRNet(PRNetConfig(**SMALL)), faces[2]
    method.network = Fixed(face["position_map"] / method.normalizer)
    reconstruction = method.reconstruct({"image": face["image"], "box": face["box"]})
    back = positions_to_crop(reconstruction.position_map, face["crop_from_image"])
    np.testing.assert_allclose(back, face["position_map"], atol=1e-3)
    error = np.linalg.norm(reconstruction.landmarks[:, :2] - face["landmarks_68"][:, :2], axis=1)
    assert error.mean() < 1
    assert reconstruction.mesh.vertices.shape == reconstruction.points.shape == (method.atlas.face_mask.sum(), 3)


def test_the_answer_moves_and_grows_with_the_box(faces: Any) -> None:
    method, face = PRNet(PRNetConfig(**SMALL)), faces[2]
    method.network = Fixed(face["position_map"] / method.normalizer)
    left, top, right, bottom = 20.0, 24.0, 70.0, 74.0
    boxes = ((left, top, right, bottom), (left + 6, top + 2, right + 6, bottom + 2), (left - 50, top, right + 50, bottom + 100))
    here, moved, tripled = (method.reconstruct({"image": face["image"], "box": np.float32(box)}) for box in boxes)
    np.testing.assert_allclose(moved.landmarks - here.landmarks, np.tile([6, 2, 0], (68, 1)), atol=1e-3)
    ratio = np.ptp(tripled.landmarks, 0) / np.ptp(here.landmarks, 0)
    np.testing.assert_allclose(ratio, int(1.58 * 150) / int(1.58 * 50), rtol=1e-4)


def test_reconstruction_leaves_mode_and_statistics_alone(faces: Any) -> None:
    method, face = PRNet(PRNetConfig(**SMALL)), faces[0]
    before = {name: value.clone() for name, value in method.state_dict().items()}
    one, same = (method.reconstruct({"image": face["image"], "box": face["box"]}) for _ in range(2))
    assert method.training
    np.testing.assert_array_equal(one.position_map, same.position_map)
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_a_checkpoint_carries_its_atlas(faces: Any, tmp_path: Path) -> None:
    method = PRNet(PRNetConfig(**SMALL, start="smooth"))
    file = tmp_path / "atlas.npz"
    method.atlas.resized(64).save(file)
    other = PRNet(PRNetConfig(**SMALL, atlas=str(file)))
    other.load_state_dict(method.state_dict())
    given = {"image": faces[0]["image"], "box": faces[0]["box"]}
    np.testing.assert_array_equal(method.reconstruct(given).landmarks, other.reconstruct(given).landmarks)


def test_an_atlas_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="grid_haed"):
        PRNet(PRNetConfig(**SMALL, atlas="grid_haed"))


def test_the_older_port_can_be_built() -> None:
    assert PRNet(PRNetConfig(**SMALL, padding="legacy")).network.decoder[-1].norm.state_dict() == {}


def test_a_few_steps_lower_the_loss(faces: Any, make_loop: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    method = PRNet(PRNetConfig(**SMALL, **STILL, start="smooth", loss="l1", bn_momentum=0.1))
    loop = make_loop(faces, lr=5e-3, batch_size=8, max_steps=12)
    losses = [float(step.loss) for step, _ in zip(method.train_steps(loop), range(12))]
    assert np.mean(losses[-3:]) < 0.7 * losses[0]


@pytest.mark.slow
def test_eight_faces_are_learnt_to_less_than_a_pixel(faces: Any, make_loop: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    method = PRNet(PRNetConfig(**SMALL, **STILL, start="smooth", loss="l1", bn_momentum=0.1))
    loop = make_loop(faces, lr=3e-3, schedule="cosine", batch_size=8, max_steps=900)
    for _, _ in zip(range(900), method.train_steps(loop)):
        loop.step += 1
    error = [map_error(method, face) for face in faces.faces]
    assert np.mean(error) < 1


def map_error(method: PRNet, face: dict[str, Any]) -> float:
    """Mean distance over the face, in pixels of the crop."""
    predicted = method.reconstruct({"image": face["image"], "box": face["box"]}).position_map
    difference = positions_to_crop(predicted, face["crop_from_image"]) - face["position_map"]
    return float(np.linalg.norm(difference, axis=0)[method.atlas.face_mask].mean())


def test_light_and_camera_change_the_picture_and_not_the_map() -> None:
    crop = np.random.default_rng(0).random((3, 48, 48), np.float32)
    positions = np.random.default_rng(1).random((3, 16, 16), np.float32) * 48
    still = {"rotation": 0.0, "translation": 0.0, "scale": (1.0, 1.0), "color": (1.0, 1.0), "occluders": 0.0}
    for extra in ({"light": 1.0}, {"camera": 1.0}):
        seen = [Augmentation(**still, **extra)(crop, positions, 48, np.random.default_rng(seed)) for seed in range(8)]
        for picture, moved in seen:
            np.testing.assert_allclose(moved, positions, atol=1e-4)
            assert picture.dtype == np.float32
            assert picture.min() >= 0
            assert picture.max() <= 1
            assert np.abs(picture - crop).mean() > 0.01
        assert len({float(picture.sum()) for picture, _ in seen}) == 8
