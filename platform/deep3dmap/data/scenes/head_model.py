"""The procedural head as a morphable model with its atlas, generated from a seed without data of real people.

It has the interface of a statistical face model but is not one: results on it do not compare with published benchmarks.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from deep3dmap.data.scenes import head_albedo, head_layout, head_modes
from deep3dmap.data.scenes.head_layout import Array
from deep3dmap.data.scenes.head_shape import SkullSurface, mean_shape, surface_at
from deep3dmap.geometry.morphable_model import MorphableModel
from deep3dmap.geometry.uv_atlas import FACE_WEIGHT, FEATURE_WEIGHT, LANDMARK_WEIGHT, UVAtlas, nearest_inside

IDENTITIES, ALBEDOS = 40, 20
MEAN_SPREAD = 2.5  # standard deviation of vertices over identities in millimetres, averaged over the vertices

# Jaw: degrees and millimetres, from the chin to the ear on the image right. Others: millimetres in frontal view.
_JAW = ((0, -112.0), (17, -110.5), (33, -104.0), (48, -93.5), (61, -79.5), (71, -62.5), (77, -44.5), (80.5, -26), (82, -7))
_BROW = ((15, 19.5), (25, 23.0), (35, 25.0), (45, 23.5), (53, 18.0))
_BRIDGE = ((0, -1.5), (0, -14), (0, -26.5), (0, -39.0))
_NOSTRIL = ((0, -50.5), (6.5, -49.5), (13, -47.5))
_EYE = ((17.0, -1.6), (26.5, 4.9), (36.5, 4.9), (46.0, 0.3), (36.5, -4.6), (26.5, -4.8))
_OUTER_LIP = ((0, -64.0), (6.5, -62.3), (15.5, -65.1), (25.5, -70.8), (15.5, -77.8), (7, -80.8), (0, -81.3))
_INNER_LIP = ((0, -69.7), (8, -69.7), (22.5, -70.6), (8, -71.3), (0, -71.3))


@cache
def head_model(grid: int = 65, seed: int = 0) -> MorphableModel:
    """Build the head with grid * grid vertices and 40 identity, 20 expression and 20 albedo modes, determined by the seed."""
    if grid < 17 or grid % 2 == 0:
        raise ValueError(f"grid must be odd and at least 17, got {grid}")
    uv, faces, mirror = head_layout.grid_uv(grid), head_layout.grid_faces(grid), head_layout.grid_mirror(grid)
    surface = surface_at(uv)
    mean = _symmetric(mean_shape(surface), mirror)
    fields = head_modes.identity_fields(surface, mean, np.random.default_rng([seed, 1]), IDENTITIES)
    area = _vertex_areas(mean, faces)
    identity, sizes = head_modes.orthogonal_basis(fields, area)
    of = head_albedo.parts(surface)
    modes, albedo_sigma = head_albedo.albedo_modes(surface, of, np.random.default_rng([seed, 2]), ALBEDOS)
    landmark_vertices, landmark_weights = _locate(landmark_uv(), grid, faces)
    return MorphableModel(
        mean=mean.astype(np.float32), faces=faces, uv=uv.astype(np.float32), faces_uv=faces,
        identity_basis=identity.astype(np.float32), identity_sigma=_spread(identity, sizes).astype(np.float32),
        expression_basis=head_modes.expression_fields(surface, mean).astype(np.float32),
        expression_sigma=np.ones(len(head_modes.EXPRESSIONS), np.float32),
        albedo_mean=head_albedo.mean_albedo(surface, of).astype(np.float32),
        albedo_basis=modes.astype(np.float32), albedo_sigma=albedo_sigma.astype(np.float32),
        landmark_vertices=landmark_vertices, landmark_weights=landmark_weights.astype(np.float32),
        mirror=mirror, regions=_regions(uv, surface, of, grid), name="procedural head", unit="millimetre",
        source=f"generated from seed {seed}", licence="Apache-2.0",
    )  # fmt: skip


@cache
def head_atlas(size: int = 256) -> UVAtlas:
    """Return the atlas of the head; the face mask is in front of the ears, below the hairline, above the jawline."""
    axis = np.arange(size) / (size - 1)
    u, v = np.meshgrid((axis + (1 - axis[::-1])) / 2, axis[::-1])
    surface = surface_at(np.stack([u, v], -1))
    margin = (np.minimum(u, 1 - u) >= head_layout.MARGIN) & (np.minimum(v, 1 - v) >= head_layout.MARGIN)
    mask = is_face(surface) & margin
    weight = np.where(mask, FACE_WEIGHT, 0).astype(np.float32)
    weight[mask & _is_feature(surface)] = FEATURE_WEIGHT
    uv = landmark_uv()
    texels = np.round(np.stack([(1 - uv[:, 1]) * (size - 1), uv[:, 0] * (size - 1)], 1)).astype(np.int64)
    texels = nearest_inside(mask, texels)
    weight[tuple(texels.T)] = LANDMARK_WEIGHT
    return UVAtlas(texels, mask, weight)


def is_face(surface: SkullSurface) -> NDArray[np.bool_]:
    """Return whether points of the surface belong to the face."""
    angle = np.abs(surface.angle)
    above_jaw = surface.y > head_layout.jaw_height(np.radians(surface.angle)) - 2.5
    return (angle < 86) & above_jaw & (surface.y < 62 - 30 * head_layout.smoothstep(angle, 35, 80))


def _is_well_inside(uv: Array) -> NDArray[np.bool_]:
    # Sampling a coarse map near the border of the mask would mix in texels outside it, which are not trained.
    border = 1.6 / 63
    steps = [np.array([x, y]) * border for x in (-1, 0, 1) for y in (-1, 0, 1)]
    return np.logical_and.reduce([is_face(surface_at(uv + step)) for step in steps])


def _is_feature(surface: SkullSurface) -> NDArray[np.bool_]:
    x, y = np.abs(surface.x), surface.y
    eyes = ((x - 31) / 19) ** 2 + (y / 11) ** 2 < 1
    nose = (x < 7 + 12 * head_layout.smoothstep(-y, 5, 42)) & (y < 0) & (y > -53)
    mouth = (x / 29) ** 2 + ((y + 71.5) / 13.5) ** 2 < 1
    return (eyes | nose | mouth) & (np.abs(surface.angle) < 60)


def _regions(uv: Array, surface: SkullSurface, of: head_albedo.Parts, grid: int) -> dict[str, NDArray[np.bool_]]:
    x, y, angle = surface.x, surface.y, np.abs(surface.angle)
    row, column = np.divmod(np.arange(grid * grid), grid)
    feature = _is_feature(surface)
    return {
        "face": _is_well_inside(uv),
        "eye_left": feature & (x > 0) & (y > -12) & (angle > 10),
        "eye_right": feature & (x < 0) & (y > -12) & (angle > 10),
        "nose": feature & (y < 0) & (y > -53) & (np.abs(x) < 19),
        "mouth": feature & (y < -57),
        "neck": head_layout.head_share(np.radians(surface.angle), y) < 0.5,
        "hair": of.hair > 0.5,
        "boundary": (row == 0) | (row == grid - 1) | (column == 0) | (column == grid - 1),
    }


@cache
def landmark_uv() -> Array:
    """Return (68, 2) atlas coordinates of the iBUG landmarks, bitwise symmetric."""
    jaw = head_layout.uv_of_surface(np.radians([a for a, _ in _JAW]), np.array([y for _, y in _JAW]))
    flip = np.array([-1.0, 1.0])
    half = {name: _uv_of_front(np.array(points, float)) for name, points in _halves().items()}
    mirror = {name: np.array([1.0, 0.0]) + flip * points for name, points in {**half, "jaw": jaw}.items()}
    outer, inner = half["outer_lip"], half["inner_lip"]
    outer_l, inner_l = mirror["outer_lip"], mirror["inner_lip"]
    return np.concatenate([
        mirror["jaw"][:0:-1], jaw,
        mirror["brow"][::-1], half["brow"],
        half["bridge"],
        mirror["nostril"][:0:-1], half["nostril"],
        mirror["eye"][[3, 2, 1, 0, 5, 4]], half["eye"],
        outer_l[[3, 2, 1]], outer[[0, 1, 2, 3, 4, 5, 6]], outer_l[[5, 4]],
        inner_l[[2, 1]], inner[[0, 1, 2, 3, 4]], inner_l[[3]],
    ])  # fmt: skip


def _halves() -> dict[str, tuple[tuple[float, float], ...]]:
    return {
        "brow": _BROW,
        "bridge": _BRIDGE,
        "nostril": _NOSTRIL,
        "eye": _EYE,
        "outer_lip": _OUTER_LIP,
        "inner_lip": _INNER_LIP,
    }


def _uv_of_front(points: Array) -> Array:
    # Find the angle at which the skull has this x; x increases with the angle up to 80 degrees, so interpolation inverts it.
    angles = np.radians(np.linspace(0, 80, 1601))
    x = np.array([head_layout.skull(angles, np.full_like(angles, y))[:, 0] for y in points[:, 1]])
    found = [np.interp(point[0], row, angles) for point, row in zip(points, x)]
    uv = head_layout.uv_of_surface(np.array(found), points[:, 1])
    uv[points[:, 0] == 0, 0] = 0.5
    return uv


def _locate(uv: Array, grid: int, faces: NDArray[np.int64]) -> tuple[NDArray[np.int64], Array]:
    # The triangle that contains each point, found through its grid cell, and the barycentric weights in it.
    at = (uv - head_layout.MARGIN) / (1 - 2 * head_layout.MARGIN) * (grid - 1)
    x, y = at[:, 0], grid - 1 - at[:, 1]
    column, row = np.minimum(x.astype(int), grid - 2), np.minimum(y.astype(int), grid - 2)
    cell = row * (grid - 1) + column
    corners = faces[np.stack([2 * cell, 2 * cell + 1], 1)]
    weights = np.stack([_barycentric(corners[:, k], x, y, grid) for k in range(2)], 1)
    best = weights.min(2).argmax(1)
    chosen = np.arange(len(uv))
    return corners[chosen, best], weights[chosen, best].clip(0, 1)


def _barycentric(corners: NDArray[np.int64], x: Array, y: Array, grid: int) -> Array:
    row, column = np.divmod(corners, grid)
    matrix = np.stack([column, row, np.ones_like(row)], 1).astype(np.float64)
    return np.linalg.solve(matrix, np.stack([x, y, np.ones_like(x)], 1)[..., None])[..., 0].astype(np.float64)


def _symmetric(points: Array, mirror: NDArray[np.int64]) -> Array:
    return (points + points[mirror] * (-1, 1, 1)) / 2


def _vertex_areas(vertices: Array, faces: NDArray[np.int64]) -> Array:
    first, second, third = vertices[faces].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(second - first, third - first), axis=1) / 2
    return np.bincount(faces.ravel(), np.repeat(area / 3, 3), len(vertices)).astype(np.float64)


def _spread(basis: Array, sizes: Array) -> Array:
    # Keep the relative strengths of the fields and scale them jointly to the mean spread.
    per_vertex = np.sqrt(((basis * sizes) ** 2).sum((1, 2)))
    return sizes * MEAN_SPREAD / per_vertex.mean()
