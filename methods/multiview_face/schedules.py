"""Schedules of a fit: from the pose to free vertices, from soft to sharp silhouettes, and from low to high resolution."""

from dataclasses import replace

from deep3dmap.core import UserError
from deep3dmap.core.errors import nearest
from deep3dmap.methods.multiview_face.fitting import Stage

POSE = {"landmarks": 4.0, "silhouette": 1.0}
SHAPE = {"landmarks": 4.0, "silhouette": 1.0, "prior": 1e-3}
COLOR = {"photometric": 4.0, "prior": 1e-3, "smooth_tint": 0.1}
ALL = {"landmarks": 2.0, "silhouette": 1.0, "photometric": 4.0, "prior": 1e-3, "smooth_tint": 0.1}
FREE = {**ALL, "smooth_offsets": 10.0, "normal": 0.01}

_HEAD = (
    Stage("pose", 40, 48, 1e-3, ("pose",), POSE),
    Stage("shape", 80, 64, 3e-4, ("pose", "identity", "expression"), SHAPE),
    Stage("color", 40, 64, 1e-4, ("albedo", "light"), COLOR),
    Stage("all", 120, 96, 1e-4, ("pose", "identity", "expression", "albedo", "light", "tint"), ALL),
    Stage("offsets", 60, 128, 3e-5, ("pose", "identity", "offsets", "tint", "light"), FREE, 0.5),
)
# Rendered limbs may not overlap the mask at the start, so an outline term is added.
_FAR = {"outline": 60.0}
_BODY = (
    Stage("pose", 60, 48, 1e-3, ("pose", "betas"), {**POSE, **_FAR}),
    Stage("limbs", 160, 64, 3e-4, ("pose", "betas", "body_pose"), {**SHAPE, **_FAR}),
    Stage("color", 40, 64, 1e-4, ("tint", "light"), COLOR),
    Stage("all", 120, 96, 1e-4, ("pose", "betas", "body_pose", "tint", "light"), {**ALL, **_FAR}),
    Stage("offsets", 60, 128, 3e-5, ("betas", "body_pose", "offsets", "tint", "light"), FREE, 0.5),
)
_REGULAR = {"edge": 1.0, "normal": 0.01, "laplacian": 1.0}
_OBJECT = (
    Stage("hull", 300, 64, 1e-4, ("pose", "scale", "offsets"), {"silhouette": 1.0, **_REGULAR}, 10.0),
    Stage("hull_fine", 300, 128, 3e-5, ("offsets",), {"silhouette": 1.0, "edge": 0.5, "normal": 0.01, "laplacian": 0.3}, 5.0),
    Stage("color", 100, 128, 1e-4, ("tint", "light"), {"photometric": 4.0, "smooth_tint": 0.05}),
    Stage(
        "all", 300, 128, 3e-5, ("offsets", "tint", "light"),
        {"silhouette": 1.0, "photometric": 2.0, "edge": 0.3, "normal": 0.01, "laplacian": 0.2, "smooth_tint": 0.05}, 2.0,
    ),
)  # fmt: skip
SCHEDULES = {"head": _HEAD, "body": _BODY, "object": _OBJECT}


def schedule(name: str, effort: float) -> tuple[Stage, ...]:
    """Return the stages called `name` with `effort` times their steps; empty for effort 0. Raises UserError if unknown."""
    if name not in SCHEDULES:
        raise UserError(f"method.schedule='{name}' is not one of {', '.join(SCHEDULES)}{nearest(name, SCHEDULES)}")
    stages = (replace(stage, steps=round(stage.steps * effort)) for stage in SCHEDULES[name])
    return tuple(stage for stage in stages if stage.steps)
