"""Fragments of a scan: frame selection, box placement, supervision, and the order of the stream."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sphere_scan import look_from, sphere_scan

from deep3dmap.core import UserError
from deep3dmap.geometry.scene_tsdf import fuse_scene
from deep3dmap.methods.neuralrecon.fragment_stream import FragmentStream
from deep3dmap.methods.neuralrecon.fragments import FragmentConfig, Views, aligned_camera, load_views, make_fragment
from deep3dmap.methods.neuralrecon.keyframes import select_fragments
from deep3dmap.methods.neuralrecon.memory_cache import MemoryCache
from deep3dmap.methods.neuralrecon.targets import _resampled

SMALL = FragmentConfig((16, 16, 12), 0.16, snap=4, image_size=(64, 48), views=4)


class Scans:
    """Two scans of a ball, of which the second has more frames."""

    def __init__(self, *frames: int) -> None:
        self.samples = [sphere_scan(count, 24, 32) for count in frames]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.samples[index]


def straight(steps: list[float]) -> np.ndarray:
    poses = np.tile(np.eye(4), (len(steps), 1, 1))
    poses[:, 0, 3] = steps
    return poses


def test_a_key_frame_needs_travel_or_turning() -> None:
    assert select_fragments(straight([0, 0.05, 0.11, 0.2, 0.22]), views=2) == [[0, 2], [3, 4]][:1]
    turning = np.stack([look_from(np.zeros(3), np.array([np.cos(a), np.sin(a), 0])) for a in np.radians([0, 10, 16, 40])])
    assert select_fragments(turning, views=3) == [[0, 2, 3]]


def test_the_next_fragment_begins_with_the_next_frame_and_tails_are_kept_when_asked() -> None:
    poses = straight([0, 0.2, 0.21, 0.5, 0.9])
    assert select_fragments(poses, views=2) == [[0, 1], [2, 3]]
    assert select_fragments(poses, views=4) == [[0, 1, 3, 4]]
    assert select_fragments(poses, views=3) == [[0, 1, 3]]
    assert select_fragments(straight([0, 0.2, 0.4, 0.6, 0.8]), views=3, keep_tail=True) == [[0, 1, 2], [3, 4]]


def test_frames_without_a_pose_are_passed_over() -> None:
    poses = straight([0, 0.2, 0.4, 0.6])
    poses[1] = np.inf
    poses[2, 0, 0] = np.nan
    assert select_fragments(poses, views=2) == [[0, 3]]


def test_a_level_camera_stays_as_it_is_and_others_are_turned_level() -> None:
    level = look_from(np.array([1.0, 2, 1.5]), np.array([3.0, 1, 1.5]))
    torch.testing.assert_close(aligned_camera(torch.from_numpy(level)), torch.linalg.inv(torch.from_numpy(level)))
    for target in ([3.0, 1, 0.2], [0.5, 2.5, 2.5]):
        aligned = aligned_camera(torch.from_numpy(look_from(np.array([1.0, 2, 1.5]), np.array(target))))
        torch.testing.assert_close(aligned[:3, :3] @ aligned.new_tensor([0, 0, 1]), aligned.new_tensor([0, -1, 0]))
    upside_down = torch.from_numpy(level @ np.diag([-1.0, -1, 1, 1]))
    turned = aligned_camera(upside_down)
    torch.testing.assert_close(turned[:3, :3] @ turned.new_tensor([0, 0, 1]), turned.new_tensor([0, -1, 0]))


def test_boxes_lie_on_one_grid_and_hold_what_is_seen() -> None:
    scan = sphere_scan(8, 24, 32)
    for frames in ([0, 1, 2], [4, 5, 6]):
        views = load_views(scan["images"], scan["intrinsics"], scan["world_from_camera"], frames, SMALL)
        fragment = make_fragment(views, "ball", SMALL)
        steps = fragment["vol_origin_partial"].double() / (SMALL.voxel_size * SMALL.snap)
        torch.testing.assert_close(steps, steps.round(), atol=1e-5, rtol=0)
        assert fragment["images"].shape == (3, 3, 48, 64)
        # The ball centre's pixel in the first feature map, computed by hand.
        centre = torch.tensor([0.3, -0.2, 1.1, 1.0])
        x, y, z, _ = fragment["projection"][0, 0] @ centre
        intrinsics = scan["intrinsics"][0] * np.array([[2.0], [2.0], [1.0]])
        camera = np.linalg.inv(scan["world_from_camera"][frames[0]]) @ centre.double().numpy()
        expected = (intrinsics[:2] @ camera[:3] / camera[2] - 0.5) / 4
        np.testing.assert_allclose([float(x / z), float(y / z)], expected, atol=1e-4)


def test_the_stream_is_the_same_wherever_it_is_entered() -> None:
    scans = Scans(8, 12)
    stream = FragmentStream(scans, {}, SMALL, seed=3, augment=True)
    assert len(stream) == 5
    seen = [stream[index] for index in range(7)]
    assert [fragment["scene"] for fragment in seen] == ["0@0", "0@0", "1@0", "1@0", "1@0", "0@1", "0@1"]
    again = FragmentStream(scans, {}, SMALL, seed=3, augment=True, kept_bytes=0)[6]
    for name in ("images", "projection", "vol_origin_partial", "world_to_aligned_camera"):
        assert torch.equal(again[name], seen[6][name])
    assert torch.equal(again["tsdf"][0], seen[6]["tsdf"][0])
    assert not torch.equal(seen[6]["world_to_aligned_camera"], seen[1]["world_to_aligned_camera"])


def test_shuffled_every_epoch_has_each_fragment_once_in_an_order_of_its_own() -> None:
    stream = FragmentStream(Scans(8, 12, 16), {}, SMALL, seed=1)
    places = [stream._place(index, shuffled=True) for index in range(3 * len(stream))]
    epochs = [[(scan, *frames) for epoch, scan, frames in places if epoch == number] for number in range(3)]
    in_order = [(scan, *frames) for _, scan, frames in (stream._place(i, False) for i in range(len(stream)))]
    assert all(sorted(epoch) == sorted(in_order) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, in_order]}) == 4


def test_fragments_that_are_not_fused_are_turned_each_by_itself() -> None:
    stream = FragmentStream(Scans(16), {}, SMALL, seed=1, augment=True)
    fused, alone = ([stream.at(index, shuffled)["world_to_aligned_camera"] for index in range(4)] for shuffled in (False, True))
    assert len({round(float(turn[:3, :3].norm(p=1)), 4) for turn in alone}) == 4
    before = [stream.at(index, True)["world_to_aligned_camera"] for index in range(4)]
    assert all(torch.equal(*pair) for pair in zip(alone, before))
    assert not any(torch.equal(*pair) for pair in zip(fused, alone))


def test_readers_bring_the_same_fragments() -> None:
    alone, helped = (FragmentStream(Scans(8, 12), {}, SMALL, seed=3, augment=True, readers=readers) for readers in (0, 3))
    for index in range(7):
        one, other = alone.at(index, shuffled=True), helped.at(index, shuffled=True)
        assert one["scene"] == other["scene"]
        assert torch.equal(one["images"], other["images"])
        assert torch.equal(one["tsdf"][0], other["tsdf"][0])


def test_without_augmentation_a_fragment_is_made_once_and_has_a_scene_of_its_own_in_every_epoch() -> None:
    stream = FragmentStream(Scans(8, 12), {}, SMALL)
    first = [stream[index] for index in range(5)]
    stream.split = Scans()
    later = [stream.at(index, shuffled=True) for index in range(5, 10)]
    by_place = {fragment["images"].data_ptr(): fragment for fragment in first}
    assert len(by_place) == 5
    assert {fragment["images"].data_ptr() for fragment in later} == set(by_place)
    assert all(fragment["tsdf"] is by_place[fragment["images"].data_ptr()]["tsdf"] for fragment in later)
    assert {fragment["scene"] for fragment in later} == {"0@1", "1@1"}


def test_a_scan_is_opened_once_though_shuffled_fragments_come_from_all() -> None:
    scans, opened = Scans(8, 12, 16), []
    plain = scans.samples.__getitem__
    stream = FragmentStream(scans, {}, SMALL, seed=1, kept_bytes=0)
    scans.__class__ = type("Counted", (Scans,), {"__getitem__": lambda self, index: (opened.append(index), plain(index))[1]})
    for index in range(2 * len(stream)):
        stream.at(index, shuffled=True)
    assert sorted(opened) == [0, 1, 2]


def test_what_a_stream_keeps_goes_with_it() -> None:
    stream = FragmentStream(Scans(8), {}, SMALL, seed=1)
    kept = weakref.ref(stream.at(0, shuffled=True)["images"])
    gc.disable()
    try:
        assert kept() is not None
        del stream
        assert kept() is None
    finally:
        gc.enable()


def test_fragments_that_are_not_kept_are_made_again() -> None:
    kept, made = (FragmentStream(Scans(8, 12), {}, SMALL, kept_bytes=size) for size in (1 << 30, 0))
    for index in range(6):
        one, other = kept[index], made[index]
        assert one["scene"] == other["scene"]
        assert torch.equal(one["images"], other["images"])
        assert all(torch.equal(*pair) for name in ("tsdf", "occupancy") for pair in zip(one[name], other[name]))


@pytest.mark.gpu
def test_targets_on_a_gpu_are_those_of_the_cpu() -> None:
    here, there = (FragmentStream(Scans(8), {}, SMALL, augment=True, device=device)[0] for device in ("cpu", "cuda"))
    for level in range(3):
        assert there["tsdf"][level].is_cuda
        torch.testing.assert_close(there["tsdf"][level].cpu(), here["tsdf"][level], atol=1e-4, rtol=0)
        assert float((there["occupancy"][level].cpu() != here["occupancy"][level]).float().mean()) < 1e-3


def test_augmentation_moves_targets_with_the_cameras() -> None:
    """The ball's surface, seen from the rotated cameras, is where the rotated targets change sign."""
    fine = replace(SMALL, n_vox=(32, 32, 24), voxel_size=0.08)
    stream = FragmentStream(Scans(24), {}, fine, seed=1, augment=True)
    fragment = stream[0]
    occupied = fragment["occupancy"][0].nonzero()
    positions = occupied * fine.voxel_size + fragment["vol_origin_partial"]
    world = stream._world_from_scan((0,), stream._fuse(0))
    centre = torch.from_numpy(world @ np.array([0.3, -0.2, 1.1, 1.0]))[:3]
    distance = (positions - centre).norm(dim=1) - 0.5
    assert len(positions) > 20
    assert distance.abs().max() < 3 * fine.voxel_size
    inside = fragment["tsdf"][0][fragment["occupancy"][0]] < 0
    assert float(distance[inside].mean()) < 0 < float(distance[~inside].mean())


