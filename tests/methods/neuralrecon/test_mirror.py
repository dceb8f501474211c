"""Mirrored fragments: a view sees the same of a voxel as the mirrored view sees of its mirror image."""

import torch
from sphere_scan import sphere_scan

from deep3dmap.methods.neuralrecon.fragment_stream import FragmentStream
from deep3dmap.methods.neuralrecon.fragments import FragmentConfig
from deep3dmap.methods.neuralrecon.mirror import mirror_fragment
from deep3dmap.methods.neuralrecon.voxel_grid import dense_grid, to_aligned_camera, world_positions
from deep3dmap.ops.back_project import back_project

SIZE, VOXEL = (16, 16, 12), 0.16
CONFIG = FragmentConfig(SIZE, VOXEL, snap=4, image_size=(64, 48), views=4)


class OneScan:
    """A scan of a ball."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict[str, object]:
        return sphere_scan(8, 24, 32)


def lifted(fragment: dict[str, torch.Tensor], level: int) -> tuple[torch.Tensor, ...]:
    """Features that the views see at every voxel of a level (0 is the coarsest), as (X, Y, Z, ...), and levelled positions."""
    interval, scale = 4 >> level, 2 - level
    pixels = torch.nn.functional.avg_pool2d(fragment["images"], 4 << scale)
    grid = dense_grid(SIZE, interval, 1)
    positions = world_positions(grid, fragment["vol_origin_partial"][None], VOXEL)
    mean, depth, count = back_project(pixels, fragment["projection"][:, scale], positions)
    places = to_aligned_camera(positions, grid[:, 0], fragment["world_to_aligned_camera"][None])
    shape = [side // interval for side in SIZE]
    return tuple(values.reshape(*shape, *values.shape[1:]) for values in (mean, depth, count, places))


def test_each_level_sees_in_the_mirror_what_it_saw() -> None:
    torch.manual_seed(0)
    fragment = FragmentStream(OneScan(), {}, CONFIG)[0] | {"images": 255 * torch.rand(4, 3, 48, 64)}
    image = mirror_fragment(fragment, VOXEL)
    for level in range(3):
        kept = 3 * (1 << level) + 1
        before, after = lifted(fragment, level), lifted(image, level)
        for one, other in zip(before[:2], after[:2]):
            torch.testing.assert_close(other[:kept], one[:kept].flip(0), atol=0.3, rtol=1e-3)
        assert (before[2] > 0).any()
        assert (after[2][:kept] == before[2][:kept].flip(0)).float().mean() > 0.999
        turned = before[3][:kept].flip(0) * torch.tensor([-1.0, 1, 1])
        torch.testing.assert_close(after[3][:kept], turned, atol=1e-4, rtol=1e-4)
        scale = 2 - level
        for name, free in (("tsdf", 1.0), ("occupancy", False)):
            assert torch.equal(image[name][scale][:kept], fragment[name][scale][:kept].flip(0))
            assert bool((image[name][scale][kept:] == free).all())
    assert fragment["occupancy"][0][:kept].any()


def test_the_mirror_image_of_a_mirror_image_is_what_it_was_where_the_coarsest_level_reaches() -> None:
    fragment = FragmentStream(OneScan(), {}, CONFIG)[0]
    twice = mirror_fragment(mirror_fragment(fragment, VOXEL), VOXEL)
    assert torch.equal(twice["images"], fragment["images"])
    for name in ("projection", "world_to_aligned_camera"):
        torch.testing.assert_close(twice[name], fragment[name], atol=1e-3, rtol=1e-4)
    assert torch.equal(twice["tsdf"][2], fragment["tsdf"][2])


def test_half_of_the_shuffled_fragments_are_mirrored_and_others_in_every_epoch() -> None:
    plain, stream = (FragmentStream(OneScan(), {}, CONFIG, mirror=mirror) for mirror in (False, True))
    turned = [not torch.equal(stream.at(index, True)["projection"], plain.at(index, True)["projection"]) for index in range(24)]
    assert 6 < sum(turned) < 18
    assert len({tuple(turned[start : start + len(stream)]) for start in range(0, 24, len(stream))}) > 1
    assert all(torch.equal(stream.at(index)["projection"], plain.at(index)["projection"]) for index in range(4))
