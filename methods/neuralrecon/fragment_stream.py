"""An endless stream of training fragments: scans in order, their fragments in order, every epoch in a world turned anew."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.core import Sample, Split, UserError
from deep3dmap.frameworks.inputs import select
from deep3dmap.geometry.scene_tsdf import SceneTSDF, fuse_scene
from deep3dmap.methods.neuralrecon.fragments import FragmentConfig, Views, load_views, make_fragment, turned_about_z
from deep3dmap.methods.neuralrecon.keyframes import select_fragments
from deep3dmap.methods.neuralrecon.targets import fragment_targets

KEYS = ("images", "depths", "intrinsics", "world_from_camera")
KEPT_BYTES = 2 << 30
PADDING_BEFORE, PADDING_AFTER = np.array([0.1, 0.1, 0.025]), np.array([0.1, 0.1, 0.0])


class FragmentStream:
    """Fragment i of the stream, for any i, so that training goes on at any step.

    split: scans. mapping: a run's `inputs`. augment: turn and shift the world, the same way for all scans of an epoch, since
    fragments of a scene are fused. rank, workers: every worker has scans of its own, in sequence; scans that do not divide
    evenly are left to the first workers. Fused targets of scans are kept in memory up to `kept_bytes`.

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
    ) -> None:
        self.split, self.mapping, self.config, self.seed, self.augment = split, dict(mapping), config, seed, augment
        self.kept_bytes = kept_bytes
        self._open: tuple[int, Sample] | None = None
        self._targets: OrderedDict[int, SceneTSDF] = OrderedDict()
        self.scans = np.array_split(np.arange(len(split)), workers)[rank].tolist()
        self.fragments = [self._fragments(scan) for scan in self.scans]
        self._ends = list(accumulate(len(found) for found in self.fragments))
        if not self._ends or self._ends[-1] == 0:
            raise UserError(
                f"worker {rank} of {workers} has no fragment of {config.views} key frames in {len(self.scans)} scans; use "
                "longer scans, a smaller method.views, method.min_distance or method.min_angle, or fewer trainer.workers"
            )

    def __len__(self) -> int:
        """Return the fragments of one epoch."""
        return self._ends[-1]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return fragment `index`, counted over all epochs: the inputs of `make_fragment`, and its targets."""
        epoch, within = divmod(index, len(self))
        place = bisect_right(self._ends, within)
        first = self._ends[place - 1] if place else 0
        return self._make(epoch, self.scans[place], self.fragments[place][within - first])

    def _fragments(self, scan: int) -> list[list[int]]:
        c = self.config
        poses = select(self.split[scan], ("world_from_camera",), self.mapping)["world_from_camera"]
        return select_fragments(poses, c.views, c.min_angle, c.min_distance)

    def _make(self, epoch: int, scan: int, frames: list[int]) -> dict[str, Any]:
        c = self.config
        sample = self._sample(scan)
        targets = self._scene(scan, sample)
        world_from_scan = self._world_from_scan(epoch, targets)
        views = load_views(sample["images"], sample["intrinsics"], sample["world_from_camera"], frames, c)
        views = Views(views.images, views.intrinsics, torch.from_numpy(world_from_scan) @ views.world_from_camera)
        # A name of its own in every epoch: the maps of a scene begin anew when its name comes up again.
        fragment = make_fragment(views, f"{scan}@{epoch}", c)
        depths = [torch.from_numpy(np.asarray(sample["depths"][frame], np.float32)) for frame in frames]
        lenses = np.asarray(sample["intrinsics"], np.float64)[frames]
        back = np.linalg.inv(world_from_scan)
        origin = fragment["vol_origin_partial"]
        return fragment | fragment_targets(targets, depths, lenses, views.world_from_camera, origin, c.n_vox, c.max_depth, back)

    def _sample(self, scan: int) -> Sample:
        # The fragments of a scan follow one another, and opening one may mean to parse many small files.
        if self._open is None or self._open[0] != scan:
            sample = self.split[scan]
            prepared = {name: sample[name] for name in ("scene_tsdf",) if name in sample}
            self._open = scan, select(sample, KEYS, self.mapping) | prepared
        return self._open[1]

    def _scene(self, scan: int, sample: Sample) -> SceneTSDF:
        if scan not in self._targets and self._fits(sample.get("scene_tsdf")):
            self._targets[scan] = sample["scene_tsdf"]
        elif scan not in self._targets:
            self._targets[scan] = fuse_scene(
                sample["depths"],
                sample["intrinsics"],
                sample["world_from_camera"],
                self.config.voxel_size,
                self.config.max_depth,
            )
        self._targets.move_to_end(scan)
        while len(self._targets) > 1 and sum(kept.bytes() for kept in self._targets.values()) > self.kept_bytes:
            self._targets.popitem(last=False)
        return self._targets[scan]

    def _fits(self, prepared: SceneTSDF | None) -> bool:
        return prepared is not None and abs(prepared.voxel_size - self.config.voxel_size) < 1e-6

    def _world_from_scan(self, epoch: int, targets: SceneTSDF) -> NDArray[np.float64]:
        if not self.augment:
            return np.eye(4)
        generator = np.random.default_rng([self.seed, epoch])
        return random_world(targets, float(generator.random()), generator.random(3))


def random_world(targets: SceneTSDF, turn: float, place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the transform (4, 4) of the official augmentation: `turn` in [0, 1) of a circle about z, then a shift.

    place: (3,) in [0, 1), where in the turned scan's bounds, with a padding, the scan's origin comes to lie.
    """
    rotation = turned_about_z(2 * np.pi * turn, np.zeros(3))
    origin, size = targets.origin.numpy(), np.array(targets.tsdf[0].shape) * targets.voxel_size
    corners = origin + size * np.array([[x, y, 0.0] for x in (0, 1) for y in (0, 1)])
    turned = corners @ rotation[:3, :3].T
    start = turned.min(0) - PADDING_BEFORE
    end = turned.max(0) + np.array([0, 0, size[2]]) - size + PADDING_AFTER
    return turned_about_z(2 * np.pi * turn, origin - (place * start + (1 - place) * end))