def test_the_cache_forgets_what_was_used_longest_ago() -> None:
    cache: MemoryCache[str] = MemoryCache(len, limit=6)
    made: list[str] = []

    def make(text: str) -> str:
        made.append(text)
        return text

    for text in ("abc", "de", "abc", "fgh", "de", "abc", "much too long"):
        assert cache.get(text, lambda text=text: make(text)) == text
    assert made == ["abc", "de", "fgh", "de", "abc", "much too long"]
    assert len(cache) == 1


def test_a_prefetched_value_is_made_once_and_in_another_thread() -> None:
    cache: MemoryCache[int] = MemoryCache(lambda _: 1, limit=4)
    with ThreadPoolExecutor(1) as pool:
        for _ in range(2):
            cache.prefetch("thread", threading.get_ident, pool)
        assert cache.get("thread", lambda: 0) not in (0, threading.get_ident())
    assert cache.get("other", lambda: 7) == 7


def test_every_worker_has_scans_of_its_own() -> None:
    scans = Scans(8, 12, 8)
    parts = [FragmentStream(scans, {}, SMALL, rank=rank, workers=2) for rank in range(2)]
    assert [part.scans for part in parts] == [[0, 1], [2]]
    with pytest.raises(UserError, match=r"worker 3 of 4 has no fragment"):
        FragmentStream(scans, {}, SMALL, rank=3, workers=4)


