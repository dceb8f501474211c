"""GNeRF's networks and augmentation against the official ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.frameworks.gradients import gradient_penalty
from deep3dmap.geometry.cameras import scale_intrinsics
from deep3dmap.methods.gnerf.augmentation import brighten, cut_out, saturate, stretch_contrast
from deep3dmap.methods.gnerf.discriminator import PatchDiscriminator
from deep3dmap.methods.gnerf.generator import Generator, GeneratorConfig, Passes
from deep3dmap.methods.gnerf.inversion_network import InversionNetwork
from deep3dmap.methods.gnerf.official_weights import from_official_generator, from_official_names
from deep3dmap.nn.adversarial_losses import discriminator_loss, generator_loss
from deep3dmap.nn.radiance.nerf_mlp import NeRFMLP
from deep3dmap.nn.radiance.volume_rendering import RayColors
from deep3dmap.render.volume import Rays

Error = Callable[[Tensor, np.ndarray], float]
Load = Callable[[str], Any]


@pytest.mark.parametrize("name", ["mlp_gnerf", "mlp_small"])
def test_field(load_part: Load, relative_error: Error, name: str) -> None:
    part = load_part(f"gnerf/{name}")
    settings = part.manifest["settings"]
    sizes = (settings["fc_dim"], settings["fc_depth"], settings["skips"], settings["xyz_freq"], settings["dir_freq"])
    network = NeRFMLP(*sizes)
    network.load_state_dict(from_official_names(part.state))
    assert sum(parameter.numel() for parameter in network.parameters()) == part.manifest["n_params"]
    given = part.tensor("x").clone().requires_grad_()
    density, color = network.raw(given[:, :3], given[:, 3:])
    output = torch.cat([color, density[:, None]], 1)
    assert relative_error(output, part.arrays["out"]) < 1e-4
    assert relative_error(density[:, None], part.arrays["sigma_only"]) < 1e-4
    (gradient,) = torch.autograd.grad((output * part.tensor("grad_out")).sum(), given)
    assert relative_error(gradient, part.arrays["grad_x"]) < 1e-4


def generator_of(part: Any) -> Generator:
    settings = part.manifest["settings"]
    config = GeneratorConfig(
        width=settings["fc_dim"],
        depth=settings["fc_depth"],
        skips=tuple(settings.get("skips", (4,))),
        position_octaves=settings["xyz_freq"],
        direction_octaves=settings["dir_freq"],
        coarse=settings["N_samples"],
        fine=settings["N_importance"],
        near=settings["near"],
        far=settings["far"],
        white=settings["white_back"],
    )
    generator = Generator(config)
    generator.load_state_dict(from_official_generator(part.state))
    return generator


@pytest.mark.parametrize(
    ("name", "coarse", "worst", "mean"), [("generator", 1e-4, 1e-2, 1e-3), ("generator_small", 1e-5, 5e-3, 5e-4)]
)
def test_rendering_of_rays(load_part: Load, name: str, coarse: float, worst: float, mean: float) -> None:
    part = load_part(f"gnerf/{name}")
    rays = part.tensor("rays")
    with torch.no_grad():
        passes: Passes = generator_of(part).render(Rays(rays[:, :3], rays[:, 3:6]))
    assert np.abs(passes.coarse.color.numpy() - part.arrays["ray_coarse_rgb"]).max() < coarse
    assert np.abs(passes.coarse.opacity[:, None].numpy() - part.arrays["ray_coarse_opacity"]).max() < coarse
    fine: RayColors = passes.fine
    errors = [np.abs(fine.color.numpy() - part.arrays["ray_fine_rgb"])]
    errors += [np.abs(fine.opacity[:, None].numpy() - part.arrays["ray_fine_opacity"])]
    errors += [np.abs(fine.depth[:, None].numpy() - part.arrays["ray_fine_depth"]) / 6]
    for error in errors:
        assert error.max() < worst
        assert error.mean() < mean


@pytest.mark.parametrize(("name", "worst", "mean"), [("generator", 1e-2, 1e-3), ("generator_small", 5e-3, 5e-4)])
def test_whole_images_and_their_gradient(load_part: Load, name: str, worst: float, mean: float) -> None:
    part = load_part(f"gnerf/{name}")
    width, height = part.manifest["settings"]["img_wh"]
    intrinsics = scale_intrinsics(part.tensor("K0"), *part.manifest["settings"]["intrinsic_scale"])
    intrinsics[:2, 2] += 0.5
    poses = part.tensor("poses").clone().requires_grad_()
    _, fine = generator_of(part)(part.tensor("coords"), poses, intrinsics, (height, width))
    # The images run from -1 to 1, so that errors are twice those of the colours.
    error = np.abs(fine.detach().numpy() - part.arrays["rgb"])
    assert error.max() < 2 * worst
    assert error.mean() < 2 * mean
    (gradient,) = torch.autograd.grad((fine * part.tensor("grad_out")).sum(), poses)
    assert torch.cosine_similarity(gradient.flatten(), part.tensor("grad_poses").flatten(), 0) > 0.999


@pytest.mark.parametrize("side", [16, 32, 64])
def test_discriminator(load_part: Load, relative_error: Error, side: int) -> None:
    part = load_part(f"gnerf/discriminator{side}")
    network = PatchDiscriminator(side, part.manifest["settings"]["ndf"])
    network.load_state_dict(part.state)
    assert sum(parameter.numel() for parameter in network.parameters()) == part.manifest["n_params"]
    patches, scale = part.tensor("x").clone().requires_grad_(), part.tensor("scale").flatten()
    logits = network(patches, scale)
    assert relative_error(logits, part.arrays["logits"]) < 1e-4
    penalty = gradient_penalty(logits, patches)
    assert relative_error(penalty, part.arrays["r1_per_sample"]) < 1e-3
    assert relative_error(10 * penalty.mean()[None], part.arrays["reg_10_mean"]) < 1e-3
    (gradient,) = torch.autograd.grad(logits.sum(), patches)
    assert relative_error(gradient, part.arrays["grad_x_of_sum"]) < 1e-3
    real, fake = part.arrays["bce_real"], part.arrays["bce_fake"]
    assert relative_error(generator_loss(logits)[None], real) < 1e-4
    assert relative_error(discriminator_loss(logits, logits)[None], real + fake) < 1e-4
    assert relative_error(network(patches, scale), part.arrays["logits_second_forward"]) < 1e-4
    assert relative_error(network.eval()(patches, scale), part.arrays["logits_eval_after_two"]) < 1e-4


def test_augmentation(load_part: Load, relative_error: Error) -> None:
    part = load_part("gnerf/diffaugment")
    images = part.tensor("x")
    bright, saturation, contrast = (part.tensor(f"u_{name}") for name in ("brightness", "saturation", "contrast"))
    places = part.tensor("off_row").flatten(), part.tensor("off_col").flatten()
    assert relative_error(brighten(images, bright), part.arrays["brightness"]) < 1e-5
    assert relative_error(saturate(images, saturation), part.arrays["saturation"]) < 1e-5
    assert relative_error(stretch_contrast(images, contrast), part.arrays["contrast"]) < 1e-5
    assert relative_error(cut_out(images, *places), part.arrays["cutout"]) < 1e-5
    chain = cut_out(stretch_contrast(saturate(brighten(images, bright), saturation), contrast), *places)
    assert relative_error(chain, part.arrays["policy_color_cutout"]) < 1e-5


@pytest.mark.parametrize("mode", ["3d", "6d"])
def test_inversion_network(load_part: Load, relative_error: Error, mode: Any) -> None:
    part = load_part(f"gnerf/inversion_net_{mode}")
    settings = part.manifest["settings"]
    sizes = (settings[key] for key in ("imsize", "dim", "depth", "heads", "dim_head", "mlp_dim"))
    network = InversionNetwork(mode, *sizes)
    network.load_state_dict(part.state)
    assert sum(parameter.numel() for parameter in network.parameters()) == part.manifest["n_params"]
    images = part.tensor("x").clone().requires_grad_()
    vectors = network(images)
    assert relative_error(vectors, part.arrays["out"]) < 1e-4
    (gradient,) = torch.autograd.grad((vectors * part.tensor("grad_out")).sum(), images)
    assert relative_error(gradient, part.arrays["grad_x"]) < 1e-4
