"""GNeRF's networks, schedules and augmentation, in cases without golden vectors."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from deep3dmap.core.errors import UserError
from deep3dmap.methods.gnerf.augmentation import augment, brighten, cut_out, saturate, stretch_contrast
from deep3dmap.methods.gnerf.config import GNeRFConfig
from deep3dmap.methods.gnerf.discriminator import PatchDiscriminator
from deep3dmap.methods.gnerf.generator import Generator, GeneratorConfig, Randomness
from deep3dmap.methods.gnerf.inversion_network import InversionNetwork
from deep3dmap.methods.gnerf.method import GNeRF
from deep3dmap.methods.gnerf.official_weights import load_official
from deep3dmap.methods.gnerf.pose_prior import PosePrior
from deep3dmap.methods.gnerf.pose_table import PoseTable, official_start
from deep3dmap.methods.gnerf.schedules import Schedules
from deep3dmap.nn.official_checkpoints import read_checkpoint
from deep3dmap.nn.radiance.patches import random_patches

SMALL = GeneratorConfig(16, 3, (1,), 3, 2, coarse=8, fine=8)
INTRINSICS = torch.tensor([[40.0, 0, 16], [0, 40, 12], [0, 0, 1]])


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(SMALL)


def test_chunks_do_not_change_a_rendering(generator: Generator) -> None:
    rng = torch.Generator().manual_seed(0)
    patches, poses = random_patches(3, 6, 0.5, rng), PosePrior().sample(3, rng)
    whole = generator(patches.coordinates, poses, INTRINSICS, (24, 32))
    pieces = Generator(GeneratorConfig(**{**vars(SMALL), "chunk": 17}))
    pieces.load_state_dict(generator.state_dict())
    for first, second in zip(whole, pieces(patches.coordinates, poses, INTRINSICS, (24, 32))):
        assert first.shape == (3, 3, 6, 6)
        torch.testing.assert_close(first, second)


def test_noise_repeats_with_its_generator(generator: Generator) -> None:
    rng = torch.Generator().manual_seed(0)
    patches, poses = random_patches(1, 4, 0.5, rng), PosePrior().sample(1, rng)

    def render(seed: int) -> torch.Tensor:
        random = Randomness(torch.Generator().manual_seed(seed), deviation=1.0)
        return generator(patches.coordinates, poses, INTRINSICS, (24, 32), random)[0]

    assert torch.equal(render(1), render(1))
    assert not torch.equal(render(1), render(2))


def test_gradients_reach_poses_and_field(generator: Generator) -> None:
    rng = torch.Generator().manual_seed(0)
    poses = PosePrior().sample(2, rng).requires_grad_()
    _, fine = generator(random_patches(2, 4, 0.5, rng).coordinates, poses, INTRINSICS, (24, 32))
    fine.square().mean().backward()
    assert poses.grad is not None
    assert (poses.grad.abs().amax((1, 2)) > 0).all()
    assert all(parameter.grad is not None for parameter in generator.parameters())


def test_the_discriminator_of_the_largest_patches() -> None:
    network = PatchDiscriminator(128, 8)
    widths = [layer.out_channels for layer in network.main if isinstance(layer, nn.Conv2d)]
    assert widths == [4, 8, 16, 32, 64, 8]
    # The first layer is not normalised, the last is the output.
    assert sum(isinstance(layer, nn.InstanceNorm2d) for layer in network.main) == 4
    assert network(torch.rand(2, 3, 128, 128), torch.rand(2)).shape == (2,)
    with pytest.raises(UserError, match="16, 32, 64, 128 pixels, got 20"):
        PatchDiscriminator(20)
    with pytest.raises(ValueError, match="3, 128, 128"):
        network(torch.rand(2, 3, 64, 64), torch.rand(2))


def test_the_inversion_network_says_which_sizes_it_takes() -> None:
    with pytest.raises(UserError, match="multiple of 16, got 40"):
        InversionNetwork("3d", 40)
    small = InversionNetwork("6d", 32, 16, 1, 2, 8, 16)
    assert small(torch.rand(2, 3, 32, 32)).shape == (2, 9)
    with pytest.raises(ValueError, match="3, 32, 32"):
        small(torch.rand(2, 3, 16, 16))


def test_augmentation_is_for_the_whole_batch_or_not_at_all() -> None:
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    rng = torch.Generator().manual_seed(0)
    changed = [not torch.equal(augment(images, rng), images) for _ in range(200)]
    assert 70 < sum(changed) < 130
    always = augment(images, torch.Generator().manual_seed(3), probability=1.0)
    assert torch.equal(always, augment(images, torch.Generator().manual_seed(3), probability=1.0))
    assert ((always == 0).all(1).flatten(1).sum(1) > 0).all()


def test_a_cut_is_clamped_at_the_border() -> None:
    cut = cut_out(torch.ones(3, 1, 8, 8), torch.tensor([0, 4, 8]), torch.tensor([0, 4, 8]))
    # Windows of 4: rows -2..1, 2..5 and 6..9.
    assert [int((one == 0).sum()) for one in cut] == [4, 16, 4]
    assert cut[0, 0, :2, :2].sum() == cut[2, 0, 6:, 6:].sum() == 0


def test_schedules_of_short_runs_and_small_images() -> None:
    schedules = Schedules(hybrid_from=10, refine_from=20, hybrid_size=24, noise_until=5)
    sizes = [schedules.image_size(iteration, 32, 48) for iteration in (0, 10, 15, 20, 99)]
    assert sizes == [(16, 16), (24, 24), (28, 36), (32, 48), (32, 48)]
    assert [schedules.phase(iteration) for iteration in (10, 11, 20, 21)] == ["A", "ABAB", "ABAB", "B"]
    assert [schedules.noise(iteration) for iteration in (0, 4, 400)] == pytest.approx([1, 0.2, 0.2])


@pytest.fixture
def official_file(tmp_path: Path) -> Path:
    names = {"trunk.": "xyz_encoding_", "feature": "xyz_encoding_final", "density_head": "sigma", "color_head": "rgb"}
    torch.manual_seed(5)
    state = {}
    for name, value in Generator(SMALL).nerf.state_dict().items():
        if name.startswith("trunk."):
            _, layer, kind = name.split(".")
            name = f"trunk.{int(layer) + 1}.0.{kind}"
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        state[f"nerf.{name}"] = value
    checkpoint = {
        "g": state,
        "d": PatchDiscriminator(16, 8).state_dict(),
        "i": InversionNetwork("6d", 16, 16, 1, 2, 8, 16).state_dict(),
        "t": PoseTable(official_start(4, "6d"), "6d").state_dict(),
    }
    torch.save({**checkpoint, "it": 30000, "optim_g": {}, "args": Namespace(ndf=8)}, tmp_path / "030000.pt")
    return tmp_path / "030000.pt"


def test_an_official_checkpoint_loads_by_its_names(official_file: Path, generator: Generator) -> None:
    table, discriminator = PoseTable(torch.zeros(4, 9), "6d"), PatchDiscriminator(16, 8)
    networks = {"generator": generator, "discriminator": discriminator, "training poses": table}
    saved = read_checkpoint(official_file)
    assert load_official(saved, networks, official_file) == 30000
    assert torch.equal(generator.nerf.trunk[1].weight, saved["g"]["nerf.xyz_encoding_2.0.weight"])
    assert torch.equal(table.vectors(), official_start(4, "6d"))
    with pytest.raises(UserError, match=r"training poses: does not fit .* of another size: poses_embed"):
        load_official(saved, {"training poses": PoseTable(torch.zeros(5, 9), "6d")}, official_file)
    with pytest.raises(UserError, match="no state dict under 'v'"):
        load_official(saved, {"validation poses": PoseTable(torch.zeros(4, 9), "6d")}, official_file)


# The sizes of the file above.
CONFIG = GNeRFConfig(
    width=16, depth=3, skips=[1], position_octaves=3, direction_octaves=2, coarse=4, fine=4, discriminator_width=8,
    inversion_size=16, inversion_width=16, inversion_depth=1, inversion_heads=2, inversion_head_width=8, batch=2, steps=4,
    hybrid_from=1, refine_from=2,
)  # fmt: skip


def photographs(count: int) -> dict[str, np.ndarray]:
    image_plane = np.array([[30.0, 0, 12], [0, 30, 12], [0, 0, 1]])
    return {"images": np.full((count, 3, 24, 24), 0.5, np.float32), "intrinsics": np.tile(image_plane, (count, 1, 1))}


def test_a_fit_may_begin_with_an_official_one(official_file: Path, make_loop: Callable[..., Any]) -> None:
    saved = torch.load(official_file, weights_only=False)
    method = GNeRF(replace(CONFIG, weights=str(official_file)))
    assert torch.equal(method.generator.nerf.trunk[0].bias, saved["g"]["nerf.xyz_encoding_1.0.bias"])
    assert torch.equal(method.inversion.state_dict()["main.cls_token"], saved["i"]["main.cls_token"])
    with torch.no_grad():
        assert len(method.reconstruct(photographs(4)).cameras or []) == 4
    next(method.fit_steps(photographs(4), make_loop(None, batch_size=1)))
    with pytest.raises(UserError, match=r"method.weights: .* has poses of 4 images, but 3 are given"):
        next(method.fit_steps(photographs(3), make_loop(None, batch_size=1)))


def test_poses_may_begin_where_the_official_code_begins(make_loop: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    tables = {}
    for start in ("official", "prior"):
        method = GNeRF(replace(CONFIG, start=start, pose_lr=1e-9))
        next(method.fit_steps(photographs(3), make_loop(None, batch_size=1)))
        tables[start] = method.table.vectors().detach()
    torch.testing.assert_close(tables["official"], official_start(3, "6d"), atol=1e-6, rtol=0)
    assert (tables["prior"][:, :3].norm(dim=1) - 4).abs().max() < 1e-4


def test_rates_are_halved_after_so_many_steps() -> None:
    schedules = Schedules(generator_half=10, pose_half=4)
    assert [schedules.network_factor(step) for step in (0, 9, 10, 19, 20)] == [1, 1, 0.5, 0.5, 0.25]
    assert [schedules.pose_factor(step) for step in (3, 4, 8)] == [1, 0.5, 0.25]


def test_the_min_scale_of_a_patch_is_never_less_than_its_pixels() -> None:
    schedules = Schedules(patch=16, anneal=0.1)
    found = [schedules.min_scale(step, 64, 32) for step in range(60)]
    assert found[0] == 0.8
    assert found[-1] == 16 / 64
    assert all(later <= earlier for earlier, later in pairwise(found))


def test_no_layer_of_the_discriminator_stretches() -> None:
    """Spectral normalisation: after its power iterations, a layer's matrix has norm 1."""
    torch.manual_seed(0)
    network = PatchDiscriminator(16, 8)
    for _ in range(60):
        network(torch.rand(2, 3, 16, 16), torch.rand(2))
    network.eval()
    before = network(torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([0.3, 0.7]))
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)
    # No power iterations are performed in evaluation mode.
    again = network(torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([0.3, 0.7]))
    assert torch.equal(before, again)


def test_the_discriminator_knows_how_large_a_part_it_sees() -> None:
    torch.manual_seed(0)
    network, patches = PatchDiscriminator(16, 8).eval(), torch.rand(1, 3, 16, 16).expand(3, -1, -1, -1)
    logits = network(patches, torch.tensor([0.2, 0.2, 0.9]))
    assert logits[0] == logits[1]
    assert logits[0] != logits[2]


def test_colours_are_changed_as_the_numbers_say() -> None:
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    units = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    torch.testing.assert_close(brighten(images, units) - images, torch.tensor([-0.5, 0.5]).view(2, 1, 1, 1).expand_as(images))
    grey = saturate(images, torch.zeros(2, 1, 1, 1))
    torch.testing.assert_close(grey, images.mean(1, keepdim=True).expand_as(images))
    torch.testing.assert_close(saturate(images, torch.full((2, 1, 1, 1), 0.5)), images)
    stretched = stretch_contrast(images, units)
    torch.testing.assert_close(stretched.mean((1, 2, 3)), images.mean((1, 2, 3)))
    torch.testing.assert_close(stretched.std((1, 2, 3)), torch.tensor([0.5, 1.5]) * images.std((1, 2, 3)))
