"""Renders UV position maps: the positions of a mesh's surface laid out over its atlas.

Target generation of PRNet (Feng et al., ECCV 2018) after YadiraF/face3d, examples/8_generate_posmap_300WLP.py.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.ops.rasterize import Fragments, interpolate, rasterize


class PositionMapper:
    """Renders position maps of one topology: the atlas triangulation is rasterised once and reused for every face."""

    def __init__(self, faces: NDArray[Any], uv: NDArray[Any], size: int, faces_uv: NDArray[Any] | None = None) -> None:
        """faces: (F, 3). uv: (Vt, 2) atlas coordinates in [0, 1], v up. size: side of the map in texels.

        faces_uv: (F, 3) into `uv`, for an atlas with seams; by default each vertex has one position in the atlas.
        """
        self.size = size
        self._faces = torch.from_numpy(np.ascontiguousarray(faces, np.int64))
        self._fragments = _lay_out(np.asarray(faces if faces_uv is None else faces_uv, np.int64), np.asarray(uv), size)

    def __call__(self, vertices: NDArray[Any]) -> NDArray[np.float32]:
        """Return the map (3, S, S) of vertices (V, 3), or (C, S, S) of attributes (V, C); zero outside the triangulation."""
        attributes = torch.from_numpy(np.ascontiguousarray(vertices, np.float32))
        return interpolate(self._fragments, self._faces, attributes).numpy()


def position_map(vertices_crop: NDArray[Any], faces: NDArray[Any], uv: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Return the position map (3, S, S) of vertices (V, 3) in crop pixels, z larger = nearer; zero outside the triangulation.

    uv: (V, 2) in [0, 1], v up. A vertex is at texel column u (S - 1) and row (1 - v) (S - 1), zero-based.
    Use `PositionMapper` for many faces of one topology.
    """
    return PositionMapper(faces, uv, size)(vertices_crop)


def _lay_out(faces: NDArray[np.int64], uv: NDArray[Any], size: int) -> Fragments:
    # The rasteriser has pixel centres at +0.5. The slight stretch makes the outermost texels, whose centres lie exactly on the
    # border of the unit square, fall inside a triangle regardless of the rasteriser's edge rule.
    centred = (np.asarray(uv, np.float64) - 0.5) * (size - 1) * (1 + 1e-6) + size / 2
    flat = np.stack([centred[:, 0], size - centred[:, 1], np.ones(len(uv))], 1).astype(np.float32)
    return rasterize(torch.from_numpy(flat), torch.from_numpy(faces), size, size, perspective=False)
