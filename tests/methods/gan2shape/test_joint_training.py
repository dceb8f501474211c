"""Joint training: alternating between pictures, exact resumes, and fits that start from its networks."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.config.schema import FitConfig
from deep3dmap.core import UserError
from deep3dmap.frameworks import LoopSettings, TrainLoop
from deep3dmap.methods.gan2shape.method import GAN2Shape
from deep3dmap.methods.gan2shape.options import GAN2ShapeConfig
from deep3dmap.methods.gan2shape.subjects import Subjects
from deep3dmap.testing.method_under_test import OwnProcessHost
from deep3dmap.train.scene_fits import fit_settings
from deep3dmap.train.session import TrainingSession

JOINT = GAN2ShapeConfig(
    gan="untrained", image_size=16, width=8, code=8, offset_width=4, batch=2, collect=2, category="cat",
    inversion=2, ellipsoid=2, stages=1, first=[1, 1, 1], joint=3, joint_batch=2, joint_collect=4,
    joint_stages=2, joint_first=[1, 2, 3], joint_later=[1, 1, 1],
)  # fmt: skip
LENGTH = 2 * 2 + 2 + 6 + 3


def photograph(place: float) -> dict[str, Any]:
    rows, columns = np.mgrid[:16, :16] / 16
    ball = (rows - 0.5) ** 2 + (columns - place) ** 2 < 0.1
    image = np.where(ball, 0.3 + 0.4 * columns, 0.9)
    return {"image": np.stack([image, image, 0.8 * image]).astype(np.float32)}


PHOTOGRAPHS = [photograph(place) for place in (0.4, 0.5, 0.6, 0.55)]


def build(config: GAN2ShapeConfig = JOINT) -> GAN2Shape:
    torch.manual_seed(0)
    return GAN2Shape(config)


def trained(folder: Path, *stops: int) -> dict[str, Any]:
    settings = LoopSettings()
    settings.trainer.max_steps, settings.trainer.batch_size = 100, 1
    for stop in (*stops, 0):
        method = build()
        loop = TrainLoop(OwnProcessHost(stop), settings, PHOTOGRAPHS)
        summary = TrainingSession(method, loop, folder, {}).run()
    assert summary.steps == LENGTH == JOINT.joint_length
    return {name: value.clone() for name, value in method.state_dict().items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return trained(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("stops", [(1,), (3,), (5,), (8,), (10,), (11,), (13,)])
def test_it_goes_on_exactly(stops: tuple[int, ...], whole: dict[str, Any], tmp_path: Path) -> None:
    found = trained(tmp_path, *stops)
    assert [name for name in whole if not torch.equal(whole[name], found[name])] == []


def test_every_picture_has_a_code_of_its_own(whole: dict[str, Any]) -> None:
    codes = whole["joint_latents"]
    assert codes.shape == (3, 16)
    assert len({tuple(code.tolist()) for code in codes}) == 3
    assert (whole["latent"] == 0).all()


def test_a_fit_begins_with_what_was_taught_and_without_the_ellipsoid(whole: dict[str, Any]) -> None:
    method = build()
    method.load_state_dict(whole)
    loop = TrainLoop(OwnProcessHost(), fit_settings(LoopSettings(), FitConfig()), [])
    generator = method.fit_steps(PHOTOGRAPHS[0], loop)
    for _ in range(JOINT.inversion):
        next(generator)
        loop.advance()
    assert torch.equal(method.state_dict()["networks.depth.network.0.weight"], whole["networks.depth.network.0.weight"])
    taken = JOINT.inversion + sum(1 for _ in _rest(generator, loop))
    assert taken == JOINT.fit_length == 2 + 3
    assert torch.equal(method.state_dict()["joint_latents"], whole["joint_latents"])


def _rest(generator: Any, loop: TrainLoop) -> Any:
    for step in generator:
        yield step
        loop.advance()


def test_pictures_take_turns_and_batches_belong_to_them() -> None:
    subjects = Subjects(range(5), lambda index: torch.zeros(1), torch.zeros(5, 2))
    turns = [subjects.turn(step) for step in range(15)]
    assert all(sorted(turns[start : start + 5]) == list(range(5)) for start in (0, 5, 10))
    assert turns[:5] != turns[5:10] or turns[5:10] != turns[10:]
    taken = Counter((subjects.turn(step), subjects.batch_of(subjects.turn(step), step, 12)) for step in range(60))
    assert all(batch % 5 == subject for subject, batch in taken)
    assert {batch for _, batch in taken} == set(range(12))


def test_without_it_nothing_is_trained() -> None:
    assert not GAN2Shape.trains(replace(JOINT, joint=0))
    assert list(build(replace(JOINT, joint=0)).train_steps(TrainLoop(OwnProcessHost(), LoopSettings(), []))) == []


def test_what_it_refuses() -> None:
    with pytest.raises(UserError, match="joint_collect=2 is less than a batch for each of the 3 pictures"):
        build(replace(JOINT, joint_collect=2))
    settings = LoopSettings()
    settings.trainer.batch_size = 1
    steps = build().train_steps(TrainLoop(OwnProcessHost(), settings, PHOTOGRAPHS[:2]))
    with pytest.raises(UserError, match="joint=3, but the dataset has only 2 training pictures"):
        next(steps)
