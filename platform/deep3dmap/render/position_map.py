"""Drawing UV position maps: the surface of a mesh laid out over its atlas.

Target generation of PRNet (Feng et al., ECCV 2018) after YadiraF/face3d, examples/8_generate_posmap_300WLP.py.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.ops.rasterize import Fragments, interpolate, rasterize


class PositionMapper:
    """Draws the position maps of one topology: the triangulation of the atlas is rasterised once and used for every face."""

    def __init__(self, faces: NDArray[Any], uv: NDArray[Any], size: int, faces_uv: NDArray[Any] | None = None) -> None:
        """Take (F, 3) faces, (Vt, 2) atlas coordinates in [0, 1] with v up and the side of the map in texels.

        `faces_uv` (F, 3) indexes `uv` where the atlas has seams; without it a vertex has one place in the atlas.
        """
        self.size = size
        self._faces = torch.from_numpy(np.ascontiguousarray(faces, np.int64))
        self._fragments = _lay_out(np.asarray(faces if faces_uv is None else faces_uv, np.int64), np.asarray(uv), size)

    def __call__(self, vertices: NDArray[Any]) -> NDArray[np.float32]:
        """Return the (3, S, S) map of (V, 3) vertices, or of any (V, C) attributes; zero outside the triangulation."""
        attributes = torch.from_numpy(np.ascontiguousarray(vertices, np.float32))
        return interpolate(self._fragments, self._faces, attributes).numpy()


def position_map(vertices_crop: NDArray[Any], faces: NDArray[Any], uv: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Return the (3, S, S) position map of (V, 3) vertices in crop pixels, z larger = nearer; zero outside the triangulation.

    uv: (V, 2) in [0, 1], v up. The vertex lies on texel column u (S - 1) and row (1 - v) (S - 1), counted from 0.
    Use `PositionMapper` for many faces of one topology.
    """
    return PositionMapper(faces, uv, size)(vertices_crop)


def _lay_out(faces: NDArray[np.int64], uv: NDArray[Any], size: int) -> Fragments:
    # The rasteriser has pixel centres at +0.5. Stretching by a hair lets the outermost texels, whose centres lie exactly on
    # the border of the unit square, belong to a triangle whatever the rasteriser's rule for edges is.
    centred = (np.asarray(uv, np.float64) - 0.5) * (size - 1) * (1 + 1e-6) + size / 2
    flat = np.stack([centred[:, 0], size - centred[:, 1], np.ones(len(uv))], 1).astype(np.float32)
    return rasterize(torch.from_numpy(flat), torch.from_numpy(faces), size, size, perspective=False)
