"""Scene previews: small surfaces for the viewer, and small pictures of input, prediction, ground truth and error."""

from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deep3dmap.core.mesh import Mesh
from deep3dmap.core.method import Views
from deep3dmap.core.preview import PREDICTION, TRUTH, WORST_DISTANCE, Part, Preview
from deep3dmap.core.protocol import Protocol
from deep3dmap.core.reconstruction import Reconstruction
from deep3dmap.geometry.closest_points import ClosestPoints
from deep3dmap.geometry.nearest_neighbours import nearest
from deep3dmap.geometry.vertex_clustering import simplify_mesh
from deep3dmap.metrics.surface_distance import box_diagonal
from deep3dmap.render.preview_pictures import Placement, placement, surface_pictures, view_pictures

MOST_TRIANGLES = 12_000


def write_preview(
    protocol: Protocol, reconstruction: Reconstruction, views: Views | None, sample: dict[str, Any], folder: Path
) -> None:
    """Write prediction.ply, truth.ply, about.json and JPEG pictures, as available for the scene, into `folder`."""
    predicted, true = protocol.surfaces(reconstruction, sample)
    pictures = {} if views is None else view_pictures(views, sample)
    folder.mkdir(parents=True, exist_ok=True)
    if predicted is not None:
        display_placement = placement(
            predicted if true is None or not len(true.vertices) else true, reconstruction.frame, sample
        )
        preview = preview_of(predicted, true, reconstruction.unit, display_placement)
        pictures |= surface_pictures(predicted, true, preview, display_placement, sample) | preview.files()
    for name, content in pictures.items():
        (folder / name).write_bytes(content)


def preview_of(predicted: Mesh, true: Mesh | None, unit: str, display_placement: Placement) -> Preview:
    """Return both surfaces, reduced and oriented for a viewer, with the distance of each predicted vertex to the true one."""
    parts = {PREDICTION: _part(predicted, display_placement.axes, true)}
    worst = 0.0
    if true is not None:
        parts[TRUTH] = _part(true, display_placement.axes, None)
        worst = WORST_DISTANCE * box_diagonal(true.vertices) if _has_points(true) else 0.0
    return Preview(unit, display_placement.eye, display_placement.inside, worst, parts)


def _part(mesh: Mesh, axes: NDArray[np.float64], true: Mesh | None) -> Part:
    small = simplify_mesh(mesh, MOST_TRIANGLES)
    errors = distances(small, true) if _has_points(true) and len(small.vertices) else None
    # Mirroring axes would turn the surface inside out.
    faces = small.faces if np.linalg.det(axes) > 0 else small.faces[:, ::-1]
    oriented = Mesh(small.vertices @ axes.T, faces, small.colors)
    return Part(oriented, len(mesh.faces), len(mesh.vertices), errors)


def distances(mesh: Mesh, true: Mesh) -> NDArray[np.float32]:
    """Return the (V,) distances of the vertices to a surface, or to the nearest point if `true` is a point cloud."""
    if len(true.faces):
        return np.asarray(ClosestPoints(true.vertices, true.faces)(mesh.vertices).distance.float().numpy())
    points, targets = _tensor(mesh.vertices), _tensor(true.vertices)
    return np.asarray((points - targets[nearest(points, targets)]).norm(dim=1).float().numpy())


def _has_points(mesh: Mesh | None) -> TypeGuard[Mesh]:
    return mesh is not None and len(mesh.vertices) > 0


def _tensor(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float64))
