"""Scene previews: small predicted and true surfaces, oriented for a viewer."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.mesh import Mesh
from deep3dmap.core.ply import from_ply, to_ply

ABOUT = "about.json"
PREDICTION, TRUTH = "prediction", "truth"
REMEDY = "run the scene again"
# Frames that determine the orientation of a surface: the signs that convert their x, y and z to the viewer's axes.
SIGNS = {"image": (1.0, -1.0, 1.0), "relief": (1.0, -1.0, -1.0)}
# The errors drawn brightest in error maps: for surfaces, a share of the diagonal of the true surface's bounding box; for views,
# a share of the range of colours.
WORST_DISTANCE, WORST_COLOR = 0.02, 0.25


@dataclass(frozen=True)
class Part:
    """One surface. mesh: a point cloud if it has no faces. triangles, points: counts before it was reduced.

    errors: (V,) float32 distance of each vertex to the true surface, NaN where unknown, or None.
    """

    mesh: Mesh
    triangles: int
    points: int
    errors: NDArray[Any] | None = None


@dataclass(frozen=True)
class Preview:
    """The surfaces of one scene in a common frame: x to the right, y up, z towards the viewer.

    unit: unit of coordinates and errors. eye: (3,) direction from the centre to the initial viewpoint. inside: whether the
    scene is a room, which is best shown without back-facing walls. worst: the error that is drawn brightest, 0 without errors.
    """

    unit: str
    eye: tuple[float, float, float] = (0.4, 0.3, 1.0)
    inside: bool = False
    worst: float = 0.0
    parts: dict[str, Part] = field(default_factory=dict)

    def files(self) -> dict[str, bytes]:
        """Return {file name: content}: a PLY file for each part, and about.json."""
        counts = {name: {"triangles": part.triangles, "points": part.points} for name, part in self.parts.items()}
        about = {"schema": 1, "unit": self.unit, "eye": self.eye, "inside": self.inside, "worst": self.worst, "parts": counts}
        found = {f"{name}.ply": to_ply(part.mesh, part.errors) for name, part in self.parts.items()}
        return {**found, ABOUT: json.dumps(about, indent=1).encode()}


def read_preview(files: dict[str, bytes], where: str) -> Preview:
    """Parse the files returned by `Preview.files`; raises UserError naming the missing or damaged file under `where`."""
    try:
        about = json.loads(files[ABOUT])
        eye = tuple(float(value) for value in about["eye"])
        counts = {str(name): (int(one["triangles"]), int(one["points"])) for name, one in about["parts"].items()}
        unit, inside, worst = str(about["unit"]), bool(about["inside"]), float(about["worst"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{where}/{ABOUT}: not a preview description ({error}); {REMEDY}") from error
    if len(eye) != 3 or not np.isfinite(eye).all() or not any(eye):
        raise UserError(f"{where}/{ABOUT}: 'eye' must be a direction of three numbers; {REMEDY}")
    parts = {}
    for name in counts.keys() & {PREDICTION, TRUTH}:
        if f"{name}.ply" not in files:
            raise UserError(f"{where}/{name}.ply is missing; {REMEDY}")
        mesh, errors = from_ply(files[f"{name}.ply"], f"{where}/{name}.ply")
        parts[name] = Part(mesh, *counts[name], errors)
    return Preview(unit, eye, inside, worst, parts)
