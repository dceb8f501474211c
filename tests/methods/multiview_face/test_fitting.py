"""Fits of known subjects rendered by the hard renderer, which shares only the interface with the soft one."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.config.schema import FitConfig
from deep3dmap.core import Reconstruction, UserError
from deep3dmap.frameworks import LoopSettings, TrainLoop
from deep3dmap.geometry.cameras import look_at
from deep3dmap.methods.multiview_face.fit_parameters import FitParameters
from deep3dmap.methods.multiview_face.fitting import Stage
from deep3dmap.methods.multiview_face.method import MultiViewFace, MultiViewFaceConfig
from deep3dmap.methods.multiview_face.schedules import SCHEDULES, schedule
from deep3dmap.methods.multiview_face.templates import load_template
from deep3dmap.render.hard import HardRenderer
from deep3dmap.render.renderer import Lights, Surface, View
from deep3dmap.runs.scene_reconstruction import reconstruct_scene
from deep3dmap.train.local_host import LocalHost
from deep3dmap.train.scene_fits import SceneFits, fit_settings

SIDE = 48
EYES = ((0.0, 0.05, 0.9), (0.7, 0.0, 0.6), (-0.7, 0.1, 0.6), (0.2, 0.5, 0.8))
INTRINSICS = torch.tensor([[90.0, 0, SIDE / 2], [0, 90.0, SIDE / 2], [0, 0, 1]])


def _given(surface: Surface, eyes: tuple[tuple[float, float, float], ...] = EYES) -> dict[str, Any]:
    images, masks, poses = [], [], []
    for eye in eyes:
        pose = look_at(eye, (0.0, -0.02, 0.0), (0.0, 1.0, 0.0))
        view = View(INTRINSICS, torch.linalg.inv(pose).float(), SIDE, SIDE)
        seen = HardRenderer(supersample=2).render(surface, view, Lights(), (0.0, 0.0, 0.0))
        images.append(seen.image.clamp(0, 1).numpy() ** (1 / 2.2))
        masks.append(seen.silhouette.numpy())
        poses.append(pose.numpy())
    intrinsics = np.repeat(INTRINSICS.double().numpy()[None], len(eyes), 0)
    return {
        "images": np.stack(images),
        "masks": np.stack(masks),
        "intrinsics": intrinsics,
        "world_from_camera": np.stack(poses),
    }


def _fitted(method: MultiViewFace, given: dict[str, np.ndarray]) -> Reconstruction:
    with tempfile.TemporaryDirectory() as folder:
        fits = SceneFits(method, fit_settings(LoopSettings(), FitConfig()), LocalHost(torch.device("cpu")), Path(folder), {})
        return reconstruct_scene(method, given, "scene", {}, fits, 0).reconstruction


def test_a_head_is_put_where_it_stands_and_gets_its_shape() -> None:
    method = MultiViewFace(MultiViewFaceConfig(template_grid=33, encoder=False, effort=0.5))
    identity = torch.zeros(1, method.template.groups["identity"])
    identity[0, :4] = torch.tensor([2.0, -2.0, 1.5, 1.0])
    shift = torch.tensor([0.03, -0.02, 0.02])
    truth = method.template.vertices({"identity": identity})[0] + shift
    given = _given(Surface(truth, method.template.faces, method.template.albedo({"albedo": torch.zeros(1, 1)})[0]))
    result = _fitted(method, given)
    error = torch.from_numpy(result.mesh.vertices).sub(truth).norm(dim=1).mean()
    start = MultiViewFace(MultiViewFaceConfig(template_grid=33, encoder=False, effort=0)).reconstruct(given)
    before = torch.from_numpy(start.mesh.vertices).sub(truth).norm(dim=1).mean()
    assert error < 0.35 * before
    assert error < 0.005
    assert result.frame == "world"


def test_the_same_seed_gives_the_same_fit() -> None:
    config = MultiViewFaceConfig(template="sphere", schedule="object", encoder=False, size=0.1, effort=0.01)
    box = MultiViewFace(config).template
    given = _given(Surface(box.mean() * torch.tensor([1.2, 0.8, 1.0]), box.faces))
    first, second = (_fitted(MultiViewFace(config), given).mesh.vertices for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_a_sphere_becomes_a_box() -> None:
    config = MultiViewFaceConfig(template="sphere", schedule="object", encoder=False, size=0.1, views_per_step=4)
    method = MultiViewFace(config)
    corner = method.template.mean() / method.template.mean().abs().amax(1, keepdim=True) * 0.09
    result = _fitted(method, _given(Surface(corner, method.template.faces)))
    reach = np.abs(result.mesh.vertices).max(1)
    assert np.abs(reach - 0.09).mean() < 0.006


def test_what_cannot_be_fitted_is_said() -> None:
    method = MultiViewFace(MultiViewFaceConfig(template_grid=33, encoder=False, effort=0))
    given = _given(Surface(method.template.mean(), method.template.faces))
    with pytest.raises(UserError, match="all masks are empty"):
        method.reconstruct({**given, "masks": np.zeros_like(given["masks"])})
    with pytest.raises(UserError, match="two views"):
        method.reconstruct({name: value[:1] for name, value in given.items()})
    same = {name: np.repeat(value[:1], 2, 0) for name, value in given.items()}
    with pytest.raises(UserError, match="along one line"):
        method.reconstruct(same)
    with pytest.raises(UserError, match="neither one of"):
        MultiViewFace(MultiViewFaceConfig(template="haed"))
    with pytest.raises(UserError, match=r"method\.schedule"):
        schedule("heads", 1.0)


def test_the_topology_goes_where_its_subject_goes() -> None:
    # A resumed fit is moved to its device and does not start over.
    subject = FitParameters(load_template("sphere", 17, 0.1)).to("meta")
    topology = subject.topology
    assert {topology.faces.device.type, topology.edges.device.type, topology.hinges.device.type} == {"meta"}
    assert subject.double().topology.edges.dtype == torch.int64


def test_stages_that_free_nothing_are_not_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    # A sphere has no expression.
    stages = (
        Stage("face", 5, 16, 1e-4, ("expression",), {"silhouette": 1.0}),
        Stage("pose", 7, 16, 1e-3, ("pose",), {"silhouette": 1.0}),
    )
    monkeypatch.setitem(SCHEDULES, "object", stages)
    config = MultiViewFaceConfig(template="sphere", schedule="object", encoder=False, size=0.1)
    method = MultiViewFace(config)
    given = _given(Surface(method.template.mean(), method.template.faces))
    loop = TrainLoop(LocalHost(torch.device("cpu")), fit_settings(LoopSettings(), FitConfig()), [])
    for _ in method.fit_steps(given, loop):
        loop.advance()
    assert loop.planned_steps == loop.step == 7


def test_surfaces_of_another_template_are_refused() -> None:
    method = MultiViewFace(MultiViewFaceConfig(template_grid=33))
    sample = {name: np.zeros((2, 1)) for name in method.card.consumes}
    sample |= {"vertices": np.zeros((7566, 3)), "world_from_template": np.eye(4)}
    with pytest.raises(UserError, match="template=head has 1089 vertices, the dataset's surfaces have 7566"):
        method.transform(sample, np.random.default_rng(0))
