"""What every renderer asks of a surface before it draws it."""

from dataclasses import replace

import torch

from deep3dmap.render.renderer import Surface


def drawable(surface: Surface) -> Surface:
    """Return the surface with its faces that hold non-finite vertices made degenerate, and those vertices moved into its midst.

    So they are not drawn, faces keep their numbers, and neither lights, normals nor gradients meet the numbers in them.
    Raises ValueError if faces name vertices, or texture coordinates, that do not exist.
    """
    _check_faces(surface)
    finite = torch.isfinite(surface.vertices).all(1)
    if bool(finite.all()):
        return surface
    midst = surface.vertices.detach()[finite].mean(0).nan_to_num()
    vertices = torch.where(finite[:, None], surface.vertices, midst)
    faces = torch.where(finite[surface.faces].all(1, keepdim=True), surface.faces, 0)
    return replace(surface, vertices=vertices, faces=faces)


def _check_faces(surface: Surface) -> None:
    pairs = [("vertices", surface.faces, len(surface.vertices))]
    if surface.uv is not None:
        pairs.append(("uv", surface.faces if surface.faces_uv is None else surface.faces_uv, len(surface.uv)))
    for name, faces, count in pairs:
        if len(faces) and not 0 <= int(faces.min()) <= int(faces.max()) < count:
            raise ValueError(f"faces index {name} {int(faces.min())}..{int(faces.max())}, but there are {count}")
