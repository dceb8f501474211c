"""Meshes as binary PLY files: the same mesh always gives the same bytes, optionally with one scalar per vertex.

MeshLab and CloudCompare show this scalar as the vertex quality. Use core.read_mesh for files written by other programs.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.mesh import Mesh

_KINDS = {"float": "<f4", "uchar": "u1"}
_FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3)])
_PLACE, _COLOR, _NUMBER = ("x", "y", "z"), ("red", "green", "blue"), ("quality",)
_HEADER = re.compile(
    rb"ply\nformat binary_little_endian 1\.0\nelement vertex (\d{1,9})\n((?:property (?:float|uchar) [a-z]+\n)+)"
    rb"element face (\d{1,9})\nproperty list uchar int vertex_indices\nend_header\n"
)


def to_ply(mesh: Mesh, quality: NDArray[Any] | None = None) -> bytes:
    """Return the content of the file: vertices, 8-bit colours if the mesh has any, the (V,) quality, and faces."""
    columns = [(name, "float", mesh.vertices[:, place]) for place, name in enumerate(_PLACE)]
    if mesh.colors is not None:
        levels = np.round(mesh.colors * 255).clip(0, 255)
        columns += [(name, "uchar", levels[:, place]) for place, name in enumerate(_COLOR)]
    if quality is not None:
        columns.append((*_NUMBER, "float", quality))
    vertices = np.zeros(len(mesh.vertices), [(name, _KINDS[kind]) for name, kind, _ in columns])
    for name, _, values in columns:
        vertices[name] = values
    faces = np.zeros(len(mesh.faces), _FACE)
    faces["count"], faces["corners"] = 3, mesh.faces
    properties = "".join(f"property {kind} {name}\n" for name, kind, _ in columns)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n{properties}element face {len(faces)}\n"
    return f"{header}property list uchar int vertex_indices\nend_header\n".encode() + vertices.tobytes() + faces.tobytes()


def from_ply(data: bytes, where: str) -> tuple[Mesh, NDArray[np.float32] | None]:
    """Return the mesh and the vertex quality of a file written by `to_ply`; raises UserError naming `where` for any other."""
    found = _HEADER.match(data)
    if not found:
        raise UserError(f"{where}: not a PLY file written by deep3dmap")
    properties = [line.split()[1:] for line in found[2].decode().splitlines()]
    dtype = [(name, _KINDS[kind]) for kind, name in properties]
    names = [name for name, _ in dtype]
    allowed = [[*_PLACE, *color, *number] for color in ((), _COLOR) for number in ((), _NUMBER)]
    if names not in allowed:
        raise UserError(f"{where}: vertices have {', '.join(names)}, expected x, y, z and optionally a colour and a quality")
    count, faces = int(found[1]), int(found[3])
    size = np.dtype(dtype).itemsize
    if len(data) != found.end() + count * size + faces * _FACE.itemsize:
        raise UserError(f"{where}: {len(data)} bytes do not match {count} vertices and {faces} faces; the file was cut")
    vertices = np.frombuffer(data, dtype, count, found.end())
    corners = np.frombuffer(data, _FACE, faces, found.end() + count * size)["corners"]
    place, color = (
        np.stack([vertices[name] for name in group], 1) if group[0] in names else None for group in (_PLACE, _COLOR)
    )
    if place is None or not np.isfinite(place).all():
        raise UserError(f"{where}: some vertices are not finite")
    try:
        mesh = Mesh(place, corners, None if color is None else color / np.float32(255))
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
    return mesh, np.array(vertices["quality"]) if "quality" in names else None
