"""Variation of the procedural head: displacement fields for identities and expressions, in millimetres."""

import numpy as np
from numpy.typing import NDArray

from deep3dmap.data.scenes.head_layout import Array, bump, pair, smoothstep
from deep3dmap.data.scenes.head_shape import EAR, MOUTH_LINE, SkullSurface, ear_offset, nose_relief

JAW_AXIS = (-15.0, 5.0)  # height and depth of the rotation axis of the jaw
JAW_ANGLE = np.radians(15.0)
EXPRESSIONS = (
    *("jaw_open", "mouth_wide", "pucker", "smile_left", "smile_right", "frown_left", "frown_right", "lip_press", "lip_raise"),
    *("brow_up_left", "brow_up_right", "brow_down", "brow_inner_up", "eye_close_left", "eye_close_right", "squint"),
    *("cheek_puff", "sneer", "jaw_left", "jaw_right"),
)


def identity_fields(surface: SkullSurface, mean: Array, rng: np.random.Generator, count: int) -> Array:
    """Return (V, 3, count) displacement fields: facial proportions first, then smooth random fields, mostly symmetric."""
    fields = _global_fields(surface, mean) + _feature_fields(surface)
    fields += [_random_field(surface, rng) for _ in range(count - len(fields))]
    return np.stack(fields[:count], -1)


def _global_fields(surface: SkullSurface, mean: Array) -> list[Array]:
    x, y, z = mean[..., 0], mean[..., 1], mean[..., 2]
    lower = smoothstep(-y, 20, 95)
    jaw = bump(np.zeros_like(y), y, (0, -88), (1, 38))
    upper = smoothstep(y, 10, 70)
    return [
        _field(x=0.05 * x),
        _field(y=0.05 * y),
        _field(z=0.05 * z),
        _field(x=0.09 * x * jaw),
        _field(y=-4.5 * lower),
        _field(x=0.05 * x * np.cos(y / 35), z=0.03 * z * np.cos(y / 45)),
        _field(x=0.05 * x * upper, z=5 * upper * surface.front),
        _field(z=-4 * smoothstep(y, 15, 80) * surface.front + 3 * lower * surface.front),
    ]


def _feature_fields(surface: SkullSurface) -> list[Array]:
    x, y, front = surface.x, surface.y, surface.front
    side = np.tanh(x / 6)
    nose = nose_relief(surface)
    at_nose = bump(x, y, (0, -30), (20, 26))
    eyes, lips = pair(x, y, (31, 0), (20, 13)), bump(x, y, (0, -71), (30, 13))
    return [
        _field(y=-5 * bump(x, y, (0, -44), (20, 13))),
        _field(z=0.25 * nose * front),
        _field(x=0.18 * x * at_nose),
        _field(y=4 * bump(x, y, (0, -40), (11, 9)), z=1.5 * bump(x, y, (0, -40), (10, 8))),
        _field(z=3.5 * bump(x, y, (0, -16), (8, 12)) * front),
        _field(x=2.2 * side * eyes),
        _field(y=0.16 * y * eyes),
        _field(y=2.2 * eyes * np.tanh((np.abs(x) - 31) / 12)),
        _field(z=-3 * eyes * front),
        _field(y=3 * pair(x, y, (32, 20), (26, 10))),
        _field(z=3 * pair(x, y, (30, 18), (24, 9)) * front),
        _field(x=0.12 * x * lips),
        _field(y=0.22 * (y - MOUTH_LINE) * lips, z=1.6 * lips * front),
        _field(y=-3.5 * bump(x, y, (0, -71), (32, 16))),
        _field(z=5 * bump(x, y, (0, -104), (24, 14)) * front),
        _field(y=-5 * bump(x, y, (0, -106), (34, 20))),
        _field(x=2 * side * pair(x, y, (52, -24), (20, 18)), z=3 * pair(x, y, (46, -26), (18, 14)) * front),
        _field(x=2.5 * side * pair(x, y, (48, -62), (20, 20)), z=3 * pair(x, y, (42, -60), (18, 18)) * front),
        0.45 * ear_offset(surface) + _field(y=2.5 * _ears(surface)),
    ]


def _random_field(surface: SkullSurface, rng: np.random.Generator) -> Array:
    centre, widths = (rng.uniform(5, 60), rng.uniform(-110, 75)), tuple(rng.uniform(12, 32, 2))
    direction = rng.normal(size=3) * (0.7, 0.7, 1.0)
    window = bump(surface.x, surface.y, centre, widths) * surface.front
    mirrored = bump(surface.x, surface.y, (-centre[0], centre[1]), widths) * surface.front
    sign = 1.0 if rng.random() < 0.85 else -1.0
    return 2.5 * (window[..., None] * direction + sign * mirrored[..., None] * direction * (-1, 1, 1))


def orthogonal_basis(fields: Array, area: Array) -> tuple[Array, Array]:
    """Orthogonalise fields in order, weighted by vertex areas; returns unit columns (V, 3, K) and residual sizes (K,).

    A size is the root-mean-square displacement, in millimetres, of the part of a field not explained by earlier ones.
    """
    weight = np.sqrt(area / area.sum())[:, None]
    columns: list[Array] = []
    sizes = np.empty(fields.shape[-1])
    for k in range(fields.shape[-1]):
        column = fields[..., k] * weight
        for _ in range(2):
            for done in columns:
                column = column - (column * done).sum() * done
        sizes[k] = np.sqrt((column**2).sum())
        columns.append(column / sizes[k])
    return np.stack(columns, -1) / weight[..., None], sizes


