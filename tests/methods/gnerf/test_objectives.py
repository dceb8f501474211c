"""GNeRF's losses: each has gradients only for the parameters of its own update, and matches the paper."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from deep3dmap.methods.gnerf.discriminator import PatchDiscriminator
from deep3dmap.methods.gnerf.generator import Generator, GeneratorConfig, Randomness
from deep3dmap.methods.gnerf.inversion_network import InversionNetwork
from deep3dmap.methods.gnerf.objectives import (
    ImagePlane,
    Weights,
    discriminate,
    follow_inversion,
    fool,
    invert_renderings,
    render_both,
    reproduce,
)
from deep3dmap.methods.gnerf.pose_prior import PosePrior
from deep3dmap.methods.gnerf.pose_table import PoseTable
from deep3dmap.methods.gnerf.pose_vectors import vectors_of_poses
from deep3dmap.nn.radiance.patches import crop_patches, random_patches

IMAGE_PLANE = ImagePlane(torch.tensor([[30.0, 0, 16], [0, 30, 16], [0, 0, 1]]), 32, 32)
COUNT = 3


class Networks(NamedTuple):
    generator: Generator
    discriminator: PatchDiscriminator
    inversion: InversionNetwork
    table: PoseTable


@pytest.fixture
def networks() -> Networks:
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(12, 2, (), 3, 2, coarse=6, fine=6))
    nn.init.constant_(generator.nerf.density_head.bias, 0.5)
    start = PosePrior().sample(COUNT, torch.Generator().manual_seed(1))
    table = PoseTable(vectors_of_poses(start, "6d"), "6d")
    return Networks(generator, PatchDiscriminator(16, 4), InversionNetwork("6d", 16, 16, 1, 2, 8, 16), table)


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(COUNT, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1


def reached(networks: Networks, loss: Tensor) -> set[str]:
    loss.backward()

    def names() -> Iterator[str]:
        for name, network in networks._asdict().items():
            gradients = [parameter.grad for parameter in network.parameters()]
            if any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients):
                yield name

    return set(names())


def fakes(networks: Networks, random: torch.Generator) -> tuple[Tensor, Tensor]:
    patches = random_patches(COUNT, 16, 0.5, random)
    poses = PosePrior().sample(COUNT, random)
    return render_both(networks.generator, patches.coordinates, poses, IMAGE_PLANE, Randomness(random, 1.0)), patches.scale


def test_the_generator_learns_to_fool(networks: Networks, random: torch.Generator) -> None:
    fake, scale = fakes(networks, random)
    assert fake.shape == (2 * COUNT, 3, 16, 16)
    networks.discriminator.requires_grad_(False)
    assert reached(networks, fool(networks.discriminator, fake, scale, random)) == {"generator"}


def test_the_discriminator_learns_from_both(networks: Networks, random: torch.Generator, images: Tensor) -> None:
    fake = fakes(networks, random)
    patches = random_patches(COUNT, 16, 0.5, random)
    real = crop_patches(images, patches.coordinates), patches.scale
    losses = [
        discriminate(networks.discriminator, real, fake, torch.Generator().manual_seed(3), Weights(penalty=weight))
        for weight in (0.0, 10.0)
    ]
    assert losses[1] > losses[0]
    assert reached(networks, losses[1]) == {"discriminator"}


def test_the_inversion_network_learns_from_renderings(networks: Networks, random: torch.Generator) -> None:
    poses = PosePrior().sample(COUNT, random)
    loss = invert_renderings(networks.inversion, networks.generator, poses, IMAGE_PLANE, None)
    assert reached(networks, loss) == {"inversion"}


def test_poses_follow_the_inversion_network(networks: Networks, images: Tensor) -> None:
    loss = follow_inversion(networks.table, networks.inversion, images[:2], torch.tensor([2, 0]), Weights())
    assert reached(networks, loss) == {"table"}
    gradient = networks.table.poses_embed.grad
    assert gradient is not None
    assert gradient[1].abs().sum() == 0
    assert gradient[[0, 2]].abs().sum() > 0


def test_colours_teach_field_and_poses(networks: Networks, random: torch.Generator, images: Tensor) -> None:
    patches = random_patches(COUNT, 16, 0.5, random)
    loss = reproduce(networks.generator, networks.table(), images, patches, IMAGE_PLANE, None, Weights())
    assert reached(networks, loss) == {"generator", "table"}


def test_a_rendering_reproduces_itself(networks: Networks, random: torch.Generator) -> None:
    poses = PosePrior().sample(1, random)
    patches = random_patches(1, 16, 1.0, random)
    with torch.no_grad():
        size = (IMAGE_PLANE.height, IMAGE_PLANE.width)
        coarse, fine = networks.generator(patches.coordinates, poses, IMAGE_PLANE.intrinsics, size)
        # Sampled at its own pixels, the fine image equals itself, so the loss is due to the coarse pass.
        loss = reproduce(networks.generator, poses, fine, patches, IMAGE_PLANE, None, Weights(photometric=1.0))
    assert loss.item() == pytest.approx(((coarse - fine) ** 2).mean().item() / 2, rel=1e-4)


def test_photometric_refinement_brings_a_pose_back(networks: Networks, random: torch.Generator) -> None:
    truth = PosePrior(elevation=(20, 40)).sample(1, random)
    with torch.no_grad():
        patches = random_patches(1, 32, 1.0, random)
        size = (IMAGE_PLANE.height, IMAGE_PLANE.width)
        _, image = networks.generator(patches.coordinates, truth, IMAGE_PLANE.intrinsics, size)
    start = vectors_of_poses(truth, "6d")
    table = PoseTable(start + 0.03 * torch.randn(start.shape, generator=random), "6d")
    optimizer = torch.optim.Adam(table.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = reproduce(networks.generator, table(), image, patches, IMAGE_PLANE, None, Weights())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
