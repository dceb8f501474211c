"""The coarse-to-fine network at toy size: levels without voxels, single voxels, random subsets, gradients."""

from typing import Any

import pytest
import torch

from deep3dmap.core import UserError
from deep3dmap.methods.neuralrecon.network import NeuralReconNetwork, integrate_output, normalized_depth
from deep3dmap.methods.neuralrecon.network_config import NetworkConfig
from deep3dmap.methods.neuralrecon.tsdf_map import TSDFMap

ALL = -1e9
NONE = 1e9


def make(thresholds: tuple[float, ...] = (ALL, ALL, ALL), **options: Any) -> NeuralReconNetwork:
    torch.manual_seed(0)
    settings = {"n_vox": (8, 8, 8), "voxel_size": 0.1, "channels": (12, 6, 3), "backbone_alpha": 0.25, "full": False}
    return NeuralReconNetwork(NetworkConfig(**{**settings, "thresholds": thresholds, **options}))


def inputs(batch: int = 1, views: int = 2, targets: bool = True) -> dict[str, Any]:
    """Views of 32 x 48 pixels that look along +y from in front of the box, so that the whole box is visible."""
    generator = torch.Generator().manual_seed(0)
    projection = torch.zeros(batch, views, 3, 4, 4)
    camera_from_world = torch.tensor([[1.0, 0, 0, -0.4], [0, 0, -1, 0.4], [0, 1, 0, 2.0], [0, 0, 0, 1]])
    for scale in range(3):
        side = 2.0 ** -(scale + 2)
        intrinsics = torch.tensor([[30.0 * side, 0, 16 * side], [0, 30 * side, 8 * side], [0, 0, 1]])
        projection[:, :, scale, :3] = intrinsics @ camera_from_world[:3]
        projection[:, :, scale, 3, 3] = 1
    given: dict[str, Any] = {
        "images": 255 * torch.rand(batch, views, 3, 32, 48, generator=generator),
        "projection": projection,
        "vol_origin_partial": torch.zeros(batch, 3),
        "world_to_aligned_camera": camera_from_world.repeat(batch, 1, 1),
        "scene": [f"s{index}" for index in range(batch)],
    }
    if targets:
        sides = (8, 4, 2)
        given["tsdf"] = [torch.rand(batch, side, side, side, generator=generator) - 0.5 for side in sides]
        given["occupancy"] = [torch.rand(batch, side, side, side, generator=generator) > 0.5 for side in sides]
    return given


def test_with_every_voxel_kept_the_whole_box_is_refined() -> None:
    output = make()(inputs())
    assert output.complete
    assert [len(level.coordinates) for level in output.levels] == [8, 64, 512]
    assert len(output.coordinates.unique(dim=0)) == 512


@pytest.mark.parametrize("fusion", [False, True])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_level_that_ends_empty_leaves_losses_of_the_levels_reached(level: int, fusion: bool) -> None:
    network = make(tuple(NONE if at == level else ALL for at in range(3)), fusion=fusion, full=fusion)
    output = network(inputs())
    assert not output.complete
    assert (output.coordinates.shape, output.tsdf.shape) == ((0, 4), (0, 1))
    assert list(network.losses(output)) == [f"level_{at}" for at in range(level + 1)]
    torch.stack(list(network.losses(output).values())).sum().backward()
    surface = TSDFMap((8, 8, 8), 0.1)
    integrate_output(output, inputs(), surface)
    assert len(surface.map) == 0


@pytest.mark.parametrize("training", [False, True])
def test_a_single_voxel_is_refined(training: bool) -> None:
    output = make(n_vox=(4, 4, 4), fusion=True, full=True).train(training)(inputs(targets=False))
    assert [len(level.coordinates) for level in output.levels] == [1, 8, 64]
    assert output.tsdf.isfinite().all()


def test_an_element_that_keeps_nothing_drops_out_and_the_other_goes_on() -> None:
    given = inputs(batch=2)
    given["projection"][1] = 0
    output = make(fusion=False)(given)
    assert output.coordinates[:, 0].unique().tolist() == [0]
    assert len(output.levels[0].coordinates) == 16


def test_voxels_fewer_than_two_views_see_do_not_count_on_their_own() -> None:
    output = make(fusion=False)(inputs(views=1))
    assert not output.complete
    assert output.levels[0].mask is not None
    assert not output.levels[0].mask.any()


def test_with_history_every_voxel_counts() -> None:
    assert make(fusion=True, full=True)(inputs(views=1)).levels[0].mask is None


def test_training_keeps_a_random_choice_that_the_seed_decides() -> None:
    network = make(fusion=False, train_num_sample=(3, 5, 7)).train()
    chosen = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        chosen.append(network(inputs()))
    assert [len(level.coordinates) for level in chosen[0].levels] == [8, 24, 40]
    assert len(chosen[0].coordinates) == 7
    assert torch.equal(chosen[0].coordinates, chosen[1].coordinates)
    assert not torch.equal(chosen[0].coordinates, chosen[2].coordinates)


def test_fusion_can_be_switched_on_later() -> None:
    network = make(fusion=True, full=True)
    network.fuse(False)
    assert network(inputs()).levels[0].mask is not None
    assert network.neucon_net.gru_fusion.bytes() == 0
    network.fuse(True)
    assert network(inputs()).levels[0].mask is None
    assert network.neucon_net.gru_fusion.bytes() > 0
    network.reset()
    assert network.neucon_net.gru_fusion.bytes() == 0
    with pytest.raises(ValueError, match="recurrent"):
        make(fusion=False).fuse(True)


def test_every_parameter_receives_a_gradient() -> None:
    network = make(fusion=True, full=True).train()
    given = inputs()
    network(given)
    torch.stack(list(network.losses(network(given)).values())).sum().backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []


def test_the_scene_changes_with_its_name() -> None:
    network = make(fusion=True, full=True).eval()
    first, again = inputs(), {**inputs(), "scene": ["another"]}
    with torch.no_grad():
        alone = network(first)
        network(first)
        assert torch.equal(network(again).tsdf, alone.tsdf)


def test_losses_without_targets_are_refused() -> None:
    network = make()
    with pytest.raises(ValueError, match="tsdf"):
        network.losses(network(inputs(targets=False)))


def test_depths_are_centred_and_divided_by_their_norm() -> None:
    torch.testing.assert_close(normalized_depth(torch.tensor([0.0, 1, 3, 0])), torch.tensor([0, -1, 1, 0]) / 2**0.5)
    assert normalized_depth(torch.zeros(3)).tolist() == [0, 0, 0]
    torch.testing.assert_close(normalized_depth(torch.tensor([0.0, 1, 3, 0]), "deviation"), torch.tensor([0.0, -1, 1, 0]))
    assert normalized_depth(torch.zeros(3), "deviation").tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "options", [{"n_vox": (6, 8, 8)}, {"thresholds": (0.0,)}, {"channels": (8, 4, 2)}, {"channels": (6, 3)}]
)
def test_sizes_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="levels"):
        NetworkConfig(**options)
