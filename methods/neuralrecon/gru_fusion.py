"""Fusion of a fragment's features with those of the scene so far, which are stored in one sparse map per level."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deep3dmap.methods.neuralrecon.global_map import Box, GlobalMap, decode_name, encode_name, spread, union
from deep3dmap.methods.neuralrecon.voxel_grid import FREE, rows_of_elements, to_aligned_camera, world_positions


@dataclass(frozen=True)
class Fused:
    """Voxels (N, 4) int32 (batch, x, y, z in finest units), their features (N, C) and, in training, their fused targets.

    tsdf: (N, 1) target distance in truncations, 1 where no surface was seen. occupancy: (N, 1) bool, |tsdf| < 1.
    """

    coordinates: Tensor
    features: Tensor
    tsdf: Tensor | None
    occupancy: Tensor | None


class SceneMaps:
    """The state of a scene at one level: its name, its origin (3,) in world metres, features and target distances."""

    def __init__(self, channels: int) -> None:
        self.features, self.targets = GlobalMap(channels), GlobalMap(1)
        self.reset()

    def reset(self, scene: str | None = None, origin: Tensor | None = None, device: torch.device | str = "cpu") -> None:
        """Discard the scene and start another one."""
        self.scene, self.origin = scene, torch.zeros(3) if origin is None else origin.detach().cpu().clone()
        self.features.clear(device)
        self.targets.clear(device)

    def to(self, device: torch.device) -> None:
        """Move the tables to a device."""
        self.features.to(device)
        self.targets.to(device)

    def bytes(self) -> int:
        """Return the size of the tables in bytes."""
        return self.features.bytes() + self.targets.bytes()

    def state(self) -> dict[str, Tensor]:
        """Return the complete state as tensors under flat names."""
        tables = {"features": self.features.state(), "targets": self.targets.state()}
        rows = {f"{table}.{name}": value for table, state in tables.items() for name, value in state.items()}
        return {"scene": encode_name(self.scene or ""), "origin": self.origin, **rows}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore the state returned by `state`."""
        self.scene, self.origin = decode_name(state["scene"]) or None, state["origin"].cpu().clone()
        for name, table in (("features", self.features), ("targets", self.targets)):
            table.load_state({key: state[f"{name}.{key}"] for key in ("coordinates", "values")})


