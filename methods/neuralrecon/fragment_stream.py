"""An endless stream of training fragments: scan after scan, with a new rotation and shift of the world in every epoch."""

from bisect import bisect_right
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deep3dmap.core import Sample, Split, UserError
from deep3dmap.frameworks.inputs import select
from deep3dmap.geometry.cameras import invert
from deep3dmap.geometry.scene_tsdf import SceneTSDF, fuse_scene
from deep3dmap.methods.neuralrecon.fragments import FragmentConfig, Views, load_views, make_fragment, rotation_about_z
from deep3dmap.methods.neuralrecon.keyframes import select_fragments
from deep3dmap.methods.neuralrecon.memory_cache import MemoryCache
from deep3dmap.methods.neuralrecon.mirror import mirror_fragment
from deep3dmap.methods.neuralrecon.targets import fragment_targets

KEYS = ("images", "depths", "intrinsics", "world_from_camera")
KEPT_BYTES = 2 << 30
OPEN_SCANS = 256
PADDING_BEFORE, PADDING_AFTER = np.array([0.1, 0.1, 0.025]), np.array([0.1, 0.1, 0.0])


class FragmentStream:
    """Random access to the fragments of the stream, so that training can resume at any step.

    split: the scans. mapping: the `inputs` of a run. augment: rotate and shift the world, identically for all scans of an epoch
    while the fragments of a scene are fused. rank, workers: each worker reads a contiguous share of the scans; if they do not
    divide evenly, the first workers read one more. kept_bytes: memory limit for the targets of scans and the views of
    fragments; without augmentation, whole fragments are kept on the device and made only once. device: where targets are
    computed and stored. readers: threads that prefetch fragments. mirror: mirror a random half of the fragments in every epoch
    in which they are shuffled.

    Raises UserError if a worker has no fragment.
    """

    def __init__(
        self,
        split: Split,
        mapping: Mapping[str, str],
        config: FragmentConfig,
        seed: int = 0,
        augment: bool = False,
        rank: int = 0,
        workers: int = 1,
        kept_bytes: int = KEPT_BYTES,
        device: torch.device | str = "cpu",
        readers: int = 0,
        mirror: bool = False,
    ) -> None:
        self.mirror = mirror
        self.split, self.mapping, self.config, self.seed, self.augment = split, dict(mapping), config, seed, augment
        self.device, self.readers = device, readers
        self._pool = ThreadPoolExecutor(readers) if readers else None
        # Opening a scan may require parsing many small files, and shuffled fragments come from all scans.
        self._sample = lru_cache(OPEN_SCANS)(partial(_read_scan, split, dict(mapping)))
        # Once a whole fragment is kept, its parts are not needed any more, so a small cache of parts is sufficient.
        share = kept_bytes // 2 if augment else kept_bytes // 4
        self._targets: MemoryCache[SceneTSDF] = MemoryCache(SceneTSDF.bytes, share)
        self._inputs: MemoryCache[_FragmentInputs] = MemoryCache(_FragmentInputs.bytes, share)
        self._whole: MemoryCache[dict[str, Any]] = MemoryCache(_fragment_bytes, kept_bytes // 2)
        self.scans = np.array_split(np.arange(len(split)), workers)[rank].tolist()
        self.fragments = [self._fragments(scan) for scan in self.scans]
        self._ends = list(accumulate(len(found) for found in self.fragments))
        self._order = lru_cache(2)(partial(_shuffle_epoch, seed, self._ends[-1] if self._ends else 0))
        if not self._ends or self._ends[-1] == 0:
            raise UserError(
                f"worker {rank} of {workers} has no fragment of {config.views} key frames in {len(self.scans)} scans; use "
                "longer scans, a smaller method.views, method.min_distance or method.min_angle, or fewer trainer.workers"
            )

    def __len__(self) -> int:
        """Return the number of fragments in one epoch."""
        return self._ends[-1]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return fragment `index`, counted over all epochs: the outputs of `make_fragment` and its targets."""
        return self.at(index)

    def at(self, index: int, shuffled: bool = False) -> dict[str, Any]:
        """Return fragment `index`, like `[]`.

        shuffled: use a random order in every epoch, instead of scan after scan, and augment each fragment separately.
        """
        if self._pool is not None:
            for upcoming in range(index, index + 2 * self.readers):
                _, scan, frames = self._place(upcoming, shuffled)
                if (scan, frames[0]) in self._whole:
                    continue
                self._targets.prefetch(scan, partial(self._fuse, scan), self._pool)
                self._inputs.prefetch((scan, frames[0]), partial(self._read, scan, frames), self._pool)
        epoch, scan, frames = self._place(index, shuffled)
        fragment = self._get_fragment(epoch, scan, frames, alone=shuffled)
        if self.mirror and shuffled and self._order(epoch)[1][index % len(self)]:
            return mirror_fragment(fragment, self.config.voxel_size)
        return fragment

    def _place(self, index: int, shuffled: bool) -> tuple[int, int, list[int]]:
        """Return the epoch, the scan and the frames of a fragment."""
        epoch, within = divmod(index, len(self))
        if shuffled:
            within = int(self._order(epoch)[0][within])
        place = bisect_right(self._ends, within)
        first = self._ends[place - 1] if place else 0
        return epoch, self.scans[place], self.fragments[place][within - first]

    def _fragments(self, scan: int) -> list[list[int]]:
        c = self.config
        poses = select(self.split[scan], ("world_from_camera",), self.mapping)["world_from_camera"]
        return select_fragments(poses, c.views, c.min_angle, c.min_distance)

    def _get_fragment(self, epoch: int, scan: int, frames: list[int], alone: bool) -> dict[str, Any]:
        # The name is different in every epoch, so that the maps are reset when a scene is seen again.
        scene = {"scene": f"{scan}@{epoch}"}
        if self.augment:
            # Seed sequences are padded with zeros, so a fragment's seed must not end in 0, or it would equal an epoch's seed.
            return self._build_fragment((epoch, scan, frames[0] + 1) if alone else (epoch,), scan, frames) | scene
        return self._whole.get((scan, frames[0]), lambda: self._on_device(self._build_fragment((), scan, frames))) | scene

    def _on_device(self, fragment: dict[str, Any]) -> dict[str, Any]:
        return {name: value.to(self.device) if isinstance(value, Tensor) else value for name, value in fragment.items()}

    def _build_fragment(self, draw: tuple[int, ...], scan: int, frames: list[int]) -> dict[str, Any]:
        c = self.config
        targets = self._targets.get(scan, partial(self._fuse, scan))
        inputs = self._inputs.get((scan, frames[0]), partial(self._read, scan, frames))
        world_from_scan = self._world_from_scan(draw, targets)
        poses = torch.from_numpy(world_from_scan) @ inputs.views.world_from_camera
        fragment = make_fragment(replace(inputs.views, world_from_camera=poses), str(scan), c)
        origin, back = fragment["vol_origin_partial"], invert(world_from_scan).numpy()
        return fragment | fragment_targets(
            targets, inputs.depths, inputs.intrinsics, poses, origin, c.n_vox, c.max_depth, back, c.target_grid
        )

    def _read(self, scan: int, frames: list[int]) -> "_FragmentInputs":
        sample = self._sample(scan)
        views = load_views(sample["images"], sample["intrinsics"], sample["world_from_camera"], frames, self.config)
        depths = [torch.from_numpy(np.asarray(sample["depths"][frame], np.float32)) for frame in frames]
        return _FragmentInputs(views, depths, np.asarray(sample["intrinsics"], np.float64)[frames])

    def _fuse(self, scan: int) -> SceneTSDF:
        sample, c = self._sample(scan), self.config
        prepared: SceneTSDF | None = sample.get("scene_tsdf")
        if prepared is not None and self._has_same_voxel_size(prepared):
            return replace(prepared, tsdf=[level.to(self.device) for level in prepared.tsdf])
        scan_inputs = (sample["depths"], sample["intrinsics"], sample["world_from_camera"])
        return fuse_scene(*scan_inputs, c.voxel_size, c.max_depth, self.device)

    def _has_same_voxel_size(self, prepared: SceneTSDF) -> bool:
        return abs(prepared.voxel_size - self.config.voxel_size) < 1e-6

    def _world_from_scan(self, draw: tuple[int, ...], targets: SceneTSDF) -> NDArray[np.float64]:
        if not self.augment:
            return np.eye(4)
        generator = np.random.default_rng([self.seed, *draw])
        return random_world(targets, float(generator.random()), generator.random(3))


@dataclass(frozen=True)
class _FragmentInputs:
    """The data read for a fragment: views at the network's size, depth maps, and the intrinsics of the depth maps."""

    views: Views
    depths: list[Tensor]
    intrinsics: NDArray[np.float64]

    def bytes(self) -> int:
        return self.views.images.nbytes + sum(depth.nbytes for depth in self.depths)


def _read_scan(split: Split, mapping: Mapping[str, str], scan: int) -> Sample:
    sample = split[scan]
    prepared = {name: sample[name] for name in ("scene_tsdf",) if name in sample}
    return select(sample, KEYS, mapping) | prepared


def _shuffle_epoch(seed: int, count: int, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the order of an epoch's fragments and a mask of the positions at which they are mirrored."""
    generator = np.random.default_rng([seed, epoch, count])
    return generator.permutation(count), generator.random(count) < 0.5


def _fragment_bytes(fragment: dict[str, Any]) -> int:
    tensors = [tensor for value in fragment.values() for tensor in (value if isinstance(value, list) else [value])]
    return sum(tensor.nbytes for tensor in tensors if isinstance(tensor, Tensor))


def random_world(targets: SceneTSDF, turn: float, place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the transform (4, 4) of the official augmentation: a rotation about z by `turn` in [0, 1) turns, then a shift.

    place: (3,) in [0, 1), the relative position of the scan's origin within the padded bounds of the rotated scan.
    """
    rotation = rotation_about_z(2 * np.pi * turn, np.zeros(3))
    origin, size = targets.origin.numpy(), np.array(targets.tsdf[0].shape) * targets.voxel_size
    corners = origin + size * np.array([[x, y, 0.0] for x in (0, 1) for y in (0, 1)])
    turned = corners @ rotation[:3, :3].T
    start = turned.min(0) - PADDING_BEFORE
    end = turned.max(0) + np.array([0, 0, size[2]]) - size + PADDING_AFTER
    return rotation_about_z(2 * np.pi * turn, origin - (place * start + (1 - place) * end))
