"""NeuralRecon on a scan of a ball: training, resuming, and findings about problems with a scan."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sphere_scan import CENTRE, RADIUS, sphere_scan

from deep3dmap.config.schema import OptimizerConfig
from deep3dmap.core import UserError
from deep3dmap.frameworks import LoopSettings, TrainLoop
from deep3dmap.methods.neuralrecon.fragments import load_views
from deep3dmap.methods.neuralrecon.incremental import IncrementalReconstruction
from deep3dmap.methods.neuralrecon.method import NeuralRecon, NeuralReconConfig
from deep3dmap.methods.neuralrecon.network_config import NetworkConfig
from deep3dmap.methods.neuralrecon.network_output import NetworkOutput
from deep3dmap.testing.method_under_test import OwnProcessHost

TOY = NeuralReconConfig(
    n_vox=[24, 24, 20], voxel_size=0.1, floor=-0.1, snap=4, views=4, image_size=[64, 48], channels=[12, 6, 6],
    backbone_alpha=0.25, backbone_momentum=0.1, train_voxels=[256, 1024, 4096], fusion_from=0.5, augment=False,
    validation_fragments=2,
)  # fmt: skip


class Ball:
    """One scan of a ball painted by position."""

    def __init__(self, frames: int = 16) -> None:
        self.sample = painted(sphere_scan(frames, 48, 64))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.sample


def painted(scan: dict[str, Any]) -> dict[str, Any]:
    """Colours that depend on the world position of a pixel; without them, the views would have nothing to match."""
    images = []
    for depth, intrinsics, pose in zip(scan["depths"], scan["intrinsics"], scan["world_from_camera"]):
        rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]] + 0.5
        rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(intrinsics).T @ pose[:3, :3].T
        points = rays * depth[..., None] + pose[:3, 3]
        images.append(np.where(depth[None] > 0, 0.5 + 0.5 * np.sin(9 * points.transpose(2, 0, 1)), 0.0).astype(np.float32))
    return {**scan, "images": images}


def loop_of(dataset: Any, steps: int | None = 40, **trainer: Any) -> TrainLoop:
    settings = LoopSettings(optimizer=OptimizerConfig(lr=3e-3))
    for name, value in {"batch_size": 1, "max_steps": steps, "clip_norm": 1.0, **trainer}.items():
        setattr(settings.trainer, name, value)
    return TrainLoop(OwnProcessHost(), settings, dataset, dataset)


def trained(method: NeuralRecon, loop: TrainLoop, steps: int) -> list[float]:
    losses = []
    for step in method.train_steps(loop):
        torch.manual_seed(loop.step)
        losses.append(float(step.loss))
        loop.step += 1
        if len(losses) == steps:
            break
    return losses


def given(sample: dict[str, Any]) -> dict[str, Any]:
    return {name: sample[name] for name in ("images", "intrinsics", "world_from_camera")}


@pytest.fixture(scope="module")
def learnt() -> tuple[NeuralRecon, list[float], TrainLoop]:
    # Batch statistics over all views, as in `quick`; with single views, the result depends on the seed.
    torch.manual_seed(2)
    method = NeuralRecon(replace(TOY, joint_views=True))
    loop = loop_of(Ball(), 160)
    return method, trained(method, loop, 160), loop


@pytest.mark.slow
def test_both_phases_learn_and_the_switch_is_automatic(learnt: tuple[NeuralRecon, list[float], TrainLoop]) -> None:
    method, losses, loop = learnt
    assert np.mean(losses[74:80]) < 0.6 * np.mean(losses[:6])
    assert np.mean(losses[-6:]) < 0.5 * np.mean(losses[:6])
    assert bool(method.fusing)
    assert method.validate(loop)["validation_loss"] > 0


@pytest.mark.slow
def test_the_ball_comes_out(learnt: tuple[NeuralRecon, list[float], TrainLoop]) -> None:
    result = learnt[0].reconstruct(given(Ball()[0]))
    assert (result.frame, result.unit) == ("world", "metre")
    distance = np.linalg.norm(result.mesh.vertices - CENTRE, axis=1) - RADIUS
    assert len(distance) > 50
    assert np.median(np.abs(distance)) < TOY.voxel_size
    assert result.mesh.colors.std() > 0.05
    assert result.notes["fragments"] == 4


class FloorNetwork:
    """Predicts the plane z = 0 in any box."""

    config = NetworkConfig((24, 24, 20), 0.1, (12, 6, 6))
    fusing = True

    def __call__(self, inputs: dict[str, Any]) -> NetworkOutput:
        voxels = torch.stack(torch.meshgrid(*map(torch.arange, self.config.n_vox), indexing="ij"), -1).reshape(-1, 3)
        height = (voxels[:, 2:] * self.config.voxel_size + inputs["vol_origin_partial"][0, 2]) / (3 * self.config.voxel_size)
        near = height[:, 0].abs() < 1
        rows = torch.cat([torch.zeros(len(voxels), 1, dtype=torch.int64), voxels], 1)[near].int()
        return NetworkOutput(rows, height[near], True)


def test_a_scan_of_another_world_is_levelled_and_transformed_back() -> None:
    sample = dict(Ball()[0])
    y_down = np.eye(4)
    y_down[:3] = [[1, 0, 0, 5.0], [0, 0, -1, 2.0], [0, 1, 0, -3.0]]
    sample["world_from_camera"] = y_down @ sample["world_from_camera"]
    floor = IncrementalReconstruction(FloorNetwork(), _seeded().config.fragments(), torch.device("cpu"))
    with pytest.warns(UserWarning, match="up"):
        result = floor.run(given(sample), level=True, single_layer=True, colors=False)
    # z up became -y, and the floor is below the lowest camera.
    lowest = sample["world_from_camera"][:, 1, 3].max()
    heights = result.mesh.vertices[:, 1]
    assert len(heights) > 100
    assert np.ptp(heights) < 0.35 * np.ptp(result.mesh.vertices[:, [0, 2]], axis=0).min()
    assert lowest + 0.8 < np.median(heights) < lowest + 1.8
    assert result.notes["findings"]


def test_memory_stays_bounded_on_a_long_walk() -> None:
    """The cost of a fragment does not grow with the walk: its box has a fixed size, and the map contains only the surface."""
    config = _seeded().config.fragments()
    walk = IncrementalReconstruction(FloorNetwork(), config, torch.device("cpu"))
    scan, sizes = Ball()[0], []
    for step in range(40):
        poses = np.array(scan["world_from_camera"][:4])
        poses[:, 0, 3] += 0.4 * step
        walk.add(load_views(scan["images"], scan["intrinsics"], poses, [0, 1, 2, 3], config))
        sizes.append(walk.surface.bytes())
    growth = np.diff(sizes[5:])
    assert growth.max() <= 2 * max(1, np.median(growth[growth > 0]))
    assert sizes[-1] < 40 * sizes[0]
    assert sizes[-1] < 2_000_000


def test_training_goes_on_in_the_middle_of_a_scene() -> None:
    """The maps of the scene in progress are part of the state."""
    method, loop = _seeded(), loop_of(Ball(), 10)
    unbroken = trained(method, loop, 8)
    first, loop = _seeded(), loop_of(Ball(), 10)
    begun = trained(first, loop, 7)
    state, maps, loop_state = first.state_dict(), first.rank_state_dict(), loop.state_dict()
    assert len(maps["2.features.values"]) > 0
    second, loop = _seeded(), loop_of(Ball(), 10)
    second.load_state_dict(state)
    second.load_rank_state_dict(maps)
    loop.load_state_dict(loop_state)
    torch.manual_seed(6)
    assert begun + trained(second, loop, 1) == unbroken


def test_the_fragments_of_a_batch_pass_the_network_together() -> None:
    method, seen = _seeded(), []
    method.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]["scene"]))
    losses = trained(method, loop_of(Ball(), 4, batch_size=2), 4)
    assert np.isfinite(losses).all()
    assert [len(scenes) for scenes in seen] == [2, 2, 2, 2]


def test_the_momentum_of_the_sparse_networks_is_an_option() -> None:
    method = NeuralRecon(replace(TOY, sparse_momentum=0.02))
    found = {part.momentum for part in method.network.neucon_net.modules() if isinstance(part, torch.nn.BatchNorm1d)}
    assert found == {0.02}


def _seeded() -> NeuralRecon:
    torch.manual_seed(0)
    return NeuralRecon(replace(TOY))


def test_half_precision_learns_as_float32_does() -> None:
    """bfloat16 has 8 bits of precision, so single steps differ, but the result of 20 steps differs only slightly."""
    whole, half = (trained(_seeded(), loop_of(Ball(), precision=name), 20) for name in ("fp32", "bf16"))
    assert half[0] != whole[0]
    assert half[0] == pytest.approx(whole[0], rel=0.1)
    assert max(np.mean(whole[-5:]), np.mean(half[-5:])) < 0.75 * min(np.mean(whole[:5]), np.mean(half[:5]))


def test_without_fusion_there_is_no_second_phase() -> None:
    torch.manual_seed(0)
    method = NeuralRecon(replace(TOY, fusion=False))
    trained(method, loop_of(Ball(), 4), 4)
    assert not bool(method.fusing)
    assert not method.rank_state_dict()


def test_what_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fusion_from.*max_steps"):
        next(_seeded().train_steps(loop_of(Ball(), None)))
    with pytest.raises(UserError, match="multiples of 16"):
        NeuralRecon(replace(TOY, image_size=[60, 48])).config.fragments()
    with pytest.raises(UserError, match="no such checkpoint"):
        NeuralRecon(replace(TOY, weights=str(tmp_path / "none.ckpt")))


def test_scans_with_nothing_to_see_give_an_empty_mesh_and_say_why() -> None:
    method = _seeded().eval()
    still = dict(Ball(4)[0])
    still["world_from_camera"] = np.repeat(still["world_from_camera"][:1], 4, 0)
    with pytest.warns(UserWarning, match="hardly moves"):
        result = method.reconstruct(given(still))
    assert result.mesh.is_empty
    lost = {**given(Ball(4)[0]), "world_from_camera": np.full((4, 4, 4), np.nan)}
    with pytest.raises(UserError, match="finite"):
        method.reconstruct(lost)
    torch.nn.init.constant_(method.network.neucon_net.occ_preds[0].bias, -1e4)
    with pytest.warns(UserWarning, match="fragments are empty"):
        assert method.reconstruct(given(Ball(8)[0])).mesh.is_empty


def test_without_fusion_a_fragment_does_not_erase_what_it_does_not_predict() -> None:
    network = FloorNetwork()
    network.fusing = False
    config = _seeded().config.fragments()
    kept = IncrementalReconstruction(network, config, torch.device("cpu")).surface
    box = torch.tensor([[1, 1, 1], [2, 2, 2]])
    kept.update("scan", torch.zeros(3), box[:1], torch.zeros(1))
    kept.update("scan", torch.zeros(3), box[1:], torch.zeros(1))
    assert len(kept.map) == 2
