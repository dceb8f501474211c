"""Boxes, cameras, codes, discriminators and official checkpoints of GIRAFFE, in cases without golden vectors."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.methods.giraffe.bounding_boxes import BoxConfig, are_apart, sample_boxes
from deep3dmap.methods.giraffe.camera_sampling import CameraConfig, sample_poses
from deep3dmap.methods.giraffe.discriminators import DCDiscriminator, ResNetDiscriminator
from deep3dmap.methods.giraffe.feature_field import FieldConfig
from deep3dmap.methods.giraffe.generator import Generator, GeneratorConfig
from deep3dmap.methods.giraffe.latent_codes import interpolate_on_sphere, sample_codes
from deep3dmap.methods.giraffe.official_weights import load_official

SMALL = GeneratorConfig(FieldConfig(8, 8, 3, (), 8), FieldConfig(4, 8, 2, (), 8, 12.0), resolution=4, doublings=1, samples=4)


def test_boxes_lie_within_their_ranges_and_repeat_with_the_seed() -> None:
    config = BoxConfig(4, (0.1, 0.2, 0.3), (0.2, 0.4, 0.6), (-1, -2, -3), (1, 2, 3), rotation=(0.25, 0.5), same_ratio=False)
    first, second = (sample_boxes(config, 500, torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second))
    for values, low, high in ((first.scale, config.scale_low, config.scale_high), (first.translation, (-1, -2, -3), (1, 2, 3))):
        assert (values.amin((0, 1)) >= torch.tensor(low) - 1e-6).all()
        assert (values.amax((0, 1)) <= torch.tensor(high) + 1e-6).all()
    # Between a quarter and half a turn, the x axis points to the left of the yz plane, towards positive y.
    assert (first.rotation[..., 0, 0] <= 1e-6).all()
    assert (first.rotation[..., 1, 0] >= -1e-6).all()
    ratio = sample_boxes(BoxConfig(1, (0.1, 0.1, 0.1), (0.2, 0.2, 0.2)), 9, torch.Generator()).scale
    assert torch.equal(ratio[..., 0], ratio[..., 2])


def test_boxes_that_must_stand_apart_do() -> None:
    config = BoxConfig(3, (0.15,) * 3, (0.15,) * 3, (-0.9, -0.9, 0), (0.9, 0.9, 0), apart=True)
    assert are_apart(sample_boxes(config, 200, torch.Generator().manual_seed(0))).all()
    crowded = BoxConfig(5, (0.4,) * 3, (0.4,) * 3, (-0.1, -0.1, 0), (0.1, 0.1, 0), apart=True)
    with pytest.raises(UserError, match="5 boxes do not fit apart"):
        sample_boxes(crowded, 2, torch.Generator())


def test_positions_of_whole_scenes_are_kept_together() -> None:
    known = torch.arange(12.0).view(2, 2, 3)
    boxes = sample_boxes(BoxConfig(2), 20, torch.Generator().manual_seed(0), positions=known)
    assert all(any(torch.equal(scene, one) for one in known) for scene in boxes.translation)


def test_cameras_look_at_the_origin_from_their_range() -> None:
    config = CameraConfig(azimuth=(0.0, 1.0), height=(0.05, 0.45), radius=(2.0, 3.0))
    poses = sample_poses(config, 300, torch.Generator().manual_seed(0))
    rotation, eyes = poses[:, :3, :3], poses[:, :3, 3]
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(300, 3, 3), atol=1e-5, rtol=0)
    assert torch.linalg.det(rotation) == pytest.approx(torch.ones(300), abs=1e-4)
    radius = eyes.norm(dim=1)
    torch.testing.assert_close(-eyes / radius[:, None], -rotation[:, :, 2], atol=1e-5, rtol=0)
    assert (eyes[:, 2] / radius).min() >= 0.1 - 1e-5
    assert (eyes[:, 2] / radius).max() <= 0.9 + 1e-5


def test_interpolation_keeps_the_length_of_unit_codes() -> None:
    codes = sample_codes(2, 3, 16, 8, torch.Generator().manual_seed(0), temperature=0.5)
    assert codes.shape.shape == codes.appearance.shape == (2, 3, 16)
    assert codes.background_shape.shape == (2, 8)
    assert 0.3 < codes.shape.std() < 0.7
    first, second = torch.nn.functional.normalize(codes.shape[0], dim=-1), torch.nn.functional.normalize(codes.shape[1], dim=-1)
    path = interpolate_on_sphere(first, second, torch.linspace(0, 1, 5))
    torch.testing.assert_close(path.norm(dim=-1), torch.ones(5, 3))
    torch.testing.assert_close(path[-1], second)


def test_discriminators_say_which_sizes_they_take() -> None:
    for size in (24, 4):
        with pytest.raises(UserError, match="power of two of at least 8"):
            DCDiscriminator(size)
    with pytest.raises(ValueError, match="3, 32, 32"):
        DCDiscriminator(32, 16)(torch.rand(2, 3, 64, 64))
    assert ResNetDiscriminator(32, 4)(torch.rand(2, 3, 32, 32)).shape == (2,)


@pytest.fixture
def official_file(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    parts = {"discriminator": DCDiscriminator(8, 8), "generator": Generator(SMALL), "generator_test": Generator(SMALL)}
    model = {f"{part}.{name}": value for part, network in parts.items() for name, value in network.state_dict().items()}
    file = tmp_path / "checkpoint.pt"
    torch.save({"model": model, "it": 800, "epoch_it": 3, "optimizer": {"state": {}}, "args": Namespace(x=1)}, file)
    return file


def test_an_official_checkpoint_gives_the_average_or_the_trained_generator(official_file: Path) -> None:
    model = torch.load(official_file, weights_only=False)["model"]
    generator, discriminator = Generator(SMALL), DCDiscriminator(8, 8)
    assert load_official(official_file, generator, discriminator) == 800
    assert torch.equal(generator.decoder.fc_in.weight, model["generator_test.decoder.fc_in.weight"])
    assert torch.equal(discriminator.conv_out.weight, model["discriminator.conv_out.weight"])
    load_official(official_file, generator, average=False)
    assert torch.equal(generator.decoder.fc_in.weight, model["generator.decoder.fc_in.weight"])


def test_a_checkpoint_that_does_not_fit_is_named(official_file: Path, tmp_path: Path) -> None:
    generator = Generator(GeneratorConfig(resolution=4, samples=4))
    before = generator.decoder.fc_in.weight.clone()
    with pytest.raises(UserError, match=r"generator_test: does not fit .* missing: .* of another size: "):
        load_official(official_file, generator)
    assert torch.equal(before, generator.decoder.fc_in.weight)
    with pytest.raises(UserError, match="no such checkpoint"):
        load_official(tmp_path / "nothing.pt", generator)
    torch.save({"weights": {}}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="no state dict under 'model'; available keys: weights"):
        load_official(tmp_path / "other.pt", generator)
    (tmp_path / "broken.pt").write_bytes(b"\x80\x02nonsense")
    with pytest.raises(UserError, match="not a checkpoint saved by torch"):
        load_official(tmp_path / "broken.pt", generator)