class GRUFusion(nn.Module):
    """One recurrent cell per level, coarse to fine; the hidden state is stored in the scene's map.

    cells: called as cell(history (N, C), current (N, C), positions (N, 3) metres in the levelled camera, batch (N,)), returning
    (N, C). channels: C of each level. size: the fragment box in finest voxels. voxel_size: of the finest level, in metres.
    full: also update voxels inside the box that are only in the history; otherwise update only the fragment's voxels.

    The maps belong to the process and not to the weights: they are in `state`, not in `state_dict`. A new scene name resets
    them; call `reset` if a name recurs, such as at the start of an epoch. No gradient flows into the history.
    """

    def __init__(
        self, cells: Iterable[nn.Module], channels: tuple[int, ...], size: tuple[int, int, int], voxel_size: float, full: bool
    ) -> None:
        super().__init__()
        self.fusion_nets = nn.ModuleList(cells)
        self.size, self.voxel_size, self.full = size, voxel_size, full
        self.maps = [SceneMaps(count) for count in channels]
        if len(self.maps) != len(self.fusion_nets):
            raise ValueError(f"{len(self.fusion_nets)} cells for {len(self.maps)} numbers of channels")

    def forward(self, coordinates: Tensor, features: Tensor, inputs: dict[str, Any], level: int) -> Fused:
        """Fuse the voxels of one level (0 is the coarsest) and store the result in the maps.

        coordinates: (N, 4) int32 (batch, x, y, z in finest units, counted from the fragment's lowest voxel). features: (N, C).
        inputs: `scene` (B names), `vol_origin_partial` (B, 3), `world_to_aligned_camera` (B, 4, 4), optionally `vol_origin`
        (B, 3; default 0) and the fragment's own targets `tsdf` and `occupancy`, lists fine to coarse of (B, X, Y, Z).
        Voxels must be ordered by batch element. Elements are processed in order, and those without voxels are skipped.
        """
        parts = []
        counts = rows_of_elements(coordinates, len(inputs["scene"]))
        elements = zip(inputs["scene"], coordinates[:, 1:].split(counts), features.split(counts))
        for element, (scene, local, mine) in enumerate(elements):
            if counts[element]:
                self._prepare_maps(scene, inputs, element, level, coordinates.device)
                parts.append(self._fuse(local, mine, inputs, element, level))
        if not parts:
            return Fused(coordinates, features, features.new_zeros(0, 1), features.new_zeros(0, 1, dtype=torch.bool))
        targets = [part.tsdf for part in parts if part.tsdf is not None]
        tsdf = torch.cat(targets) if targets else None
        return Fused(
            torch.cat([part.coordinates for part in parts]),
            torch.cat([part.features for part in parts]),
            tsdf,
            None if tsdf is None else tsdf.abs() < FREE,
        )

    def reset(self) -> None:
        """Discard all scenes."""
        for maps in self.maps:
            maps.reset()

    def bytes(self) -> int:
        """Return the size of all maps in bytes."""
        return sum(maps.bytes() for maps in self.maps)

    def state(self) -> dict[str, Tensor]:
        """Return the maps as tensors under flat names, for saving alongside the weights."""
        return {f"{level}.{name}": value for level, maps in enumerate(self.maps) for name, value in maps.state().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore the maps returned by `state`."""
        for level, maps in enumerate(self.maps):
            prefix = f"{level}."
            maps.load_state({name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)})

    def interval(self, level: int) -> int:
        """Return the edge length of a level's voxels in finest voxels."""
        return 2 ** (len(self.maps) - 1 - level)

    def _prepare_maps(self, scene: str, inputs: dict[str, Any], element: int, level: int, device: torch.device) -> None:
        maps = self.maps[level]
        if scene != maps.scene:
            maps.reset(scene, inputs["vol_origin"][element] if "vol_origin" in inputs else None, device)
        maps.to(device)

    def _fuse(self, local: Tensor, features: Tensor, inputs: dict[str, Any], element: int, level: int) -> Fused:
        maps, interval = self.maps[level], self.interval(level)
        origin = inputs["vol_origin_partial"][element]
        x, y, z = (side // interval for side in self.size)
        box = Box.at(origin, maps.origin, self.voxel_size * interval, (x, y, z))
        keys, history, current = self._align(box, box.keys(local // interval), features, maps.features)
        voxels = nn.functional.pad(box.local(keys) * interval, (1, 0))
        positions = world_positions(voxels, origin[None], self.voxel_size)
        positions = to_aligned_camera(positions, voxels[:, 0], inputs["world_to_aligned_camera"][element, None])
        fused = self.fusion_nets[level](history, current, positions, voxels[:, 0])
        maps.features.write(box, keys, fused, same_keys_only=not self.full)
        tsdf = None if "tsdf" not in inputs else _fuse_targets(maps.targets, box, keys, *_targets(inputs, element, level))
        voxels[:, 0] = element
        return Fused(voxels, fused, tsdf, None)

    def _align(self, box: Box, keys: Tensor, features: Tensor, history: GlobalMap) -> tuple[Tensor, Tensor, Tensor]:
        """Return the keys (M,) of the voxels to update, and their history and current features (M, C), 0 where missing."""
        features = features.to(history.values.dtype)
        old_keys, old = history.read(box)
        if self.full:
            updated = union(old_keys[(old != 0).any(1)], keys[(features != 0).any(1)])
            return updated, spread(updated, old_keys, old), spread(updated, keys, features)
        return keys, spread(keys, old_keys, old), features


def _targets(inputs: dict[str, Any], element: int, level: int) -> tuple[Tensor, Tensor]:
    scale = len(inputs["tsdf"]) - 1 - level
    return inputs["tsdf"][scale][element], inputs["occupancy"][scale][element]


def _fuse_targets(targets: GlobalMap, box: Box, keys: Tensor, tsdf: Tensor, occupancy: Tensor) -> Tensor:
    """Merge a fragment's target distances, where it saw a surface, into the scene's; return those at `keys`, (M, 1)."""
    old_keys, old = targets.read(box)
    new_keys = occupancy.flatten().nonzero()[:, 0]
    merged = union(old_keys, new_keys)
    values = spread(merged, old_keys, old, fill=FREE)
    values[torch.searchsorted(merged, new_keys)] = tsdf.reshape(-1, 1)[new_keys].to(values.dtype)
    near = values[:, 0].abs() < FREE
    targets.write(box, merged[near], values[near])
    return spread(keys, merged, values, fill=FREE)
