"""The fit to one photograph: its phases, exact resumes at every step, trained parameters per phase, and refusals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from deep3dmap.config.schema import FitConfig
from deep3dmap.core import UserError
from deep3dmap.frameworks import LoopSettings, TrainLoop
from deep3dmap.geometry.ellipsoid_relief import ellipsoid_depth
from deep3dmap.geometry.plain_background import plain_background_mask
from deep3dmap.methods.gan2shape import steps
from deep3dmap.methods.gan2shape.bas_relief import ReliefScale
from deep3dmap.methods.gan2shape.frozen_gan import TO_TRY, frozen_gan
from deep3dmap.methods.gan2shape.inversion import inversion_rate
from deep3dmap.methods.gan2shape.method import GAN2Shape
from deep3dmap.methods.gan2shape.options import GAN2ShapeConfig, at_stage
from deep3dmap.methods.gan2shape.steps import view_start
from deep3dmap.nn.stylegan2 import Discriminator, Generator
from deep3dmap.testing.method_under_test import OwnProcessHost
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.scene_fits import SceneFits, fit_settings

TINY = GAN2ShapeConfig(
    gan="untrained", image_size=16, width=8, code=8, offset_width=4, batch=2, collect=2, category="cat",
    inversion=2, ellipsoid=2, stages=2, first=[2, 2, 2], later=[1, 1, 2], mirror_step1=[False, True],
)  # fmt: skip
LENGTH = 2 + 2 + 6 + 4


def photograph(side: int = 16) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side] / side
    ball = (rows - 0.5) ** 2 + (columns - 0.5) ** 2 < 0.1
    image = np.where(ball, 0.3 + 0.4 * columns, 0.9)
    return np.stack([image, image, 0.8 * image]).astype(np.float32)


def build(config: GAN2ShapeConfig = TINY) -> GAN2Shape:
    torch.manual_seed(0)
    return GAN2Shape(config)


def fitted(folder: Path, *stops: int, config: GAN2ShapeConfig = TINY) -> GAN2Shape:
    """Fit, interrupting after each of `stops` steps and resuming in a new instance."""
    for stop in (*stops, 0):
        method = build(config)
        fits = SceneFits(method, fit_settings(LoopSettings(), FitConfig()), OwnProcessHost(stop), folder, {})
        fits.fit("ball", {"image": photograph()})
    return method


def state(method: GAN2Shape) -> dict[str, Any]:
    return {name: value.clone() for name, value in method.state_dict().items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> GAN2Shape:
    return fitted(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("stops", [(1,), (3,), (5,), (7,), (8,), (9,), (10,), (11,), (13,), (2, 2, 5, 1)])
def test_it_goes_on_exactly_wherever_it_was_interrupted(stops: tuple[int, ...], whole: GAN2Shape, tmp_path: Path) -> None:
    wanted, found = state(whole), state(fitted(tmp_path, *stops))
    assert wanted.keys() == found.keys()
    differing = [name for name in wanted if not torch.equal(wanted[name], found[name])]
    assert differing == []


# As the procedural heads are fitted: on the object only, and with views initialised from the known ones.
STARTED = replace(TINY, view_start=2, view_weight=2.0, relief_weight=1.0, use_mask=True, mask_photograph=True, residual=True)


@pytest.mark.parametrize("stops", [(8,), (9,), (10,), (11,)])
def test_it_goes_on_exactly_in_and_after_the_start_of_views(stops: tuple[int, ...], tmp_path: Path) -> None:
    wanted, found = (state(fitted(tmp_path / name, *s, config=STARTED)) for name, s in (("whole", ()), ("parts", stops)))
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []


def test_known_views_stay_known_where_they_have_a_weight() -> None:
    """With a weight, views deviate less from the known ones, after the same steps from the same start."""
    apart = []
    for weight in (0.0, 20.0):
        method = build(replace(STARTED, view_weight=weight, residual=False, stages=1, first=[1, 1, 12], lr=1e-3))
        loop = TrainLoop(OwnProcessHost(), fit_settings(LoopSettings(), FitConfig()), [])
        names = [set(step.terms) for step in _counted(method, loop)]
        assert {"view", "light"} <= names[-1] if weight else not {"view", "light"} & names[-1]
        with torch.no_grad():
            shown, origin = method.projected.batch(0, method.projector).images, method.projected.origin(0)
            picture = torch.from_numpy(photograph())[None] * 2 - 1
            known = view_start(method.model, shown, origin, picture, method.projected.own_views)
            apart.append(float(known.total))
    assert apart[1] < 0.8 * apart[0]


def test_the_relief_keeps_the_scale_of_the_ellipsoid_where_that_has_a_weight() -> None:
    errors = []
    for weight in (0.0, 100.0):
        method = build(replace(TINY, relief_weight=weight, stages=1, first=[1, 1, 12], ellipsoid=20, lr=1e-3))
        loop = TrainLoop(OwnProcessHost(), fit_settings(LoopSettings(), FitConfig()), [])
        names = [set(step.terms) for step in _counted(method, loop)]
        assert ("relief" in names[-1]) == bool(weight)
        picture = torch.from_numpy(photograph())[None] * 2 - 1
        with torch.no_grad():
            depth = method.model.canonical(picture).depth[0]
        errors.append(float(ReliefScale.of(method._ellipsoid(picture)).error(depth)))
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.parametrize("residual", [False, True])
def test_what_the_generators_own_picture_lacks_is_added_to_the_others(residual: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    method, seen = build(replace(TINY, residual=residual)), []
    explained = steps.step3
    monkeypatch.setattr(steps, "step3", lambda model, sample, *a: (seen.append(sample.images), explained(model, sample, *a))[1])
    loop = TrainLoop(OwnProcessHost(), fit_settings(LoopSettings(), FitConfig()), [])
    before = next(state(method) for _ in _counted(method, loop) if seen)
    picture = torch.from_numpy(photograph())[None] * 2 - 1
    own = method.projector.picture(before["latent"], picture.shape[-1])
    shown = method.projector.picture(before["projected.codes"][0], picture.shape[-1])
    expected = (shown + picture - own).clamp(-1, 1) if residual else shown
    torch.testing.assert_close(seen[0], expected)
    assert float((picture - own).abs().max()) > 0.1


def test_the_start_of_views_moves_views_and_lights_only() -> None:
    method, moved = build(STARTED), []
    loop = TrainLoop(OwnProcessHost(), fit_settings(LoopSettings(), FitConfig()), [])
    before = state(method)
    for _ in _counted(method, loop):
        now = state(method)
        moved.append({name.split(".")[1] for name in now if name != "latent" and not torch.equal(now[name], before[name])})
        before = now
    assert loop.planned_steps == len(moved) == LENGTH + 2
    # Samples are collected when this phase begins, and not again for the first step 3.
    assert moved[8] == {"view", "light", "codes", "masks", "views", "lights", "own_views"}
    assert moved[9] == {"view", "light"}
    assert moved[10] == {"depth", "albedo", "view", "light"}
    assert method.projected.masks.float().mean() < 200


def test_the_schedule_has_an_end(whole: GAN2Shape, tmp_path: Path) -> None:
    loop = TrainLoop(OwnProcessHost(), fit_settings(LoopSettings(), FitConfig()), [])
    steps = list(_counted(build(), loop))
    assert len(steps) == loop.planned_steps == TINY.fit_length == LENGTH


def _counted(method: GAN2Shape, loop: TrainLoop) -> Any:
    for step in method.fit_steps({"image": photograph()}, loop):
        yield step
        loop.advance()


def test_each_phase_moves_what_it_learns_and_nothing_else() -> None:
    method = build()
    loop = TrainLoop(OwnProcessHost(), fit_settings(LoopSettings(), FitConfig()), [])
    before, moved = state(method), []
    for _ in _counted(method, loop):
        now = state(method)
        moved.append(
            {name.split(".")[0 if name == "latent" else 1] for name in now if not torch.equal(now[name], before[name])}
        )
        before = now
    step3 = {"depth", "albedo", "view", "light"}
    assert moved[:4] == [{"latent"}, {"latent"}, {"depth"}, {"depth"}]
    assert moved[4:8] == [{"albedo"}, {"albedo"}, {"offset"}, {"offset"}]
    assert moved[8] == step3 | {"codes", "masks", "views", "lights", "own_views"}
    assert moved[9] == step3
    assert moved[10:12] == [{"albedo"}, {"offset"}]
    assert moved[13] == step3
    assert not any(p.grad is not None for p in method.parameters())
    assert all(p.requires_grad for p in (method.latent, *method.networks.parameters()))


def test_the_gan_is_in_no_checkpoint(whole: GAN2Shape) -> None:
    assert {name.partition(".")[0] for name in whole.state_dict()} == {
        *("latent", "networks", "projected", "joint_latents", "joint_projected")
    }
    assert not any(p.requires_grad for p in (*whole.generator.parameters(), *whole.discriminator.parameters()))


def test_the_depth_network_learns_the_ellipsoid() -> None:
    config = replace(TINY, ellipsoid=150, inversion=1, stages=1, first=[0, 0, 0], lr=1e-3)
    method = build(config)
    for _ in _counted(method, TrainLoop(OwnProcessHost(), fit_settings(LoopSettings(), FitConfig()), [])):
        pass
    image = torch.from_numpy(photograph())
    prior = ellipsoid_depth(plain_background_mask(image), "cat")
    with torch.no_grad():
        found = method.model.space.to_depth(method.networks.depth(image[None] * 2 - 1))[0]
    assert (found - prior).abs().mean() < 0.015
    assert (1.0 - prior).abs().mean() > 0.02


def test_inversion_finds_the_code_of_the_generators_own_picture() -> None:
    config = replace(TINY, image_size=32, inversion=60, ellipsoid=0, stages=1, first=[0, 0, 0])
    method = build(config)
    with torch.no_grad():
        secret = method.generator.mapping(torch.randn(1, 16, generator=torch.Generator().manual_seed(5)))
        target = method.projector.to_working_size(method.generator.synthesis(secret), 32)
    given = {"image": (target[0] / 2 + 0.5).numpy()}
    loop = TrainLoop(OwnProcessHost(), fit_settings(LoopSettings(), FitConfig()), [])
    losses = []
    for step in method.fit_steps(given, loop):
        losses.append(float(step.loss))
        loop.advance()
    assert losses[-1] < 0.25 * losses[0]


def test_the_rate_of_the_inversion_rises_and_falls() -> None:
    rates = [inversion_rate(step, 100) for step in range(100)]
    assert rates[0] < 0.3
    assert rates[50] == 1
    assert rates[-1] < 0.01


def test_a_reconstruction_holds_what_it_promises(whole: GAN2Shape) -> None:
    with torch.no_grad():
        found = whole.reconstruct({"image": photograph()})
    assert found.depth.shape == (1, 16, 16)
    assert ((found.depth == 0) | ((found.depth > 0.8) & (found.depth < 1.2))).all()
    assert len(found.mesh.vertices) == 256
    # Faces are oriented towards the camera, which is in front of them along -z.
    corners = found.mesh.vertices[found.mesh.faces]
    towards = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2]
    assert (towards < 0).mean() > 0.8
    assert {"relit.png", "rotated_gan.png", "rotated_mesh.png", "albedo.png", "textured.glb"} <= found.files.keys()
    assert found.notes["perceptual"] == "discriminator features"
    assert found.notes["gan"] == "untrained"


def checkpoint(folder: Path, weights: dict[str, Any], averaged: dict[str, Any] | None = None) -> str:
    """Write a run's checkpoint and return its folder."""
    state = {"method": weights, "averaged": averaged, "loop": {}, "ranks": []}
    about = {"method": "stylegan2", "metrics": {}, "seconds": 1.0}
    return str(CheckpointFolder(folder).write(state, about, 1 if averaged else 2, None).folder)


