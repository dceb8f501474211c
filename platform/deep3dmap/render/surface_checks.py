"""Validation of surfaces, common to all renderers."""

from dataclasses import replace

import torch

from deep3dmap.render.renderer import Surface


def replace_invalid_vertices(surface: Surface) -> Surface:
    """Return the surface with non-finite vertices moved to the mean vertex, and faces that use them made degenerate.

    These faces are then skipped without changing face indices, and non-finite values do not reach lights, normals or gradients.
    Raises ValueError if face indices into vertices or texture coordinates are out of range.
    """
    _check_faces(surface)
    finite = torch.isfinite(surface.vertices).all(1)
    if bool(finite.all()):
        return surface
    mean_vertex = surface.vertices.detach()[finite].mean(0).nan_to_num()
    vertices = torch.where(finite[:, None], surface.vertices, mean_vertex)
    faces = torch.where(finite[surface.faces].all(1, keepdim=True), surface.faces, 0)
    return replace(surface, vertices=vertices, faces=faces)


def _check_faces(surface: Surface) -> None:
    pairs = [("vertices", surface.faces, len(surface.vertices))]
    if surface.uv is not None:
        pairs.append(("uv", surface.faces if surface.faces_uv is None else surface.faces_uv, len(surface.uv)))
    for name, faces, count in pairs:
        if len(faces) and not 0 <= int(faces.min()) <= int(faces.max()) < count:
            raise ValueError(f"faces index {name} {int(faces.min())}..{int(faces.max())}, but there are {count}")
