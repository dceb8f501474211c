"""Data sent to the viewer: quantised arrays in base64, an eighth to a quarter of the size of lists of numbers."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.mesh import Mesh
from deep3dmap.geometry.vertex_clustering import simplify_mesh
from deep3dmap.results.export import significant

MOST_PANELS = 4
MOST_TRIANGLES = 50_000
STEPS = 65_535
UNKNOWN = STEPS
# Quantile of the errors that the colour scale covers: with outliers, all other errors would look like 0.
SHARE_BELOW = 0.95
UNITS = {"metre": "m", "pixel": "px", "millimetre": "mm"}
# Longer units are part of the label, since there is no room for them next to the last tick.
LONGEST_UNIT = 8


@dataclass(frozen=True)
class Panel:
    """One surface in the viewer.

    mesh: x to the right, y up, z towards the viewer; a point cloud if it has no faces. errors: (V,) distance to the true
    surface, NaN where unknown, or None. triangles, points: counts before the mesh was reduced.
    """

    title: str
    mesh: Mesh
    errors: NDArray[Any] | None = None
    triangles: int = 0
    points: int = 0


def payload(
    panels: Sequence[Panel],
    unit: str = "",
    eye: tuple[float, float, float] = (0.4, 0.3, 1.0),
    inside: bool = False,
) -> dict[str, Any]:
    """Return the viewer's data for one to four panels, as plain data; see `static/viewer.js`.

    unit: of coordinates and errors. eye: direction of the initial viewpoint. inside: hide back sides initially. The initial
    colouring is by error if available, else by vertex colour. Raises ValueError for zero or more than four panels.
    """
    if not 1 <= len(panels) <= MOST_PANELS:
        raise ValueError(f"the viewer takes one to {MOST_PANELS} panels, not {len(panels)}")
    small = [_small(panel) for panel in panels]
    low, size = _box([panel.mesh for panel in small])
    largest = _largest([panel.errors for panel in small if panel.errors is not None])
    found: dict[str, Any] = {
        "box": {"low": low.tolist(), "size": size},
        **_view([panel.mesh for panel in small]),
        "eye": list(eye),
        "see_inside": inside,
        "error": None if largest is None else _scale(largest, UNITS.get(unit, unit)),
        "meshes": [_mesh(panel, note(panel), low, size) for panel in small],
    }
    painted = ("error", largest is not None), ("colors", any(panel.mesh.colors is not None for panel in small))
    found["paint"] = next((name for name, is_available in painted if is_available), "shape")
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    return {**found, "id": digest[:16]}


def note(panel: Panel) -> str:
    """Return how much of a surface is shown, such as "showing 50,000 of 412,003 triangles"."""
    shown, of, what = len(panel.mesh.faces), panel.triangles, "triangles"
    if not shown:
        shown, of, what = len(panel.mesh.vertices), panel.points, "points"
    if not shown:
        return "nothing was reconstructed"
    return f"showing {shown:,} of {of:,} {what}" if of > shown else f"{shown:,} {what}"


def _small(panel: Panel) -> Panel:
    mesh = simplify_mesh(panel.mesh, MOST_TRIANGLES)
    triangles, points = panel.triangles or len(panel.mesh.faces), panel.points or len(panel.mesh.vertices)
    # Merged vertices have no errors.
    errors = panel.errors if mesh is panel.mesh else None
    return Panel(panel.title, mesh, errors, triangles, points)


def _box(meshes: Sequence[Mesh]) -> tuple[NDArray[np.float64], float]:
    places = np.concatenate([np.zeros((0, 3)), *(mesh.vertices.astype(np.float64) for mesh in meshes)])
    if not len(places):
        return np.zeros(3), 1.0
    low = places.min(0)
    return low, float((places.max(0) - low).max()) or 1.0


def _view(meshes: Sequence[Mesh]) -> dict[str, Any]:
    """Return the centre and radius of the initial view, which covers all panels except for a few outlier vertices each."""
    boxes = [np.percentile(mesh.vertices.astype(np.float64), (1, 99), axis=0) for mesh in meshes if len(mesh.vertices)]
    if not boxes:
        return {"centre": [0.0, 0.0, 0.0], "radius": 1.0}
    low, high = np.min([box[0] for box in boxes], 0), np.max([box[1] for box in boxes], 0)
    return {"centre": ((low + high) / 2).tolist(), "radius": float(np.linalg.norm(high - low)) * 0.46 or 1.0}


def _largest(errors: Sequence[NDArray[Any]]) -> float | None:
    known = np.concatenate([np.zeros(0), *(one[np.isfinite(one)] for one in errors)])
    if not len(known):
        return None
    return _round_up(float(np.quantile(known, SHARE_BELOW))) if known.max() > 0 else 1.0


def _round_up(value: float) -> float:
    """Round up to 1, 2, 3, 5 or 8 times a power of ten, for readable scales."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-30)))
    return next(float(f"{step * power:.3g}") for step in (1, 2, 3, 5, 8, 10) if step * power >= value * (1 - 1e-9))


def _scale(largest: float, unit: str) -> dict[str, Any]:
    if unit == "m" and largest < 0.1:
        # Show millimetres on the scale; the errors themselves are unchanged.
        factor, unit = 1000.0, "mm"
    else:
        factor = 1.0
    ticks = [significant(share * largest * factor, 3).rstrip("0").rstrip(".") for share in (0.0, 0.5, 1.0)]
    is_long = len(unit) > LONGEST_UNIT
    ticks[0], ticks[-1] = "0", f"≥ {ticks[-1]} {'' if is_long else unit}".rstrip()
    label = "distance to the true surface" + (f", in units of the {unit}" if is_long else "")
    return {"largest": largest, "label": label, "ticks": ticks, "unit": unit, "factor": factor}


def _mesh(panel: Panel, text: str, low: NDArray[np.float64], size: float) -> dict[str, Any]:
    mesh = panel.mesh
    steps = np.round((mesh.vertices.astype(np.float64) - low) / size * STEPS).clip(0, STEPS)
    found: dict[str, Any] = {"title": panel.title, "note": text, "positions": _base64(steps, "<u2")}
    if len(mesh.faces):
        wide = len(mesh.vertices) > STEPS
        found |= {"indices": _base64(mesh.faces, "<u4" if wide else "<u2"), "wide_indices": wide}
    if mesh.colors is not None:
        found["colors"] = _base64(np.round(mesh.colors * 255).clip(0, 255), "u1")
    if panel.errors is not None and len(panel.errors):
        known = np.isfinite(panel.errors)
        largest = float(panel.errors[known].max(initial=0.0)) or 1.0
        shares = np.where(known, panel.errors / largest, 0.0)
        errors = np.where(known, np.round(shares * (STEPS - 1)).clip(0, STEPS - 1), UNKNOWN)
        found |= {"errors": _base64(errors, "<u2"), "largest_error": largest}
    return found


def _base64(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode()
