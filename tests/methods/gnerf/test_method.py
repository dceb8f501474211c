"""GNeRF as a method: exact resumes within each phase, refusals, and renderings of its reconstructions."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.config.variants import variants
from deep3dmap.core.errors import UserError
from deep3dmap.core.registry import methods
from deep3dmap.geometry.cameras import look_at
from deep3dmap.methods.gnerf.config import GNeRFConfig, schedules
from deep3dmap.methods.gnerf.method import GNeRF
from deep3dmap.methods.gnerf.photographs import read_photographs
from deep3dmap.testing import CHECKS, Subject

TINY = GNeRFConfig(
    width=16, depth=2, skips=[], position_octaves=3, direction_octaves=2, coarse=6, fine=6, discriminator_width=4,
    inversion_size=16, inversion_width=16, inversion_depth=1, inversion_heads=2, inversion_head_width=8, batch=2, steps=6,
    hybrid_from=1, refine_from=3, shown=2,
)  # fmt: skip
CPU = torch.device("cpu")


def scene(views: int = 5, side: int = 24) -> dict[str, Any]:
    random = np.random.default_rng(0)
    image_plane = np.array([[30.0, 0, side / 2], [0, 30, side / 2], [0, 0, 1]])
    return {"images": random.random((views, 3, side, side), np.float32), "intrinsics": np.tile(image_plane, (views, 1, 1))}


@pytest.fixture
def fitted() -> GNeRF:
    torch.manual_seed(0)
    method = GNeRF(TINY)
    method.table = method._table(5)
    method.table.poses_embed.data.copy_(method._sample_poses(5))
    return method.eval()


# First and last step of each phase: hybrid_from and refine_from count from 0, and a check takes four steps.
@pytest.mark.parametrize(("hybrid", "refine"), [(10, 20), (0, 20), (0, 0)], ids=["A", "ABAB", "B"])
def test_a_fit_is_resumed_exactly_in_each_phase(hybrid: int, refine: int, tmp_path: Path) -> None:
    world = ("objects=1", "image_size=16", "train_views=4", "val_views=1", "test_views=1", "supersample=1")
    phases = (f"method.hybrid_from={hybrid}", f"method.refine_from={refine}", "method.steps=30")
    overrides = (*(f"dataset.{text}" for text in world), *phases, f"data.cache='{tmp_path / 'cache'}'")
    subject = Subject("gnerf/mini", tmp_path, "objects", overrides)
    assert "bit for bit" in CHECKS["exact fit"](subject)


@torch.no_grad()
def test_a_reconstruction_holds_the_cameras_it_is_rendered_from(fitted: GNeRF) -> None:
    given = scene()
    result = fitted.reconstruct(given)
    assert result.cameras is not None
    assert result.images is not None
    assert (len(result.cameras), len(result.images)) == (5, 2)
    views = fitted.render(result.cameras[:2])
    assert np.array_equal(views.images, result.images)
    assert views.depth is not None
    assert views.depth.shape == (2, 24, 24)
    # The table's poses in OpenCV axes: cameras sampled from the prior look at the origin.
    for camera in result.cameras:
        expected = look_at(camera.world_from_camera[:3, 3], (0.0, 0.0, 0.0)).numpy()
        assert np.abs(camera.world_from_camera - expected).max() < 1e-5


def test_the_table_takes_the_size_of_a_state(fitted: GNeRF) -> None:
    other = GNeRF(TINY)
    start = other.state_dict()
    other.load_state_dict(fitted.state_dict())
    assert torch.equal(other.table(), fitted.table())
    other.load_state_dict(start)
    assert len(other.table.poses_embed) == 0


def test_another_scene_than_that_of_the_fit_is_refused(fitted: GNeRF) -> None:
    with pytest.raises(UserError, match="fitted to 5 images but got 4"):
        fitted.reconstruct(scene(4))


def test_photographs_of_a_kind_that_cannot_be_used() -> None:
    with pytest.raises(UserError, match="at least 2 images of a scene, got 1"):
        read_photographs(scene(1), CPU)
    given = scene(2)
    with pytest.raises(UserError, match="the same size"):
        read_photographs(given | {"images": [given["images"][0], given["images"][1][:, :20]]}, CPU)
    with pytest.raises(UserError, match="intrinsics"):
        read_photographs(given | {"intrinsics": given["intrinsics"][:1]}, CPU)


def test_photographs_at_another_size_keep_their_field_of_view() -> None:
    photographs = read_photographs(scene(), CPU)
    images, image_plane = photographs.some(torch.tensor([3, 1]), 12, 8)
    assert images.shape == (2, 3, 8, 12)
    assert image_plane.intrinsics[0].tolist() == [15, 0, 6]
    assert image_plane.intrinsics[1].tolist() == [0, 10, 4]
    same, _ = photographs.some(torch.tensor([3]), 24, 24)
    assert torch.equal(same[0], photographs.images[3])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"hybrid_from": 9}, "hybrid_from, refine_from and steps"),
        ({"elevation": [80.0, 10.0]}, "method.elevation"),
        ({"near": 6.0}, "near must be less than method.far"),
        ({"skips": [2]}, "layer 2 must be after the first and below method.depth=2"),
    ],
)
def test_configurations_that_do_not_fit_together(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        schedules(GNeRF(replace(TINY, **changes)).config, 32, 32)


@pytest.mark.parametrize("variant", sorted(set(variants(methods, "gnerf")) - {"tune"}))
def test_every_variant_builds(variant: str) -> None:
    from deep3dmap.config.compose import compose_run

    config = GNeRFConfig(**compose_run(f"gnerf/{variant}", "objects", ()).config["method"])
    assert schedules(GNeRF(config).config, 64, 64).phase(config.steps) == "B"
    assert asdict(config)["batch"] > 0
