"""The surface of the procedural body at rest: round limbs blended into one mesh. Metres, y up, feet at y = 0."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BLEND = 0.022  # blending distance between limbs in metres
SPACING = 0.0175  # grid spacing for meshing in metres

# Joints at rest; the right side mirrors the left.
_JOINTS = {
    "pelvis": (0, 0.945, 0),
    "left_hip": (0.088, 0.885, 0.0),
    "spine1": (0, 1.045, -0.008),
    "left_knee": (0.100, 0.480, 0.012),
    "spine2": (0, 1.165, -0.012),
    "left_ankle": (0.102, 0.085, -0.028),
    "spine3": (0, 1.285, -0.012),
    "left_foot": (0.112, 0.028, 0.088),
    "neck": (0, 1.460, -0.018),
    "left_collar": (0.055, 1.395, -0.012),
    "head": (0, 1.555, 0.004),
    "left_shoulder": (0.175, 1.395, -0.022),
    "left_elbow": (0.445, 1.392, -0.034),
    "left_wrist": (0.695, 1.392, -0.020),
}


@dataclass(frozen=True)
class Limb:
    """A round cone from `start` to `end` with a radius at each end, attached to a joint; `stretch` scales it per axis."""

    joint: str
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radii: tuple[float, float]
    stretch: tuple[float, float, float] = (1, 1, 1)


# Bones of the torso, for skinning weights only; its surface uses the longer _TORSO pieces, which avoid a ringed back.
_SPINE = (
    Limb("pelvis", (-0.062, 0.925, -0.008), (0.062, 0.925, -0.008), (0.107, 0.107)),
    Limb("spine1", (-0.040, 1.040, 0.000), (0.040, 1.040, 0.000), (0.098, 0.098)),
    Limb("spine2", (-0.050, 1.165, 0.000), (0.050, 1.165, 0.000), (0.100, 0.100)),
    Limb("spine3", (-0.075, 1.290, -0.004), (0.075, 1.290, -0.004), (0.098, 0.098)),
    Limb("spine3", (-0.085, 1.365, -0.016), (0.085, 1.365, -0.016), (0.068, 0.068)),
)
_TORSO = (
    Limb("left_torso", (0.060, 0.930, -0.006), (0.042, 1.090, 0.002), (0.100, 0.088)),
    Limb("left_torso", (0.042, 1.090, 0.002), (0.076, 1.300, -0.004), (0.088, 0.092)),
    Limb("left_torso", (0.060, 1.340, -0.018), (0.100, 1.365, -0.018), (0.066, 0.062)),
)
_MIDDLE = (
    Limb("neck", (0, 1.420, -0.022), (0, 1.535, -0.004), (0.060, 0.054)),
    Limb("head", (0, 1.635, -0.006), (0, 1.655, -0.010), (0.092, 0.094), (0.82, 1.12, 1.04)),
    Limb("head", (0, 1.560, 0.042), (0, 1.605, 0.044), (0.042, 0.056), (1.0, 1.0, 1.0)),
    Limb("head", (0, 1.592, 0.103), (0, 1.622, 0.094), (0.012, 0.007)),
)
_LEFT = (
    Limb("pelvis", (0.080, 0.880, -0.035), (0.088, 0.920, -0.035), (0.090, 0.080)),
    Limb("left_hip", (0.092, 0.860, 0.000), (0.100, 0.500, 0.010), (0.088, 0.056)),
    Limb("left_knee", (0.100, 0.480, 0.012), (0.102, 0.110, -0.026), (0.053, 0.036)),
    Limb("left_knee", (0.101, 0.390, -0.016), (0.102, 0.300, -0.022), (0.050, 0.044)),
    Limb("left_ankle", (0.102, 0.055, -0.045), (0.108, 0.046, 0.050), (0.042, 0.040)),
    Limb("left_foot", (0.110, 0.036, 0.085), (0.114, 0.028, 0.140), (0.040, 0.026)),
    Limb("left_collar", (0.060, 1.390, -0.016), (0.160, 1.392, -0.022), (0.060, 0.062)),
    Limb("left_shoulder", (0.180, 1.390, -0.022), (0.430, 1.392, -0.033), (0.056, 0.041)),
    Limb("left_elbow", (0.445, 1.392, -0.034), (0.685, 1.392, -0.021), (0.041, 0.028)),
    Limb("left_wrist", (0.715, 1.391, -0.018), (0.775, 1.389, -0.012), (0.038, 0.036), (1, 0.62, 1)),
    Limb("left_wrist", (0.790, 1.388, -0.012), (0.855, 1.386, -0.010), (0.033, 0.022), (1, 0.62, 1)),
    Limb("left_wrist", (0.715, 1.385, 0.015), (0.765, 1.380, 0.052), (0.018, 0.013)),
)


def _mirrored(limb: Limb) -> Limb:
    flip = [(-x, y, z) for x, y, z in (limb.start, limb.end)]
    return Limb(limb.joint.replace("left_", "right_"), flip[0], flip[1], limb.radii, limb.stretch)


_BOTH = (*_MIDDLE, *_LEFT, *(_mirrored(limb) for limb in _LEFT))
BONES = (*_SPINE, *_BOTH)
_SURFACE = (*_TORSO, *(_mirrored(limb) for limb in _TORSO), *_BOTH)


def rest_joints(names: tuple[str, ...]) -> Array:
    """Return the joints (J, 3) at rest."""
    places = []
    for name in names:
        x, y, z = _JOINTS[name.replace("right_", "left_")]
        places.append((-x if name.startswith("right_") else x, y, z))
    return np.array(places, np.float64)


def bone_distances(points: Array) -> Array:
    """Return approximate signed distances (N, bones) in metres from points (N, 3) to each of BONES, negative inside."""
    return np.stack([_distance(points, bone)[0] for bone in BONES], 1)


def axis_offset(points: Array) -> Array:
    """Return offsets (N, 3) from the limb axes to points (N, 3), averaged smoothly with larger weights for nearer limbs."""
    measured = [_distance(points, limb) for limb in _SURFACE]
    distances = np.stack([distance for distance, _ in measured], 1)
    share = np.exp(-(distances - distances.min(1, keepdims=True)) / BLEND)
    return np.einsum("nl,nlk->nk", share / share.sum(1, keepdims=True), np.stack([offset for _, offset in measured], 1))


def _distance(points: Array, limb: Limb) -> tuple[Array, Array]:
    stretch = np.array(limb.stretch, float)
    start, end = np.array(limb.start), np.array(limb.end)
    along = end - start
    t = ((points - start) @ along / (along @ along)).clip(0, 1)
    offset = points - start - t[:, None] * along
    radius = limb.radii[0] + (limb.radii[1] - limb.radii[0]) * t
    # Dividing by the stretch turns a ball into an ellipsoid; the distance is accurate near the surface, where it matters.
    return (np.linalg.norm(offset / stretch, axis=1) - radius) * stretch.min(), offset


def field(points: Array) -> Array:
    """Return the blended signed distance (N,) of points (N, 3), negative inside."""
    distances = np.stack([_distance(points, limb)[0] for limb in _SURFACE], 1)
    least = distances.min(1)
    return least - BLEND * np.log(np.exp(-(distances - least[:, None]) / BLEND).sum(1)) + 0.35 * BLEND


@cache
def body_surface() -> tuple[Array, NDArray[np.int64]]:
    """Return vertices and faces, counter-clockwise from outside, of a closed, connected mesh of about 7,000 vertices."""
    from skimage.measure import marching_cubes

    low, high = np.array([-0.95, -0.06, -0.22]), np.array([0.95, 1.86, 0.28])
    counts = np.ceil((high - low) / SPACING).astype(int) // 2 * 2 + 1
    axes = [low[k] + SPACING * np.arange(counts[k]) for k in range(3)]
    axes[0] -= axes[0].mean()
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    values = np.concatenate([field(slab.reshape(-1, 3)) for slab in grid]).reshape(grid.shape[:3])
    vertices, faces, _, _ = marching_cubes(values, 0.0, allow_degenerate=False)
    points = vertices.astype(np.float64) * SPACING + [axis[0] for axis in axes]
    faces = _orient_outwards(points, faces.astype(np.int64))
    points = _smooth_points(points, faces)
    points[:, 1] -= points[:, 1].min()
    return points, faces


def _orient_outwards(points: Array, faces: NDArray[np.int64]) -> NDArray[np.int64]:
    volume = np.linalg.det(points[faces]).sum()
    return faces if volume > 0 else faces[:, ::-1].copy()


def _smooth_points(points: Array, faces: NDArray[np.int64], rounds: int = 12) -> Array:
    # Moves every vertex towards the mean of its neighbours and projects it back onto the surface, which removes slivers.
    from scipy.sparse import coo_array

    ends = faces[:, [0, 1, 1, 2, 2, 0, 1, 0, 2, 1, 0, 2]].reshape(-1, 2)
    links = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(points), len(points))).tocsr()
    links.data[:] = 1
    count = np.asarray(links.sum(1))[:, None]
    for _ in range(rounds):
        moved = points + 0.5 * ((links @ points) / count - points)
        slope = np.stack([field(moved + step) - field(moved - step) for step in 1e-4 * np.eye(3)], 1) / 2e-4
        points = moved - slope * (field(moved) / (slope**2).sum(1))[:, None]
    return points
