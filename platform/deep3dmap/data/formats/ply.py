"""Writing a mesh as binary PLY, the same bytes for the same mesh. Reading is core.read_mesh."""

from pathlib import Path
from typing import Any

import numpy as np

from deep3dmap.core.mesh import Mesh


def write_ply(file: Path, mesh: Mesh) -> None:
    """Write vertices (float), colours (uchar, where there are any) and triangles, binary little-endian."""
    fields: list[Any] = [(axis, "<f4") for axis in "xyz"]
    if mesh.colors is not None:
        fields += [(channel, "u1") for channel in ("red", "green", "blue")]
    vertices = np.empty(len(mesh.vertices), fields)
    for column, axis in enumerate("xyz"):
        vertices[axis] = mesh.vertices[:, column]
    if mesh.colors is not None:
        for column, channel in enumerate(("red", "green", "blue")):
            vertices[channel] = np.round(mesh.colors[:, column] * 255).clip(0, 255)
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    file.write_bytes(_header(vertices, len(faces)) + vertices.tobytes() + faces.tobytes())


def _header(vertices: np.ndarray[Any, Any], faces: int) -> bytes:
    types = {"f": "float", "u": "uchar"}
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    lines += [f"property {types[vertices.dtype[name].kind]} {name}" for name in vertices.dtype.names or ()]
    lines += [f"element face {faces}", "property list uchar int vertex_indices", "end_header", ""]
    return "\n".join(lines).encode()
