"""One step of a GNeRF fit: the parameters changed in each phase, and that a step is reproducible."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.methods.gnerf.config import GNeRFConfig, schedules
from deep3dmap.methods.gnerf.method import GNeRF

Loop = Callable[..., Any]
TINY = GNeRFConfig(
    width=16, depth=2, skips=[], position_octaves=3, direction_octaves=2, coarse=4, fine=4, discriminator_width=4,
    inversion_size=16, inversion_width=16, inversion_depth=1, inversion_heads=2, inversion_head_width=8, batch=2, steps=9,
    hybrid_from=2, refine_from=4,
)  # fmt: skip
PARTS = ("generator", "discriminator", "inversion", "table")


def scene(side: int = 24) -> dict[str, Any]:
    random = np.random.default_rng(0)
    image_plane = np.array([[30.0, 0, side / 2], [0, 30, side / 2], [0, 0, 1]])
    return {"images": random.random((5, 3, side, side), np.float32), "intrinsics": np.tile(image_plane, (5, 1, 1))}


def state(method: GNeRF) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in method.state_dict().items()}


def steps_of(method: GNeRF, loop: Any) -> Any:
    for step in method.fit_steps(scene(), loop):
        yield step
        loop.advance()


def build() -> GNeRF:
    torch.manual_seed(0)
    return GNeRF(TINY)


def test_each_phase_updates_what_it_says(make_loop: Loop) -> None:
    method, loop = build(), make_loop(None, batch_size=1)
    moved, terms, before = [], [], None
    for step in steps_of(method, loop):
        now = state(method)
        if before is not None:
            changed = [name for name in now if not torch.equal(now[name], before[name])]
            moved.append({part for part in PARTS if any(name.startswith(part) for name in changed)})
        before = now
        terms.append(set(step.terms))
    adversarial = {"generator", "discriminator", "inversion", "poses"}
    assert terms[:3] == [adversarial] * 3
    assert terms[3:5] == [adversarial | {"photometric"}] * 2
    assert terms[5:] == [{"photometric"}] * 4
    # The second step is the first with a predecessor to compare with.
    assert moved[0] == set(PARTS)
    assert moved[3] == set(PARTS)
    assert moved[5] == {"generator", "table"}


def test_photographs_that_are_not_of_a_step_keep_their_poses(make_loop: Loop) -> None:
    method, loop = build(), make_loop(None, batch_size=1)
    generator = steps_of(method, loop)
    next(generator)
    before = method.table.vectors().detach().clone()
    next(generator)
    still = (method.table.vectors().detach() == before).all(1)
    # Two of five images are used; Adam's moments also move those of the previous step.
    assert int(still.sum()) >= 1
    assert int((~still).sum()) >= 2


def test_a_step_depends_on_its_own_random_numbers_only(make_loop: Loop) -> None:
    found = []
    for _ in range(2):
        method, loop = build(), make_loop(None, batch_size=1)
        torch.manual_seed(3)
        generator = steps_of(method, loop)
        found.append([float(next(generator).loss) for _ in range(3)])
    assert found[0] == found[1]


def test_patches_and_pictures_shrink_and_grow_as_scheduled() -> None:
    config = replace(TINY, steps=100, hybrid_from=40, refine_from=80, hybrid_size=64, anneal=0.05)
    plan = schedules(config, 128, 96)
    sizes = [plan.image_size(step, 128, 96) for step in (0, 40, 60, 80, 99)]
    assert sizes == [(16, 16), (64, 64), (96, 80), (128, 96), (128, 96)]
    least = [plan.min_scale(step, 128, 96) for step in (0, 20, 99)]
    assert least == pytest.approx([0.8, np.exp(-1), 16 / 128])
    # Pictures smaller than the schedule's are never enlarged.
    assert schedules(config, 32, 32).image_size(40, 32, 32) == (32, 32)
