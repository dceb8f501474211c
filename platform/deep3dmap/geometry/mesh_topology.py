"""The connectivity of a mesh: its edges and the faces that meet at them. Computed once and shared by the mesh losses."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class MeshTopology:
    """The connectivity of a mesh with V vertices and F faces, which may have borders and non-manifold edges.

    faces: (F, 3) int64. edges: (E, 2), unique, smaller vertex first. hinges: (P, 4) vertices a, b, c, d of every pair of faces
    (a, b, c) and (a, b, d) that share the edge a b; an edge with n faces has n (n - 1) / 2 pairs.
    """

    vertex_count: int
    faces: Tensor
    edges: Tensor
    hinges: Tensor

    @classmethod
    def of(cls, faces: Any, vertex_count: int) -> "MeshTopology":
        """Find edges and hinges; raises ValueError for faces that are not (F, 3) or index vertices out of range.

        Sides with the same vertex at both ends are not counted as edges.
        """
        faces = torch.as_tensor(faces).long()
        if faces.dim() != 2 or faces.shape[1] != 3:
            raise ValueError(f"faces must be (F, 3), got {tuple(faces.shape)}")
        if len(faces) and (faces.min() < 0 or faces.max() >= vertex_count):
            raise ValueError(f"faces index vertices {faces.min()}..{faces.max()}, but there are {vertex_count}")
        sides = faces[:, [[1, 2], [2, 0], [0, 1]]].reshape(-1, 2).sort(1).values
        opposite = faces.reshape(-1)
        proper = sides[:, 0] != sides[:, 1]
        edges, owner = torch.unique(sides[proper], dim=0, return_inverse=True)
        return cls(vertex_count, faces, edges.reshape(-1, 2), _hinges(edges, owner, opposite[proper]))

    def to(self, device: torch.device | str) -> "MeshTopology":
        """Return the same topology on another device."""
        return MeshTopology(self.vertex_count, self.faces.to(device), self.edges.to(device), self.hinges.to(device))

    @property
    def degree(self) -> Tensor:
        """Number of edges at every vertex, (V,)."""
        return torch.bincount(self.edges.reshape(-1), minlength=self.vertex_count)


def _hinges(edges: Tensor, owner: Tensor, opposite: Tensor) -> Tensor:
    order = torch.argsort(owner, stable=True)
    owner, opposite = owner[order], opposite[order]
    pairs = []
    # In sorted order the sides of an edge are consecutive, so sides `step` places apart share an edge if their owners agree.
    for step in range(1, int(torch.bincount(owner).max()) if len(owner) else 0):
        same = owner[step:] == owner[:-step]
        ends = edges[owner[step:][same]]
        pairs.append(torch.cat([ends, opposite[:-step][same, None], opposite[step:][same, None]], 1))
    return torch.cat(pairs) if pairs else edges.new_zeros(0, 4)
