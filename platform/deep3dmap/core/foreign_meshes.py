"""Mesh files written by other programs, loaded with trimesh: PLY, OBJ, GLB and any other format it supports."""

from pathlib import Path
from typing import Any

import numpy as np


def load_trimesh(file: Path) -> Any:
    """Return all surfaces of a file as one `trimesh.Trimesh`, vertices in file order; without faces, only the points.

    Raises whatever trimesh raises on a damaged file, so call it inside `reading`.
    """
    import trimesh

    file.stat()  # Raises FileNotFoundError for a missing file; trimesh's own message is misleading.
    # load_mesh would drop points that belong to no face.
    scene: Any = trimesh.load(file, force="scene", process=False)
    parts = scene.dump()
    surfaces = [part for part in parts if isinstance(part, trimesh.Trimesh)]
    clouds = [part for part in parts if isinstance(part, trimesh.PointCloud)]
    if surfaces or not clouds:
        return trimesh.util.concatenate(surfaces)
    colors = np.concatenate([cloud.colors for cloud in clouds]) if all(len(cloud.colors) for cloud in clouds) else None
    points = np.concatenate([cloud.vertices for cloud in clouds])
    return trimesh.Trimesh(points, np.zeros((0, 3), np.int64), vertex_colors=colors, process=False)
