"""Scenes sampled by index, and the effects of controls on them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.methods.giraffe.bounding_boxes import BoxConfig
from deep3dmap.methods.giraffe.camera_sampling import CameraConfig
from deep3dmap.methods.giraffe.controls import Controls, change_scenes
from deep3dmap.methods.giraffe.feature_field import FieldConfig
from deep3dmap.methods.giraffe.generator import Generator, GeneratorConfig, Scene
from deep3dmap.methods.giraffe.positions import read_positions
from deep3dmap.methods.giraffe.scenes import SceneConfig, sample_scenes, scenes_of_indices, to_device

BOXES = BoxConfig(2, (0.2,) * 3, (0.4,) * 3, (-0.4, -0.4, 0), (0.4, 0.4, 0))
CONFIG = SceneConfig(8, 4, BOXES, CameraConfig(azimuth=(0, 1), height=(0.3, 0.5)), (0.0, 0.25))
NETWORK = GeneratorConfig(
    FieldConfig(8, 16, 3, (), 8, position_octaves=3),
    FieldConfig(4, 8, 2, (), 8, 12.0, position_octaves=3),
    resolution=8,
    doublings=1,
    fewest_channels=8,
    samples=16,
)


def flat(scene: Scene) -> list[Tensor]:
    return [*scene.codes, *scene.boxes, scene.world_from_camera, scene.background_rotation]


def fetch_of(config: SceneConfig) -> Callable[[list[int]], Scene]:
    return lambda numbers: scenes_of_indices(config, numbers, seed=1)


@pytest.fixture
def render() -> Callable[[Scene], Tensor]:
    torch.manual_seed(0)
    generator = Generator(NETWORK)
    torch.nn.init.constant_(generator.decoder.sigma_out.bias, 4.0)

    def draw(scene: Scene) -> Tensor:
        with torch.no_grad():
            image: Tensor = generator(scene).image
        return image

    return draw


def test_a_scene_depends_on_its_number_and_the_seed_only() -> None:
    several, one = scenes_of_indices(CONFIG, range(5), seed=3), scenes_of_indices(CONFIG, [4], seed=3)
    for first, second in zip(flat(several), flat(one)):
        assert torch.equal(first[4:], second)
    other = scenes_of_indices(CONFIG, [4], seed=4)
    assert not torch.equal(one.codes.shape, other.codes.shape)
    assert all(torch.equal(a, b) for a, b in zip(flat(one), flat(to_device(one, torch.device("cpu")))))


def test_as_many_objects_as_the_probabilities_say() -> None:
    config = replace(CONFIG, boxes=replace(BOXES, count=4), object_counts=(0.0, 0.25, 0.75, 0.0))
    present = sample_scenes(config, 4000, torch.Generator().manual_seed(0)).present
    assert present is not None
    numbers = present.sum(1)
    assert set(numbers.tolist()) == {2, 3}
    assert (numbers == 3).double().mean() == pytest.approx(0.75, abs=0.03)
    # Which objects are present is random too.
    assert present.double().mean(0).tolist() == pytest.approx([2.75 / 4] * 4, abs=0.03)
    with pytest.raises(UserError, match=r"a probability for each of 1\.\.2 objects"):
        replace(CONFIG, object_counts=(0.5, 0.2))


def test_defaults_change_nothing() -> None:
    scene = scenes_of_indices(CONFIG, range(3), seed=1)
    changed = change_scenes(scene, Controls(), 0, fetch_of(CONFIG))
    assert all(torch.equal(a, b) for a, b in zip(flat(scene), flat(changed)))
    assert changed.present is None


def test_moves_are_of_the_chosen_object() -> None:
    scene = scenes_of_indices(CONFIG, range(2), seed=1)
    controls = Controls(object=1, translate=[0.1, -0.2, 0.3], scale=2.0, rotate=0.25)
    boxes = change_scenes(scene, controls, 0, fetch_of(CONFIG)).boxes
    torch.testing.assert_close(boxes.translation - scene.boxes.translation, torch.tensor([[[0, 0, 0], [0.1, -0.2, 0.3]]] * 2))
    torch.testing.assert_close(boxes.scale / scene.boxes.scale, torch.tensor([[[1.0] * 3, [2.0] * 3]] * 2))
    assert torch.equal(boxes.rotation[:, 0], scene.boxes.rotation[:, 0])
    # A point on the object's own x axis is found a quarter turn further in the world.
    x = scene.boxes.rotation[0, 1].T @ torch.tensor([1.0, 0, 0])
    y = boxes.rotation[0, 1].T @ torch.tensor([1.0, 0, 0])
    torch.testing.assert_close(y, torch.stack([-x[1], x[0], x[2]]))


def test_turning_everything_with_the_camera_changes_no_picture(render: Callable[[Scene], Tensor]) -> None:
    scene = scenes_of_indices(
        replace(CONFIG, boxes=replace(BOXES, translation_low=(0,) * 3, translation_high=(0,) * 3)), [0], 1
    )
    together = change_scenes(scene, Controls(rotate=0.2, background_turn=0.2, camera_turn=0.2), 0, fetch_of(CONFIG))
    alone = change_scenes(scene, Controls(rotate=0.2), 0, fetch_of(CONFIG))
    torch.testing.assert_close(render(together), render(scene), atol=1e-4, rtol=0)
    assert not torch.allclose(render(alone), render(scene), atol=1e-3)


def test_shape_appearance_and_background_are_taken_from_another() -> None:
    scene, donor = scenes_of_indices(CONFIG, [0, 1], seed=1), scenes_of_indices(CONFIG, [7], seed=1).codes
    shape = change_scenes(scene, Controls(object=0, shape_of=7), 0, fetch_of(CONFIG)).codes
    assert torch.equal(shape.shape[1, 0], donor.shape[0, 0])
    assert torch.equal(shape.shape[:, 1], scene.codes.shape[:, 1])
    assert torch.equal(shape.appearance, scene.codes.appearance)
    both = change_scenes(scene, Controls(appearance_of=7, background_of=7), 0, fetch_of(CONFIG)).codes
    assert torch.equal(both.appearance[1], donor.appearance[0])
    assert torch.equal(both.background_shape[1], donor.background_shape[0])
    assert torch.equal(both.shape, scene.codes.shape)


def test_codes_may_go_a_part_of_the_way_to_another() -> None:
    scene, donor = scenes_of_indices(CONFIG, [0, 7], seed=1), scenes_of_indices(CONFIG, [7], seed=1).codes
    halves = [
        change_scenes(scene, Controls(appearance_of=7, share=share), 0, fetch_of(CONFIG)).codes for share in (0.0, 0.5, 1.0)
    ]
    own, wanted = scene.codes.appearance[0], donor.appearance[0]
    torch.testing.assert_close(halves[0].appearance[0], own)
    torch.testing.assert_close(halves[2].appearance[0], wanted)
    middle = halves[1].appearance[0]
    angles = [torch.arccos(torch.cosine_similarity(middle, end, dim=-1)) for end in (own, wanted)]
    whole = torch.arccos(torch.cosine_similarity(own, wanted, dim=-1))
    assert (angles[0] + angles[1] - whole).abs().max() < 2e-3
    assert middle.norm(dim=-1).min() > 0.6 * min(own.norm(dim=-1).min(), wanted.norm(dim=-1).min())
    assert torch.equal(halves[1].shape, scene.codes.shape)
    # The second scene is the other scene itself.
    assert torch.equal(halves[1].appearance[1], wanted)


def test_objects_are_added_and_taken_away(render: Callable[[Scene], Tensor]) -> None:
    scene, following = (scenes_of_indices(CONFIG, [index], seed=1) for index in (3, 4))
    more = change_scenes(scene, Controls(add=1), 3, fetch_of(CONFIG))
    assert more.boxes.scale.shape[1] == 4
    assert torch.equal(more.boxes.translation[:, 2:], following.boxes.translation)
    assert not torch.allclose(render(more), render(scene))
    again = change_scenes(scene, Controls(add=1, remove=[2, 3]), 3, fetch_of(CONFIG))
    torch.testing.assert_close(render(again), render(scene))
    with pytest.raises(UserError, match="remove=2: a scene has 2 objects"):
        change_scenes(scene, Controls(remove=[2]), 3, fetch_of(CONFIG))
    with pytest.raises(UserError, match="object=5: a scene has 2 objects"):
        change_scenes(scene, Controls(object=5, rotate=0.1), 3, fetch_of(CONFIG))


def test_positions_come_from_a_file(tmp_path: Path) -> None:
    coordinates = np.random.default_rng(0).normal(size=(5, 2, 3))
    np.savez(tmp_path / "prior.npz", coordinates=coordinates)
    positions = read_positions(tmp_path / "prior.npz", 2)
    np.testing.assert_allclose(positions, 0.23788 * coordinates, rtol=1e-6)
    placed = scenes_of_indices(CONFIG, range(6), seed=0, positions=positions).boxes.translation
    assert all(any(torch.equal(one, scene) for scene in positions) for one in placed)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "the file is missing"),
        (b"", "not a readable file of positions"),
        (b"no archive", "not a readable file of positions"),
        ({"places": np.zeros((5, 3, 3))}, "no field 'coordinates'"),
        ({"coordinates": np.zeros((5, 2, 3))}, r"must be numbers \(N, 3, 3\) of at least one scene, got float64 \(5, 2, 3\)"),
        ({"coordinates": np.zeros((0, 3, 3))}, "of at least one scene"),
        ({"coordinates": np.full((5, 3, 3), "far")}, "must be numbers"),
        ({"coordinates": np.full((5, 3, 3), np.nan)}, "coordinates contains NaN or infinity"),
    ],
)
def test_files_that_hold_no_positions(tmp_path: Path, content: dict[str, np.ndarray] | bytes | None, says: str) -> None:
    file = tmp_path / "prior.npz"
    if isinstance(content, dict):
        np.savez(file, **content)
    elif content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=rf"prior\.npz: .*{says}"):
        read_positions(file, 3)
