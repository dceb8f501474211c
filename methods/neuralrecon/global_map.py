"""Sparse voxel map of one scene: a table of coordinates and values in which a fragment modifies only the rows in its box."""

from dataclasses import dataclass

import torch
from torch import Tensor

MISALIGNED = 0.05


@dataclass(frozen=True)
class Box:
    """A fragment's box: its lowest voxel and its size, both in voxels of the map's level."""

    lowest: tuple[int, int, int]
    size: tuple[int, int, int]

    @classmethod
    def at(cls, origin: Tensor, global_origin: Tensor, voxel_size: float, size: tuple[int, int, int]) -> "Box":
        """Place the box of a fragment whose lowest voxel is at `origin` (3,) metres; `global_origin` (3,) is the map's.

        The quotient is rounded. Truncating it, as the official code does, is off by one voxel where float32 yields 119.99999.
        Raises ValueError if the two origins are not a whole number of voxels apart.
        """
        exact = (origin.detach().cpu().double() - global_origin.cpu().double()) / voxel_size
        whole = exact.round()
        if (exact - whole).abs().max() > MISALIGNED:
            raise ValueError(
                f"the fragment is a fractional number of voxels of {voxel_size:g} m from the map: {exact.tolist()}"
            )
        x, y, z = (int(value) for value in whole.tolist())
        return cls((x, y, z), size)

    def contains(self, coordinates: Tensor) -> Tensor:
        """Return a mask (N,) bool of the map coordinates (N, 3) that are inside the box."""
        local = coordinates - coordinates.new_tensor(self.lowest)
        return ((local >= 0) & (local < local.new_tensor(self.size))).all(1)

    def keys(self, local: Tensor) -> Tensor:
        """Return the row-major indices (N,) int64 of voxels (N, 3), counted from the box's lowest one."""
        x, y, z = local.long().unbind(1)
        return (x * self.size[1] + y) * self.size[2] + z

    def local(self, keys: Tensor) -> Tensor:
        """Return the voxels with these indices, (N, 3) int32, counted from the box's lowest one."""
        rows, z = keys // self.size[2], keys % self.size[2]
        return torch.stack([rows // self.size[1], rows % self.size[1], z], 1).int()


class GlobalMap:
    """Values (N, C) float32 at voxels (N, 3) int32, counted from the scene's origin in voxels of one level.

    A fragment takes the rows inside its box and replaces them. All other rows remain untouched, so the time per fragment
    depends on the size of the box, and the memory on the surface seen so far.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.clear()

    def clear(self, device: torch.device | str = "cpu") -> None:
        """Remove all rows."""
        self.coordinates = torch.zeros(0, 3, dtype=torch.int32, device=device)
        self.values = torch.zeros(0, self.channels, device=device)

    def to(self, device: torch.device | str) -> None:
        """Move the rows to a device."""
        self.coordinates, self.values = self.coordinates.to(device), self.values.to(device)

    def __len__(self) -> int:
        return len(self.coordinates)

    def bytes(self) -> int:
        """Return the size of the table in bytes."""
        return self.coordinates.nbytes + self.values.nbytes

    def read(self, box: Box) -> tuple[Tensor, Tensor]:
        """Return the rows in the box: keys (M,) int64 in the numbering of `box`, and values (M, C)."""
        inside = box.contains(self.coordinates)
        local = self.coordinates[inside] - self.coordinates.new_tensor(box.lowest)
        return box.keys(local), self.values[inside]

    def write(self, box: Box, keys: Tensor, values: Tensor, same_keys_only: bool = False) -> None:
        """Replace all rows inside the box by unique `keys` (M,) with `values` (M, C), which are stored without gradients.

        same_keys_only: replace only rows with the same keys and keep the other rows of the box.
        """
        replaced = box.contains(self.coordinates)
        if same_keys_only:
            replaced[replaced.clone()] = torch.isin(self.read(box)[0], keys)
        coordinates = box.local(keys) + self.coordinates.new_tensor(box.lowest)
        self.coordinates = torch.cat([self.coordinates[~replaced], coordinates])
        self.values = torch.cat([self.values[~replaced], values.detach().to(self.values.dtype)])

    def state(self) -> dict[str, Tensor]:
        """Return the rows as tensors, for saving."""
        return {"coordinates": self.coordinates, "values": self.values}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore the rows returned by `state`; raises ValueError if they belong to a map of a different shape."""
        coordinates, values = state["coordinates"], state["values"]
        if coordinates.shape != (len(values), 3) or values.shape[1:] != (self.channels,):
            raise ValueError(f"a map of {self.channels} channels cannot hold values {tuple(values.shape)}")
        self.coordinates, self.values = coordinates.clone(), values.clone()


def union(*keys: Tensor) -> Tensor:
    """Return the sorted, unique keys; ascending keys follow the row-major order of a box."""
    return torch.unique(torch.cat(keys), sorted=True)


def spread(keys: Tensor, source_keys: Tensor, source: Tensor, fill: float = 0.0) -> Tensor:
    """Return `source` (M, C) at `keys` (N,), and `fill` for keys without a source row; differentiable in `source`.

    Keys are unique and in any order; source rows whose key is not among `keys` are dropped.
    """
    if len(source_keys) == 0:
        return source.new_full((len(keys), source.shape[1]), fill)
    known, order = source_keys.sort()
    at = torch.searchsorted(known, keys).clamp(max=len(known) - 1)
    return torch.where((known[at] == keys)[:, None], source[order[at]], fill)


def encode_name(name: str) -> Tensor:
    """Encode a scene's name as a uint8 tensor, because saved states contain only tensors."""
    return torch.tensor(list(name.encode()), dtype=torch.uint8)


def decode_name(name: Tensor) -> str:
    """Return the name encoded by `encode_name`."""
    return bytes(name.tolist()).decode()
