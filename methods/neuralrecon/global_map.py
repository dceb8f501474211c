"""One scene's sparse voxel map: a table of coordinates and values, of which a fragment touches only what is in its box."""

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
        """Place the box of a fragment whose lowest voxel lies at `origin` (3,) metres; `global_origin` (3,) is the map's.

        The quotient is rounded: truncation, as the official code does, loses a voxel where float32 gives 119.99999.
        Raises ValueError where the two origins are not a whole number of voxels apart.
        """
        exact = (origin.detach().cpu().double() - global_origin.cpu().double()) / voxel_size
        whole = exact.round()
        if (exact - whole).abs().max() > MISALIGNED:
            raise ValueError(f"the fragment's origin is {exact.tolist()} voxels of {voxel_size:g} m from the map's: not whole")
        x, y, z = (int(value) for value in whole.tolist())
        return cls((x, y, z), size)

    def contains(self, coordinates: Tensor) -> Tensor:
        """Return which of the map's coordinates (N, 3) lie inside, (N,) bool."""
        local = coordinates - coordinates.new_tensor(self.lowest)
        return ((local >= 0) & (local < local.new_tensor(self.size))).all(1)

    def keys(self, local: Tensor) -> Tensor:
        """Number voxels (N, 3), counted from the box's lowest one, in row-major order, (N,) int64."""
        x, y, z = local.long().unbind(1)
        return (x * self.size[1] + y) * self.size[2] + z

    def local(self, keys: Tensor) -> Tensor:
        """Return the voxels of these numbers, (N, 3) int32, counted from the box's lowest one."""
        rows, z = keys // self.size[2], keys % self.size[2]
        return torch.stack([rows // self.size[1], rows % self.size[1], z], 1).int()


class GlobalMap:
    """Values (N, C) float32 at voxels (N, 3) int32, counted from the scene's origin in voxels of one level.

    A fragment takes the rows inside its box, and puts others in their place. All other rows wait untouched, so the work for a
    fragment depends on the box, and the memory on the surface seen so far.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.clear()

    def clear(self, device: torch.device | str = "cpu") -> None:
        """Forget every row."""
        self.coordinates = torch.zeros(0, 3, dtype=torch.int32, device=device)
        self.values = torch.zeros(0, self.channels, device=device)

    def to(self, device: torch.device | str) -> None:
        """Move the rows, where they are elsewhere."""
        self.coordinates, self.values = self.coordinates.to(device), self.values.to(device)

    def __len__(self) -> int:
        return len(self.coordinates)

    def bytes(self) -> int:
        """Return the memory the table takes."""
        return self.coordinates.nbytes + self.values.nbytes

    def take(self, box: Box) -> tuple[Tensor, Tensor]:
        """Return the box's rows: keys (M,) int64 as `box` numbers them, and values (M, C)."""
        inside = box.contains(self.coordinates)
        local = self.coordinates[inside] - self.coordinates.new_tensor(box.lowest)
        return box.keys(local), self.values[inside]

    def put(self, box: Box, keys: Tensor, values: Tensor, only_these: bool = False) -> None:
        """Replace all rows inside the box by these, unique `keys` (M,) with `values` (M, C), kept without their gradient.

        only_these: replace rows of the same keys, and leave the box's other rows.
        """
        gone = box.contains(self.coordinates)
        if only_these:
            gone[gone.clone()] = torch.isin(self.take(box)[0], keys)
        coordinates = box.local(keys) + self.coordinates.new_tensor(box.lowest)
        self.coordinates = torch.cat([self.coordinates[~gone], coordinates])
        self.values = torch.cat([self.values[~gone], values.detach().to(self.values.dtype)])

    def state(self) -> dict[str, Tensor]:
        """Return the rows as tensors, to be saved."""
        return {"coordinates": self.coordinates, "values": self.values}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` returned; raises ValueError if it belongs to a map of another shape."""
        coordinates, values = state["coordinates"], state["values"]
        if coordinates.shape != (len(values), 3) or values.shape[1:] != (self.channels,):
            raise ValueError(f"a map of {self.channels} channels cannot hold values {tuple(values.shape)}")
        self.coordinates, self.values = coordinates.clone(), values.clone()


def union(*keys: Tensor) -> Tensor:
    """Return every key once, ascending, which is the row-major order of a box."""
    return torch.unique(torch.cat(keys), sorted=True)


def spread(keys: Tensor, source_keys: Tensor, source: Tensor, fill: float = 0.0) -> Tensor:
    """Return `source` (M, C) at `keys` (N,), and `fill` where there is none; differentiable in `source`.

    Each key occurs once, in any order; source rows whose key is not asked for are left out.
    """
    if len(source_keys) == 0:
        return source.new_full((len(keys), source.shape[1]), fill)
    known, order = source_keys.sort()
    at = torch.searchsorted(known, keys).clamp(max=len(known) - 1)
    return torch.where((known[at] == keys)[:, None], source[order[at]], fill)


def encode_name(name: str) -> Tensor:
    """Return a scene's name as a uint8 tensor, as saved states hold nothing but tensors."""
    return torch.tensor(list(name.encode()), dtype=torch.uint8)


def decode_name(name: Tensor) -> str:
    """Return the name that `encode_name` wrote."""
    return bytes(name.tolist()).decode()