def test_a_checkpoint_of_a_run_gives_both_networks(tmp_path: Path) -> None:
    torch.manual_seed(3)
    generator, discriminator = Generator(TO_TRY), Discriminator(TO_TRY)
    both = nn.ModuleDict({"generator": generator, "discriminator": discriminator}).state_dict()
    averaged = {**both, "generator.synthesis.constant": 2 * both["generator.synthesis.constant"], "path_mean": torch.zeros(())}
    found, judge = frozen_gan(checkpoint(tmp_path, both, averaged))
    assert torch.equal(found.synthesis.constant, 2 * generator.synthesis.constant)
    found, judge = frozen_gan(checkpoint(tmp_path, {**both, "path_mean": torch.zeros(())}))
    z = torch.randn(2, 16)
    torch.testing.assert_close(found(z), generator(z))
    pictures = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(judge(pictures), discriminator(pictures))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gan": ""}, "method.gan is empty"),
        ({"gan": "/nowhere/gan.pt"}, "No such file"),
        ({"crop": 64}, "larger than the generator's pictures, 32"),
        ({"offset_layers": 9}, "offset_layers must be 1 to 2"),
        ({"view_deviation": [0.1, 0.2, 0.1, 0.1, 0.1, 0.0]}, "even a shift that never occurs"),
        ({"mirror_step3": []}, "mirror_step3 needs at least one value"),
        ({"joint": 5, "joint_collect": 3}, "joint_collect=3 is less than a batch for each of the 5 pictures"),
    ],
)
def test_configurations_that_make_no_sense(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        GAN2Shape(replace(TINY, **change))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 16, 20), np.float32), "square pictures, got 20 x 16"),
        (np.zeros((3, 32, 32), np.float32), "mask is empty"),
        (np.full((3, 16, 16), 0.5, np.float32), "mask is empty"),
    ],
)
def test_pictures_that_it_cannot_take(image: np.ndarray, message: str) -> None:
    loop = TrainLoop(OwnProcessHost(), fit_settings(LoopSettings(), FitConfig()), [])
    steps = build().fit_steps({"image": image}, loop)
    with pytest.raises(UserError, match=message):
        next(steps)


def test_a_checkpoint_without_a_gan(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no checkpoint.json"):
        frozen_gan(str(tmp_path))
    folder = checkpoint(tmp_path, {"layers.weight": torch.zeros(2)})
    with pytest.raises(UserError, match="a checkpoint without a generator"):
        frozen_gan(folder)
    # Simulate corruption of one byte.
    file = Path(folder) / "state.pt"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(UserError, match="damaged"):
        frozen_gan(folder)


def test_flags_of_stages() -> None:
    assert [at_stage([True, False], stage) for stage in range(3)] == [True, False, False]
