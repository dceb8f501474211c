"""Reads mesh files as renderable surfaces: OBJ with texture, PLY, GLB and other formats that trimesh supports."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import reading, require_file
from deep3dmap.core.foreign_meshes import load_trimesh
from deep3dmap.geometry.obj_file import read_obj
from deep3dmap.render.renderer import Surface

MAX_TEXELS = 1 << 26


def read_surface(file: Path) -> Surface:
    """Read a mesh with its texture or vertex colours.

    Raises UserError naming the file and the problem: missing, not a mesh, no faces, non-finite vertices, face indices out of
    range, several textures, or a texture that cannot be read.
    """
    require_file(file, "a mesh file")
    surface = _from_obj(file) if file.suffix.lower() == ".obj" else _from_trimesh(file)
    if len(surface.faces) == 0:
        raise UserError(f"{file}: an empty mesh without faces")
    bad = (~torch.isfinite(surface.vertices).all(1)).nonzero()[:, 0]
    if len(bad):
        raise UserError(f"{file}: {len(bad)} vertices are not finite numbers, the first is vertex {int(bad[0])} (zero-based)")
    if int(surface.faces.min()) < 0 or int(surface.faces.max()) >= len(surface.vertices):
        span = f"{int(surface.faces.min())}..{int(surface.faces.max())}"
        raise UserError(f"{file}: faces index vertices {span}, but there are only {len(surface.vertices)}")
    return surface


def _from_obj(file: Path) -> Surface:
    mesh = read_obj(file)
    vertices, faces = torch.from_numpy(mesh.vertices).float(), torch.from_numpy(mesh.faces)
    picture = _texture_of(file)
    if mesh.uv is None or mesh.faces_uv is None or picture is None:
        return Surface(vertices, faces)
    uv, faces_uv = torch.from_numpy(mesh.uv).float(), torch.from_numpy(mesh.faces_uv)
    return Surface(vertices, faces, None, _read_picture(file, picture), uv, faces_uv)


def _texture_of(file: Path) -> Path | None:
    """Return the single texture referenced by the materials of an OBJ, or None if there is none."""
    found = set()
    for library in _words(file, "mtllib"):
        material = file.parent / library
        if not material.is_file():
            raise UserError(f"{file}: its material file {library} is not in the same folder")
        # Options such as `-s 1 1 1` precede the name.
        found |= {material.parent / name.split()[-1] for name in _words(material, "map_Kd")}
    if len(found) > 1:
        raise UserError(f"{file}: {len(found)} textures; only one is supported, so pack them into one image")
    return next(iter(found), None)


def _words(file: Path, keyword: str) -> Iterator[str]:
    with reading(file, "text file"):
        lines = file.read_text(errors="replace").splitlines()
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        if word == keyword and rest.strip():
            yield rest.strip()


def _read_picture(file: Path, picture: Path) -> Tensor:
    from PIL import Image

    try:
        with reading(picture, "picture"), Image.open(picture) as opened:
            return _as_texture(opened, picture)
    except UserError as error:
        raise UserError(f"{file}: its texture {picture.name} cannot be read ({error})") from error


def _as_texture(picture: Any, file: Path) -> Tensor:
    if picture.width * picture.height > MAX_TEXELS:
        raise UserError(f"{file}: a texture of {picture.width}x{picture.height} texels is too large; scale it down")
    return torch.from_numpy(np.asarray(picture.convert("RGB")).copy()).permute(2, 0, 1).float() / 255


def _from_trimesh(file: Path) -> Surface:
    with reading(file, "mesh"):
        mesh = load_trimesh(file)
        vertices = torch.from_numpy(np.array(mesh.vertices, np.float32)).reshape(-1, 3)
        faces = torch.from_numpy(np.array(mesh.faces, np.int64)).reshape(-1, 3)
        kind = getattr(mesh.visual, "kind", None)
        uv = getattr(mesh.visual, "uv", None) if kind == "texture" else None
        picture = _picture_in(mesh.visual.material) if uv is not None else None
        colors = torch.from_numpy(np.array(mesh.visual.vertex_colors)[:, :3] / 255).float() if kind == "vertex" else None
        if picture is None:
            return Surface(vertices, faces, colors)
        return Surface(vertices, faces, None, _as_texture(picture, file), torch.from_numpy(np.array(uv, np.float32)))


def _picture_in(material: Any) -> Any:
    """Return the colour texture of a glTF or simple material, or None if it has none."""
    found = getattr(material, "baseColorTexture", None)
    return getattr(material, "image", None) if found is None else found
