"""A triangle mesh as plain arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh. Arrays of other types are converted.

    vertices: (V, 3) float32 in the frame and unit of the object that contains the mesh.
    faces: (F, 3) int64, counter-clockwise when seen from outside.
    colors: (V, 3) float32 RGB in [0, 1], or None.
    """

    vertices: NDArray[Any]
    faces: NDArray[Any]
    colors: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "vertices", np.ascontiguousarray(self.vertices, np.float32))
        object.__setattr__(self, "faces", np.ascontiguousarray(self.faces, np.int64))
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3:
            raise ValueError(f"vertices must be (V, 3), got {self.vertices.shape}")
        if self.faces.ndim != 2 or self.faces.shape[1] != 3:
            raise ValueError(f"faces must be (F, 3), got {self.faces.shape}")
        if len(self.faces) and (self.faces.min() < 0 or self.faces.max() >= len(self.vertices)):
            raise ValueError(f"faces index vertices {self.faces.min()}..{self.faces.max()}, but there are {len(self.vertices)}")
        if self.colors is not None:
            object.__setattr__(self, "colors", np.ascontiguousarray(self.colors, np.float32))
            if self.colors.shape != self.vertices.shape:
                raise ValueError(f"colors must be {self.vertices.shape}, got {self.colors.shape}")

    @property
    def is_empty(self) -> bool:
        """Whether the mesh has no faces."""
        return len(self.faces) == 0
