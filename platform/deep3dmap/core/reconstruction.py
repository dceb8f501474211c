"""The output of a method: optional parts in a common frame and unit, saved in standard formats."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import check_finite, reading
from deep3dmap.core.foreign_meshes import load_trimesh
from deep3dmap.core.mesh import Mesh
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.core.ply import from_ply, to_ply
from deep3dmap.core.reconstruction_files import (
    ABOUT_FILE,
    ARRAYS_FILE,
    CAMERAS_FILE,
    GAUGES,
    MESH_FILE,
    OWN_FILES,
    check_parts,
    read_about,
    read_arrays,
    read_cameras,
    read_files,
)

ARRAYS = (
    *("points", "depth", "normals", "position_map", "landmarks", "images", "radiance", "samples"),
    *("texture", "vertex_uv", "visible", "frontal", "pointmaps", "confidence"),
)


@dataclass
class Reconstruction:
    """The output of a method.

    frame: "world" (the dataset's own frame), "image" (pixels of the given image, z in the same unit, larger = nearer) or
        another named frame.
    unit: "metre", "pixel", ...
    mesh: a triangle mesh.
    points: (N, 3).
    depth: (V, H, W), 0 = invalid.
    normals: (V, 3, H, W), unit length, camera axes.
    position_map: (3, S, S).
    landmarks: (N, 3).
    cameras: list of Camera.
    images: (V, 3, H, W) RGB in [0, 1].
    radiance: (X, Y, Z, C) samples of a field.
    samples: (N, 3, H, W) generated images.
    texture: (3, S, S) RGB texture atlas of the surface.
    vertex_uv: (V, 2) atlas coordinates of the mesh's vertices in [0, 1], v up.
    visible: (V,) whether each vertex of the mesh is visible in the image.
    frontal: (3, S, S) frontal view of the subject.
    pointmaps: (V, H, W, 3) the point seen by each pixel of each view, in `frame`.
    confidence: (V, H, W) confidence of depth or pointmaps, larger = more certain.
    gauge: the alignment required before comparison with the ground truth: "metric" (none), "scale" (a factor) or "similarity"
        (scale, rotation and translation).
    files: {name: content} of additional files in other formats, such as splats.
    notes: plain data, such as the backends used.
    """

    frame: str
    unit: str
    mesh: Mesh | None = None
    points: NDArray[np.float32] | None = None
    depth: NDArray[np.float32] | None = None
    normals: NDArray[np.float32] | None = None
    position_map: NDArray[np.float32] | None = None
    landmarks: NDArray[np.float32] | None = None
    cameras: list[Camera] | None = None
    images: NDArray[np.float32] | None = None
    radiance: NDArray[np.float32] | None = None
    samples: NDArray[np.float32] | None = None
    texture: NDArray[np.float32] | None = None
    vertex_uv: NDArray[np.float32] | None = None
    visible: NDArray[np.bool_] | None = None
    frontal: NDArray[np.float32] | None = None
    pointmaps: NDArray[np.float32] | None = None
    confidence: NDArray[np.float32] | None = None
    gauge: str = "metric"
    files: dict[str, bytes] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.gauge not in GAUGES:
            raise ValueError(f"gauge must be one of {GAUGES}, not '{self.gauge}'")
        unsafe = [name for name in self.files if Path(name).name != name or name in ("", "..", *OWN_FILES)]
        if unsafe:
            raise ValueError(f"files: '{unsafe[0]}' is not a plain file name, or is a reserved one")

    def produced(self) -> tuple[str, ...]:
        """Return the names of the parts that are present."""
        return tuple(name for name in ("mesh", "cameras", *ARRAYS) if getattr(self, name) is not None)

    def save(self, folder: Path) -> None:
        """Write mesh.ply, arrays.npz, transforms.json, the additional files and finally reconstruction.json into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.mesh is not None:
            (folder / MESH_FILE).write_bytes(to_ply(self.mesh))
        arrays = {name: value for name in ARRAYS if (value := getattr(self, name)) is not None}
        if arrays:
            np.savez_compressed(folder / ARRAYS_FILE, allow_pickle=False, **arrays)
        if self.cameras is not None:
            (folder / CAMERAS_FILE).write_text(json.dumps(_transforms(self.cameras), indent=1))
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        about = {
            "schema": 1,
            "frame": self.frame,
            "unit": self.unit,
            "gauge": self.gauge,
            "parts": self.produced(),
            "files": sorted(self.files),
            "notes": self.notes,
        }
        (folder / ABOUT_FILE).write_text(json.dumps(about, indent=1, allow_nan=False))

    @classmethod
    def load(cls, folder: Path) -> "Reconstruction":
        """Load a reconstruction written by `save`; raises UserError naming the file if it is missing or damaged."""
        about = read_about(folder)
        result = cls(about["frame"], about["unit"], gauge=about["gauge"], notes=about["notes"])
        result.files = read_files(folder, about["files"])
        if "mesh" in about["parts"]:
            result.mesh = read_mesh(folder / MESH_FILE)
        for name, array in read_arrays(folder, ARRAYS).items():
            setattr(result, name, array)
        if "cameras" in about["parts"]:
            result.cameras = read_cameras(folder)
        check_parts(folder, about["parts"], result.produced())
        return result


def read_mesh(file: Path) -> Mesh:
    """Read a PLY, OBJ or GLB file as one mesh, vertices in file order; raises UserError naming an unreadable file."""
    with reading(file, "mesh"):
        own = _own_mesh(file)
        if own is not None:
            return own
        loaded = load_trimesh(file)
        colored = getattr(loaded.visual, "kind", None) == "vertex"
        colors = np.asarray(loaded.visual.vertex_colors)[:, :3] / 255 if colored else None
        mesh = Mesh(np.asarray(loaded.vertices), np.asarray(loaded.faces), colors)
    check_finite(file, {"vertices": mesh.vertices})
    return mesh


def _own_mesh(file: Path) -> Mesh | None:
    """Return the surface in a file written by `to_ply`, without trimesh; None for any other or damaged file."""
    if file.suffix != ".ply" or not file.is_file():
        return None
    try:
        mesh, _ = from_ply(file.read_bytes(), str(file))
    except UserError:
        return None
    return mesh if len(mesh.faces) else None


def _transforms(cameras: list[Camera]) -> dict[str, Any]:
    frames = [
        {
            "w": c.width,
            "h": c.height,
            "intrinsics": c.intrinsics.tolist(),
            "transform_matrix": c.world_from_camera.tolist(),
        }
        for c in cameras
    ]
    return {"camera_axes": "x right, y down, z forward", "pixel_centers": 0.5, "frames": frames}