def test_targets_refuse_what_cannot_be_fused() -> None:
    scan = sphere_scan(4, 24, 32)
    arguments = (scan["intrinsics"], scan["world_from_camera"])
    with pytest.raises(UserError, match="no frame of the scan has a depth"):
        fuse_scene([np.zeros((24, 32))] * 4, *arguments, 0.16, 3.0)
    with pytest.raises(UserError, match="GB; use larger voxels"):
        fuse_scene(scan["depths"], *arguments, 0.001, 3.0)


def test_views_are_resized_with_their_intrinsics() -> None:
    scan = sphere_scan(2, 24, 32)
    views: Views = load_views(scan["images"], scan["intrinsics"], scan["world_from_camera"], [0, 1], SMALL)
    np.testing.assert_allclose(views.intrinsics[0].numpy(), scan["intrinsics"][0] * np.array([[2.0], [2.0], [1.0]]))
    assert float(views.images.max()) == pytest.approx(0.8 * 255)


def test_targets_are_the_scans_distances_at_the_voxels() -> None:
    """At whole voxels, the resampled grid equals the scan's; the official one is half a voxel off at the ends of the scan."""
    slope = torch.linspace(-0.9, 0.9, 21)[:, None, None].expand(21, 9, 9).contiguous()
    at = torch.stack(torch.meshgrid(*(torch.arange(1, n - 1, dtype=torch.float64) for n in (21, 9, 9)), indexing="ij"), -1)
    inner = slope[1:-1, 1:-1, 1:-1]
    torch.testing.assert_close(_resampled(slope, at, "intended"), inner, atol=1e-5, rtol=0)
    off = (_resampled(slope, at, "upstream") - inner)[:, 3, 3] / 0.09
    assert off[0] == pytest.approx(-0.45, abs=0.01)
    assert off[-1] == pytest.approx(0.45, abs=0.01)
