"""Data passed between steps: pseudo samples, projected samples, phases, and the noise of the inversion."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deep3dmap.config.schema import FitConfig, OptimizerConfig
from deep3dmap.frameworks import LoopSettings, TrainLoop
from deep3dmap.methods.gan2shape.findings import Findings, Wall
from deep3dmap.methods.gan2shape.frozen_gan import frozen_gan
from deep3dmap.methods.gan2shape.inversion import inversion_loss
from deep3dmap.methods.gan2shape.latent_offset import LatentOffset
from deep3dmap.methods.gan2shape.networks import ShapeModel, ShapeNetworks
from deep3dmap.methods.gan2shape.options import UNTRAINED
from deep3dmap.methods.gan2shape.phases import Phases
from deep3dmap.methods.gan2shape.projected import ProjectedSamples
from deep3dmap.methods.gan2shape.pseudo_sampler import Explainer, PseudoSampler
from deep3dmap.methods.gan2shape.samplers import LightRange, ViewPrior
from deep3dmap.methods.gan2shape.steps import Loss, Origin, Projector, Pseudo, PseudoBatch
from deep3dmap.methods.gan2shape.subjects import Subjects
from deep3dmap.nn.relief_model import YAW, Priors, ReliefSpace
from deep3dmap.nn.stylegan2 import latent_statistics
from deep3dmap.testing.method_under_test import OwnProcessHost
from deep3dmap.train.scene_fits import fit_settings

SIDE = 16
PICTURES = torch.rand(3, 1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(9)) * 2 - 1


@pytest.fixture
def projector() -> Projector:
    generator, _ = frozen_gan(UNTRAINED)
    return Projector(generator, LatentOffset(generator.mapping, 2))


@pytest.fixture
def model() -> ShapeModel:
    torch.manual_seed(0)
    return ShapeModel(ShapeNetworks(SIDE, 16, width=8, code=8, offset_width=4), ReliefSpace(SIDE), Priors())


@pytest.fixture
def subjects() -> Subjects:
    return Subjects(range(3), lambda index: PICTURES[index], torch.randn(3, 16, generator=torch.Generator().manual_seed(1)))


def explainer(model: ShapeModel, projector: Projector, yaw: float = 0.2) -> Explainer:
    deviation = torch.tensor([1e-4, yaw, 1e-4, 1e-4, 1e-4, 1e-4])
    return Explainer(model, projector, ViewPrior(torch.zeros(6), deviation.square().diag()), LightRange(), 1.5, SIDE)


def test_pseudo_samples_of_a_subject_are_turned_as_the_prior_says(
    model: ShapeModel, projector: Projector, subjects: Subjects
) -> None:
    torch.manual_seed(2)
    sampler = PseudoSampler(explainer(model, projector), subjects, 400)
    drawn, _ = sampler.draw(1)
    assert float(drawn.origin.views[:, YAW].std()) == pytest.approx(0.2 * 1.5, rel=0.1)
    assert float(drawn.origin.views[:, 0].abs().max()) < 1e-3
    # A stronger directional light comes with less ambient light.
    ambient, diffuse = drawn.origin.lights[:, 0], drawn.origin.lights[:, 1]
    slope = ((ambient - ambient.mean()) * (diffuse - diffuse.mean())).sum() / (diffuse - diffuse.mean()).square().sum()
    assert float(slope) == pytest.approx(-0.6, abs=1e-3)
    torch.testing.assert_close(drawn.origin.lights[:, 2:].norm(dim=1), torch.ones(400))


def test_projections_carry_gradients_to_the_offsets_alone(model: ShapeModel, projector: Projector, subjects: Subjects) -> None:
    sampler = PseudoSampler(explainer(model, projector), subjects, 2)
    drawn, found = sampler.draw(0)
    assert not drawn.pseudo.images.requires_grad
    (found.images - drawn.pseudo.images).abs().mean().backward()
    assert any(value.grad is not None and value.grad.abs().sum() > 0 for value in model.networks.offset.parameters())
    assert all(value.grad is None for value in model.networks.depth.parameters())


def test_masks_limit_pseudo_samples_and_belong_to_their_subject(
    model: ShapeModel, projector: Projector, subjects: Subjects
) -> None:
    asked: list[int] = []

    def mask_of(subject: int) -> torch.Tensor:
        asked.append(subject)
        mask = torch.zeros(1, 1, SIDE, SIDE)
        mask[..., :8] = 1 if subject else 0
        return mask

    sampler = PseudoSampler(explainer(model, projector, yaw=1e-4), subjects, 3, mask_of)
    assert float(sampler.draw(0)[0].pseudo.mask.sum()) == 0
    mask = sampler.draw(2)[0].pseudo.mask
    assert float(mask[..., 2:14, 2:6].mean()) == 1
    assert float(mask[..., 11:].mean()) < 0.1
    sampler.draw(2)
    assert asked == [0, 2]


def test_projected_samples_are_made_again_from_their_codes(projector: Projector) -> None:
    kept = ProjectedSamples(2, 3, 16, SIDE)
    codes = torch.randn(3, 16, generator=torch.Generator().manual_seed(4))
    origin = Origin(torch.randn(3, 6), torch.randn(3, 5))
    mask = torch.rand(3, 1, SIDE, SIDE)
    kept.keep(1, codes, PseudoBatch(Pseudo(torch.zeros(3, 3, SIDE, SIDE), mask), origin))
    again = ProjectedSamples(2, 3, 16, SIDE)
    again.load_state_dict(kept.state_dict())
    batch = again.batch(1, projector)
    torch.testing.assert_close(batch.images, projector.picture(codes, SIDE))
    assert float((batch.mask - mask).abs().max()) <= 0.5 / 255 + 1e-6
    assert torch.equal(again.origin(1).views, origin.views)
    assert torch.equal(again.origin(1).lights, origin.lights)
    assert float(again.batch(0, projector).mask.abs().max()) == 0


def phase_steps(loop: TrainLoop, learned: torch.nn.Parameter, other: torch.nn.Parameter, lengths: list[int]) -> Iterator[Any]:
    phases = Phases(loop, [learned, other])
    for number, length in enumerate(lengths):
        entered: list[bool] = []

        def prepare(resumed: bool, entered: list[bool] = entered) -> Any:
            entered.append(resumed)
            return lambda at: Loss((learned * other).sum(), {"at": torch.tensor(float(at))})

        for step in phases.run(f"phase {number}", [learned], length, prepare, OptimizerConfig(lr=0.1)):
            yield number, entered, step
            loop.advance()


def test_a_phase_learns_its_own_and_counts_from_its_beginning() -> None:
    loop = TrainLoop(OwnProcessHost(), fit_settings(LoopSettings(), FitConfig()), [])
    learned, other = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    found = [
        (number, entered[0], float(step.terms["at"]), other.requires_grad)
        for number, entered, step in phase_steps(loop, learned, other, [2, 0, 3])
    ]
    assert found == [(0, False, 0, False), (0, False, 1, False), *((2, False, at, False) for at in (0, 1, 2))]
    assert torch.equal(other, torch.ones(2))
    assert learned.requires_grad
    assert other.requires_grad
    assert other.grad is None


def test_phases_that_are_over_are_not_entered_again() -> None:
    loop = TrainLoop(OwnProcessHost(), fit_settings(LoopSettings(), FitConfig()), [])
    loop.step = 4
    learned, other = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    found = [
        (number, entered[0], float(step.terms["at"])) for number, entered, step in phase_steps(loop, learned, other, [3, 4])
    ]
    assert found == [(1, True, at) for at in (1, 2, 3)]


def test_a_fit_that_is_left_in_the_middle_leaves_everything_learnable() -> None:
    loop = TrainLoop(OwnProcessHost(), fit_settings(LoopSettings(), FitConfig()), [])
    learned, other = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    generator = phase_steps(loop, learned, other, [5])
    next(generator)
    assert not other.requires_grad
    generator.close()  # type: ignore[attr-defined]
    assert other.requires_grad


def test_the_noise_of_the_inversion_dies_away(projector: Projector) -> None:
    mean, spread = latent_statistics(projector.generator.mapping, 512, torch.Generator().manual_seed(0))
    target = projector.picture(mean, SIDE)

    def losses(done: float) -> list[float]:
        torch.manual_seed(0)
        found = [
            inversion_loss(projector, mean, spread, target, lambda a, b: (a - b).square().mean((1, 2, 3)), done)
            for _ in range(4)
        ]
        return [float(one.total.detach()) for one in found]

    early, late = losses(0.0), losses(0.8)
    assert min(early) > 0
    assert len(set(early)) == 4
    assert max(late) < 1e-6


def test_statistics_of_latents_are_those_of_many(projector: Projector) -> None:
    mapping = projector.generator.mapping
    mean, spread = latent_statistics(mapping, 4000, torch.Generator().manual_seed(1))
    with torch.no_grad():
        w = mapping(torch.randn(4000, 16, generator=torch.Generator().manual_seed(2)))
    torch.testing.assert_close(mean[0], w.mean(0), atol=0.05 * float(spread), rtol=0)
    assert float((w - mean).norm(dim=1).square().mean().sqrt()) == pytest.approx(float(spread), rel=0.05)


def test_pictures_of_what_was_found(model: ShapeModel, projector: Projector) -> None:
    with torch.no_grad():
        found = model.explain(PICTURES[0], model.canonical(PICTURES[0]))
        findings = Findings(model, found, projector, torch.zeros(1, 16), projector.picture(torch.zeros(1, 16), SIDE))
        assert findings.rotated_gan().shape == (5, 3, SIDE, SIDE)
        shown = findings.reconstruction({"gan": "untrained"})
    own = {"input_by_gan.png", "rotated_gan.png"}
    assert set(shown.files) == own | {"albedo.png", "relit.png", "rotated_mesh.png", "textured.glb"}
    assert shown.notes == {"gan": "untrained"}


def test_a_wall_replaces_what_the_networks_predict_around_the_object(model: ShapeModel, projector: Projector) -> None:
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., 4:-4, 4:-4] = 1
    wall = Wall(mask, torch.tensor([0.5, -0.25, 0.0])[None, :, None, None])
    with torch.no_grad():
        found = model.explain(PICTURES[0], model.canonical(PICTURES[0]))
        own = projector.picture(torch.zeros(1, 16), SIDE)
        shown = Findings(model, found, projector, torch.zeros(1, 16), own, wall).reconstruction({})
    inside = mask[0, 0].bool()
    expected = (wall.color[0, :, 0, 0] / 2 + 0.5).numpy()
    assert shown.texture is not None
    np.testing.assert_allclose(shown.texture[:, ~inside].T, np.broadcast_to(expected, ((~inside).sum(), 3)), atol=1e-6)
    np.testing.assert_allclose(shown.texture[:, inside], (found.texture[0] / 2 + 0.5).clamp(0, 1)[:, inside], atol=1e-6)
    for name, copies in (("albedo", 1), ("relit", 3)):
        strip = np.asarray(Image.open(io.BytesIO(shown.files[f"{name}.png"]))) / 255
        np.testing.assert_allclose(strip[0, : copies * SIDE], np.broadcast_to(expected, (copies * SIDE, 3)), atol=1 / 255)