def expression_fields(surface: SkullSurface, mean: Array) -> NDArray[np.float64]:
    """Return the displacement (V, 3, 20) of each full expression, in the order of EXPRESSIONS."""
    left_right = _mouth_corners(surface)
    made = {"jaw_open": _jaw_open(surface, mean), **_mouth(surface), **left_right, **_eyes(surface), **_brows(surface)}
    for name, sign in (("jaw_left", 1.0), ("jaw_right", -1.0)):
        made[name] = _field(x=sign * 7 * _jaw_share(surface) * smoothstep(-surface.y, 30, 100))
    return np.stack([made[name] for name in EXPRESSIONS], -1)


def _jaw_share(surface: SkullSurface) -> Array:
    # The transition is sharp between the lips and broad in the cheeks.
    sharp = 1 - smoothstep(np.abs(surface.x), 19, 27)
    middle = np.where(np.abs(surface.x) < 40, MOUTH_LINE, MOUTH_LINE)
    half = 0.7 + (1 - sharp) * (4 + 22 * smoothstep(np.abs(surface.x), 22, 50))
    share = smoothstep(middle - surface.y, -half, half)
    throat = 1 - 0.85 * smoothstep(-surface.y, 112, 140)
    return share * throat * (1 - smoothstep(np.abs(surface.angle), 62, 84))


def _jaw_open(surface: SkullSurface, mean: Array) -> Array:
    share = _jaw_share(surface)
    down = -JAW_ANGLE * (mean[..., 2] - JAW_AXIS[1])
    back = JAW_ANGLE * (mean[..., 1] - JAW_AXIS[0])
    # The strip between the lips is pushed back to form the inside of the mouth.
    inside = np.exp(-(((surface.y - MOUTH_LINE) / 0.75) ** 4)) * np.exp(-((surface.x / 21) ** 4))
    return _field(y=share * down, z=share * back * 0.75 - 16 * inside)


def _mouth(surface: SkullSurface) -> dict[str, Array]:
    x, y, front = surface.x, surface.y, surface.front
    lips, side = bump(x, y, (0, -71), (34, 14)) * front, np.tanh(x / 10)
    upper = bump(x, y, (0, -65), (24, 7)) * smoothstep(y, -70.4, -68) * front
    near = np.tanh((y - MOUTH_LINE) / 3)
    puff = pair(x, y, (42, -64), (18, 15)) * front
    return {
        "mouth_wide": _field(x=0.26 * x * lips, z=-2.0 * pair(x, y, (26, -71), (12, 10))),
        "pucker": _field(x=-0.32 * x * lips, z=6.0 * bump(x, y, (0, -71), (17, 11)) * front),
        "lip_press": _field(y=-2.2 * near * bump(x, y, (0, -71), (24, 9)), z=-2.2 * bump(x, y, (0, -71), (24, 9))),
        "lip_raise": _field(y=4.5 * upper, z=0.8 * upper),
        "cheek_puff": _field(x=5 * side * puff, z=6 * puff),
        "sneer": _field(y=3.5 * pair(x, y, (13, -45), (10, 10)) + 2.5 * upper, z=1.0 * pair(x, y, (13, -45), (9, 9))),
    }


def _mouth_corners(surface: SkullSurface) -> dict[str, Array]:
    made = {}
    for name, sign in (("left", 1.0), ("right", -1.0)):
        x, y = sign * surface.x, surface.y
        corner = bump(x, y, (26, -71), (15, 15)) * surface.front
        cheek = bump(x, y, (38, -36), (18, 14)) * surface.front
        made[f"smile_{name}"] = _field(x=sign * 7 * corner, y=7 * corner + 2.5 * cheek, z=-3.5 * corner + 3 * cheek)
        made[f"frown_{name}"] = _field(x=sign * 2 * corner, y=-6 * corner, z=-1 * corner)
    return made


def _eyes(surface: SkullSurface) -> dict[str, Array]:
    made = {}
    for name, sign in (("left", 1.0), ("right", -1.0)):
        x, y = sign * surface.x, surface.y
        window = np.exp(-(((x - 31.0) / 17.5) ** 4))
        lid = -8.6 * smoothstep(y, -5.0, 5.0) * (1 - smoothstep(y, 6.5, 20)) * window
        made[f"eye_close_{name}"] = _field(y=lid, z=0.9 * window * bump(np.zeros_like(y), y, (0, 0), (1, 5)))
    x, y = np.abs(surface.x), surface.y
    window = np.exp(-(((x - 31.0) / 19) ** 4)) * surface.front
    lower = (1 - smoothstep(y, -4.5, 3)) * smoothstep(y, -18, -5.5)
    made["squint"] = _field(y=window * (2.6 * lower - 1.2 * smoothstep(y, 0, 6) * (1 - smoothstep(y, 7, 18))))
    return made


def _brows(surface: SkullSurface) -> dict[str, Array]:
    made = {}
    for name, sign in (("left", 1.0), ("right", -1.0)):
        brow = bump(sign * surface.x, surface.y, (34, 23), (20, 11)) * surface.front
        made[f"brow_up_{name}"] = _field(y=6.5 * brow, z=0.8 * brow)
    inner = pair(surface.x, surface.y, (15, 20), (13, 11)) * surface.front
    both = pair(surface.x, surface.y, (26, 20), (22, 9)) * surface.front
    made["brow_down"] = _field(x=-1.5 * np.tanh(surface.x / 6) * inner, y=-4.5 * both, z=1.2 * inner)
    made["brow_inner_up"] = _field(y=5.5 * inner)
    return made


def _ears(surface: SkullSurface) -> Array:
    return np.exp(-(((np.abs(surface.angle) - EAR[0]) / 12) ** 2) - ((surface.y - EAR[1]) / 30) ** 2)


def _field(x: Array | float = 0.0, y: Array | float = 0.0, z: Array | float = 0.0) -> Array:
    return np.stack(np.broadcast_arrays(x, y, z), -1).astype(np.float64)
