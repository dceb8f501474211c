"""GIRAFFE's generator: effects of scene changes, and that skipping points outside the boxes is correct."""

import dataclasses

import pytest
import torch
from torch import Tensor

from deep3dmap.methods.giraffe.bounding_boxes import BoxConfig, rotation_about_z, sample_boxes
from deep3dmap.methods.giraffe.camera_sampling import CameraConfig, sample_poses
from deep3dmap.methods.giraffe.feature_field import FieldConfig
from deep3dmap.methods.giraffe.generator import Generator, GeneratorConfig, Scene
from deep3dmap.methods.giraffe.latent_codes import sample_codes

CONFIG = GeneratorConfig(
    object=FieldConfig(16, 24, 4, (2,), features=16, position_octaves=4),
    background=FieldConfig(8, 16, 2, (), features=16, downscale=12.0, position_octaves=4),
    resolution=8,
    doublings=2,
    fewest_channels=8,
    samples=24,
)
BOXES = BoxConfig(3, (0.2,) * 3, (0.4,) * 3, (-0.5, -0.5, -0.2), (0.5, 0.5, 0.2))


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(3)
    generator = Generator(CONFIG)
    # Make the objects opaque enough to hide much of the background.
    torch.nn.init.constant_(generator.decoder.sigma_out.bias, 5.0)
    return generator


def scene(count: int = 2, seed: int = 0) -> Scene:
    rng = torch.Generator().manual_seed(seed)
    codes = sample_codes(count, 3, 16, 8, rng)
    poses = sample_poses(CameraConfig(azimuth=(0, 1), height=(0.3, 0.5)), count, rng)
    return Scene(codes, sample_boxes(BOXES, count, rng), poses, rotation_about_z(torch.rand(count, generator=rng)))


def everywhere(generator: Generator, scene: Scene) -> Tensor:
    """Features of the objects only, evaluating every point and then removing those outside the boxes."""
    samples = generator._samples(scene, None)
    boxes = scene.boxes
    density, features = [], []
    for k in range(3):
        turn = boxes.rotation[:, k].transpose(1, 2)
        local = (samples.points - boxes.translation[:, k, None]) @ turn / boxes.scale[:, k, None]
        directions = (samples.directions @ turn / boxes.scale[:, k, None]).flatten(0, 1)
        raw, feature = generator.decoder(local.flatten(0, 1), directions, scene.codes.shape[:, k], scene.codes.appearance[:, k])
        empty = (local.abs() > 1.1).any(-1).flatten()
        density.append(raw.masked_fill(empty, 0).relu().view_as(samples.depths))
        features.append(feature.view(*samples.depths.shape, -1))
    total = sum(density)
    mixed = sum(d[..., None] * f for d, f in zip(density, features)) / total[..., None].clamp(min=1e-4)
    steps = torch.cat([samples.depths.diff(dim=-1), torch.full_like(samples.depths[..., :1], 1e10)], -1)
    alpha = 1 - torch.exp(-total * steps * samples.directions.norm(dim=-1, keepdim=True))
    left = torch.ones(alpha.shape[:-1])
    result = torch.zeros(*alpha.shape[:-1], 16)
    for s in range(alpha.shape[-1]):
        result = result + (left * alpha[..., s])[..., None] * mixed[:, :, s]
        left = left * (1 - alpha[..., s])
    return result.unflatten(1, (8, 8)).movedim(-1, 1)


def test_leaving_out_points_outside_boxes_changes_nothing(generator: Generator) -> None:
    with torch.no_grad():
        found = generator(scene(), parts="objects")
        expected = everywhere(generator, scene())
    assert found.visible.sum() > 10
    torch.testing.assert_close(found.features, expected, rtol=1e-4, atol=1e-5)


def test_shape_and_range(generator: Generator) -> None:
    rendering = generator(scene())
    assert rendering.image.shape == (2, 3, 32, 32)
    assert rendering.visible.shape == (4, 2, 8, 8)
    assert rendering.image.min() >= 0
    assert rendering.image.max() <= 1
    # The last step is nearly infinite, so a dense background there is opaque.
    assert rendering.visible.sum(0).max() <= 1 + 1e-5


def test_order_of_objects_does_not_matter(generator: Generator) -> None:
    first = scene()
    order = torch.tensor([2, 0, 1])
    codes = first.codes._replace(shape=first.codes.shape[:, order], appearance=first.codes.appearance[:, order])
    boxes = type(first.boxes)(*(value[:, order] for value in first.boxes))
    with torch.no_grad():
        torch.testing.assert_close(generator(first._replace(codes=codes, boxes=boxes)).image, generator(first).image)


def test_background_alone_does_not_know_the_objects(generator: Generator) -> None:
    first, other = scene(seed=0), scene(seed=1)
    changed = first._replace(
        codes=first.codes._replace(shape=other.codes.shape, appearance=other.codes.appearance), boxes=other.boxes
    )
    with torch.no_grad():
        assert torch.equal(generator(first, parts="background").image, generator(changed, parts="background").image)
        assert not torch.allclose(generator(first).image, generator(changed).image)


def test_an_absent_object_is_as_one_out_of_sight(generator: Generator) -> None:
    first = scene()
    far = first.boxes.translation.clone()
    far[:, 1] = 50
    present = torch.tensor([[True, False, True]]).repeat(2, 1)
    with torch.no_grad():
        gone = generator(first._replace(present=present))
        away = generator(first._replace(boxes=first.boxes._replace(translation=far)))
    torch.testing.assert_close(gone.image, away.image)
    assert gone.visible[1].max() == 0


def test_noise_repeats_with_its_generator_and_trains_every_parameter(generator: Generator) -> None:
    images = [generator(scene(), torch.Generator().manual_seed(seed)).image for seed in (7, 7, 8)]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])
    images[0].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in generator.parameters())


def test_an_object_moved_sideways_moves_in_the_picture(generator: Generator) -> None:
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    box = BoxConfig(1, (0.3,) * 3, (0.3,) * 3, (0.0,) * 3, (0.0,) * 3)
    poses = sample_poses(CameraConfig(height=(0.5, 0.5)), 5, rng)
    boxes = sample_boxes(box, 5, rng)
    y = torch.linspace(-0.6, 0.6, 5)
    boxes = boxes._replace(translation=torch.stack([torch.zeros(5), y, torch.zeros(5)], -1)[:, None])
    codes = sample_codes(1, 1, 16, 8, rng)
    codes = type(codes)(*(code.expand(5, *code.shape[1:]) for code in codes))
    with torch.no_grad():
        opacity = generator.opacity(Scene(codes, boxes, poses, torch.eye(3).repeat(5, 1, 1)))[:, 0]
    columns = torch.arange(8.0)
    centroid = (opacity.sum(1) * columns).sum(1) / opacity.sum((1, 2))
    # The camera is on the x axis, so its right is +y.
    assert (centroid.diff() > 0.5).all()


def test_densest_composition_shows_one_object_per_point(generator: Generator) -> None:
    other = Generator(dataclasses.replace(CONFIG, composition="densest"))
    other.load_state_dict(generator.state_dict())
    with torch.no_grad():
        assert not torch.equal(other(scene()).image, generator(scene()).image)
        assert torch.equal(other(scene(), parts="background").image, generator(scene(), parts="background").image)
