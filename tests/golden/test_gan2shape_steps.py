"""The three steps of GAN2Shape against the official code's: explanations, pseudo samples, projections, losses and gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.methods.gan2shape.latent_offset import LatentOffset
from deep3dmap.methods.gan2shape.networks import ShapeModel, ShapeNetworks
from deep3dmap.methods.gan2shape.samplers import LightDraw, LightRange, widen_yaw
from deep3dmap.methods.gan2shape.steps import (
    Projector,
    Pseudo,
    Weights,
    canonical_mask,
    pseudo_samples,
    step1,
    step2,
    step3,
)
from deep3dmap.metrics.relief_depth import (
    common_pixels,
    mean_absolute_error,
    mean_angle_deviation,
    mean_squared_error,
    scale_invariant_error,
)
from deep3dmap.nn.official_checkpoints import fill
from deep3dmap.nn.relief_model import Canonical, Explanation, Priors, ReliefSpace
from deep3dmap.nn.stylegan2 import Discriminator, Generator
from deep3dmap.nn.stylegan2.names import to_our_names
from deep3dmap.nn.stylegan2.network_files import infer_discriminator_size, infer_generator_size

Load = Callable[[str], Any]
Error = Callable[[Tensor, np.ndarray], float]
TOLERANCE = 1e-4
NETWORKS = {"netD": "depth", "netA": "albedo", "netV": "view", "netL": "light", "netEnc": "offset"}


@pytest.fixture(scope="module")
def part(load_part: Load) -> Any:
    return load_part("gan2shape/steps64")


def state_of(part: Any, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}."): value for name, value in part.state.items() if name.startswith(f"{prefix}.")}


@pytest.fixture(scope="module")
def model(part: Any) -> ShapeModel:
    settings = part.manifest["settings"]
    assert settings["add_mean_V"]
    assert settings["add_mean_L"]
    space = ReliefSpace(
        settings["image_size"], settings["min_depth"], settings["max_depth"], settings["border_depth"],
        rotation=settings["xyz_rotation_range"], shift=settings["xy_translation_range"],
        shift_z=settings["z_translation_range"], degrees=settings["fov"], pivot=settings["rot_center_depth"],
    )  # fmt: skip
    networks = ShapeNetworks(space.size, settings["z_dim"])
    for theirs, ours in NETWORKS.items():
        getattr(networks, ours).load_state_dict(state_of(part, theirs))
    return ShapeModel(networks, space, Priors(part.tensor("view_mean"), part.tensor("light_mean")))


@pytest.fixture(scope="module")
def generator(part: Any) -> Generator:
    state = to_our_names(state_of(part, "generator"), "generator")
    network = Generator(infer_generator_size(state))
    fill(network, state, "golden")
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def discriminator(part: Any) -> Discriminator:
    state = to_our_names(state_of(part, "discriminator"), "discriminator")
    network = Discriminator(infer_discriminator_size(state))
    fill(network, state, "golden")
    return network.requires_grad_(False)


def weights_of(part: Any) -> Weights:
    settings = part.manifest["settings"]
    return Weights(settings["lam_perc"], settings["lam_smooth"], settings["lam_regular"])


def almost_all_close(ours: Tensor, reference: Tensor) -> None:
    assert ours.shape == reference.shape
    assert float(((ours.detach() - reference).abs() <= 1e-3).float().mean()) >= 0.99


def same_loss(ours: Tensor, part: Any, name: str) -> None:
    assert ours.detach().item() == pytest.approx(part.arrays[name].item(), rel=1e-3), name


def same_gradients(loss: Tensor, part: Any, model: ShapeModel, step: str) -> None:
    names = [name for name in part.arrays if name.startswith(f"{step}/grad_")]
    assert names
    parameters = {
        f"{theirs}.{name}": value
        for theirs, ours in NETWORKS.items()
        for name, value in getattr(model.networks, ours).named_parameters()
    }
    for name in names:
        leaf, _, rows = name.removeprefix(f"{step}/grad_").partition("_rows0_")
        (gradient,) = torch.autograd.grad(loss, parameters[leaf], retain_graph=True)
        expected = part.tensor(name)
        error = (gradient[: int(rows) if rows else None] - expected).norm() / expected.norm()
        assert float(error) < 1e-2, name


def first_step(part: Any, model: ShapeModel, mirror: bool) -> tuple[Any, Explanation, Canonical]:
    images = part.tensor("input_im")
    canonical = model.canonical(images)
    loss, found = step1(model, images, canonical, weights_of(part), None, mirror)
    return loss, found, canonical


def test_step1(part: Any, model: ShapeModel, relative_error: Error) -> None:
    loss, found, canonical = first_step(part, model, mirror=False)
    exact = {
        "depth": canonical.depth,
        "albedo": canonical.albedo,
        "view_trans": found.views,
        "normal": model.renderer.camera.normals(canonical.depth),
        "diffuse_shading": found.term,
        "texture": found.texture,
    }
    for name, value in exact.items():
        assert relative_error(value, part.arrays[f"step1/{name}"]) < TOLERANCE, name
    almost_all_close(found.relief.depth, part.tensor("step1/recon_depth"))
    almost_all_close(found.relief.image.clamp(-1, 1), part.tensor("step1/recon_im"))
    almost_all_close(model.renderer.camera.normals(found.relief.depth), part.tensor("step1/recon_normal"))
    valid = found.relief.valid[:, 0]
    assert float((valid == part.tensor("step1/valid")).float().mean()) >= 0.99
    same_loss(loss.terms["photometric"], part, "step1/loss_l1_im")
    same_loss(loss.terms["smoothness"], part, "step1/loss_smooth")
    same_loss(loss.total, part, "step1/loss_total")
    same_gradients(loss.total, part, model, "step1")
    truth, depth = part.tensor("depth_gt"), found.relief.depth.detach()
    mask = common_pixels(truth, valid)
    same_loss(scale_invariant_error(depth, truth, mask), part, "step1/SIDE")
    same_loss(mean_angle_deviation(depth, truth, mask, model.renderer.camera), part, "step1/MAD")
    same_loss(mean_absolute_error(depth, truth, mask), part, "step1/MAE")
    same_loss(mean_squared_error(depth, truth, mask), part, "step1/MSE")


def test_step1_mirrored(part: Any, model: ShapeModel) -> None:
    loss, found, _ = first_step(part, model, mirror=True)
    almost_all_close(found.relief.image.clamp(-1, 1), part.tensor("step1_flip/recon_im"))
    same_loss(loss.terms["photometric"], part, "step1_flip/loss_l1_im")
    same_loss(loss.terms["photometric_mirrored"], part, "step1_flip/loss_l1_im_flip")
    same_loss(loss.total, part, "step1_flip/loss_total")
    same_gradients(loss.total, part, model, "step1_flip")


def test_canonical_mask(part: Any, model: ShapeModel) -> None:
    _, found, canonical = first_step(part, model, mirror=False)
    ours = canonical_mask(model, canonical, found.views, part.tensor("input_mask"))
    expected = part.tensor("step1/canon_mask")
    almost_all_close(ours, expected)


@pytest.fixture(scope="module")
def second_step(part: Any, model: ShapeModel, generator: Generator) -> tuple[Pseudo, Any]:
    settings = part.manifest["settings"]
    _, found, _ = first_step(part, model, mirror=False)
    draws = LightDraw(*(part.tensor(f"step2/u_{name}") for name in ("light_x", "light_y", "diffuse")))
    views = widen_yaw(part.tensor("step2/view_samples_before_view_scale"), settings["view_scale"])
    mask = part.tensor("step1/canon_mask")
    pseudo, _ = pseudo_samples(model, found, mask, views, draws, LightRange.of(settings["rand_light"]))
    almost_all_close(pseudo.images, part.tensor("step2/pseudo_im"))
    assert float((pseudo.mask == part.tensor("step2/mask")).float().mean()) > 0.99
    # The rest goes on with the official pictures, so that rasterised edges do not matter twice.
    given = Pseudo(part.tensor("step2/pseudo_im"), part.tensor("step2/mask"))
    projector = Projector(generator, LatentOffset(generator.mapping, settings["F1_d"]), settings["relative_enc"])
    return given, projector


def test_step2(
    part: Any, model: ShapeModel, second_step: tuple[Pseudo, Projector], discriminator: Discriminator, relative_error: Error
) -> None:
    pseudo, projector = second_step
    own, latent = part.tensor("step2/gan_im"), part.tensor("step2/latent_w")
    picture = projector.to_working_size(projector.generator.synthesis(latent), own.shape[2])
    assert relative_error(picture, own.numpy()) < TOLERANCE
    assert relative_error(projector.offsets.center, part.arrays["step2/center_w"]) < TOLERANCE
    assert relative_error(projector.offsets.center_inner, part.arrays["step2/center_h"]) < TOLERANCE
    found = projector.project(model, pseudo.images, latent, own)
    for name, value in (("offset", found.offset), ("latent", found.latent), ("proj_im", found.images)):
        assert relative_error(value, part.arrays[f"step2/{name}"]) < TOLERANCE, name
    loss = step2(found, pseudo, discriminator, weights_of(part))
    same_loss(loss.terms["photometric"], part, "step2/loss_l1")
    same_loss(loss.terms["discriminator"], part, "step2/loss_rec")
    same_loss(loss.terms["offset"], part, "step2/loss_latent_norm")
    same_loss(loss.total, part, "step2/loss_total")
    same_gradients(loss.total, part, model, "step2")
    whole = Projector(projector.generator, LatentOffset(projector.generator.mapping, 8), projector.relative)
    offset = whole.project(model, pseudo.images, latent, own).offset
    assert relative_error(offset, part.arrays["step2/offset_F1_d8"]) < TOLERANCE


@pytest.mark.parametrize(("name", "mirror"), [("step3", False), ("step3_flip", True)])
def test_step3(part: Any, model: ShapeModel, name: str, mirror: bool) -> None:
    images = part.tensor("input_im")
    canonical = model.canonical(images)
    projected = Pseudo(part.tensor("step2/proj_im"), part.tensor("step2/mask"))
    own, _ = step1(model, images, canonical, weights_of(part), None, mirror)
    loss, found = step3(model, projected, canonical, weights_of(part), None, mirror)
    almost_all_close(found.relief.depth, part.tensor(f"{name}/recon_depth"))
    almost_all_close(found.relief.image.clamp(-1, 1), part.tensor(f"{name}/recon_im"))
    same_loss(loss.terms["photometric"], part, f"{name}/loss_l1_proj")
    if mirror:
        same_loss(loss.terms["photometric_mirrored"], part, f"{name}/loss_l1_proj_flip")
    total = own.total + loss.total
    same_loss(total, part, f"{name}/loss_total")
    same_gradients(total, part, model, name)
