"""Sanity checks of a scan before fusion: implausible units, intrinsics and poses.

A wrong unit or inverted poses would otherwise only show up much later, as an empty or missing surface.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.rgbd_scan import MAX_MEDIAN_DEPTH
from deep3dmap.geometry.cameras import invert, project, unproject

Array = NDArray[np.float64]

MIN_MEDIAN_DEPTH = 0.1  # smallest plausible median depth in metres
MAX_MEDIAN_STEP = 5.0  # largest plausible median distance between frames in metres; a handheld camera moves centimetres
MIN_FIELD_OF_VIEW, MAX_FIELD_OF_VIEW = 10.0, 160.0  # plausible horizontal fields of view in degrees
FRAMES, GRID = 7, 24  # number of frames checked, and pixels sampled per side
DEPTH_TOLERANCE = 0.05  # largest relative depth difference at which two frames agree
MIN_AGREEING_SHARE = 0.5  # smallest share of agreeing points for correct poses
MIN_ROTATION, MIN_TRANSLATION = 8.0, 0.1  # frames compared differ by more than one of these, in degrees and metres


@dataclass(frozen=True)
class Finding:
    """A problem found in a scan: its kind, and a one-line description with the fix."""

    kind: str
    message: str


def require_sound(sample: Mapping[str, Any], name: str) -> None:
    """Raise UserError with the first problem found in a scan; `name` identifies the scan in the message."""
    if findings := check_scan(sample):
        raise UserError(f"{name}: {findings[0].message}; if the scan is correct nevertheless, set dataset.check=false")


def check_scan(sample: Mapping[str, Any]) -> list[Finding]:
    """Return the problems found in an RGB-D or posed scan; empty if there are none.

    Checks the intrinsics, the poses and, for scans with depth, a few depth maps: their unit, and whether overlapping frames
    observe the same surface.
    """
    poses = np.asarray(sample["world_from_camera"], np.float64)
    findings = _check_intrinsics(sample) + _check_steps(poses)
    if "depths" in sample:
        pairs = _pairs(poses)
        chosen = {frame for pair in pairs for frame in pair} or {0}
        depths = {frame: np.asarray(sample["depths"][frame]) for frame in sorted(chosen)}
        findings += _check_depths(depths)
        if not findings and pairs:
            findings += _check_direction(pairs, depths, np.asarray(sample["intrinsics"], np.float64), poses)
    return findings


def mean_overlap(intrinsics: Array, poses: Array, depths: Array) -> float:
    """Return the mean share, in [0, 1], of a view's frustum at these depths that the next view also sees.

    intrinsics: (V, 3, 3), with the principal point at the image centre. poses: (V, 4, 4) camera-to-world. depths: metres.
    """
    points = np.stack([_frustum(matrix, pose, depths) for matrix, pose in zip(intrinsics[:-1], poses[:-1])])
    into = invert(poses[1:]).numpy()
    camera = points @ into[:, :3, :3].transpose(0, 2, 1) + into[:, None, :3, 3]
    pixels = camera @ intrinsics[1:].transpose(0, 2, 1)
    middle = intrinsics[1:, None, :2, 2]
    front = camera[..., 2] > 1e-6
    offset = np.abs(pixels[..., :2] / np.where(front, camera[..., 2], 1)[..., None] - middle)
    return float((front & (offset <= middle).all(-1)).mean())


def _frustum(intrinsics: Array, pose: Array, depths: Array) -> Array:
    """Return points (N, 3) spread over a view's pixels and depths; the image spans 0 to twice the principal point."""
    across = np.linspace(0.1, 1.9, 5)
    u, v, depth = (grid.ravel() for grid in np.meshgrid(across * intrinsics[0, 2], across * intrinsics[1, 2], depths))
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(intrinsics).T
    return np.asarray(rays * depth[:, None] @ pose[:3, :3].T + pose[:3, 3], np.float64)


def _check_intrinsics(sample: Mapping[str, Any]) -> list[Finding]:
    intrinsics = np.asarray(sample["intrinsics"], np.float64)[0]
    height, width = np.shape(sample["images"][0])[-2:]
    if not np.isfinite(intrinsics).all() or min(intrinsics[0, 0], intrinsics[1, 1]) <= 0:
        return [Finding("intrinsics", "the intrinsics must be finite, with focal lengths above 0; provide them in pixels")]
    angle = 2 * np.degrees(np.arctan(width / (2 * intrinsics[0, 0])))
    if not MIN_FIELD_OF_VIEW < angle < MAX_FIELD_OF_VIEW:
        problem = (
            f"a focal length of {intrinsics[0, 0]:.3g} pixels gives a {width}x{height} image a view of {angle:.0f} degrees"
        )
        return [Finding("intrinsics", f"{problem}; the intrinsics are missing, normalised or for another image size")]
    if not (0 < intrinsics[0, 2] < width and 0 < intrinsics[1, 2] < height):
        where = f"({intrinsics[0, 2]:.0f}, {intrinsics[1, 2]:.0f})"
        return [Finding("intrinsics", f"the principal point {where} is outside the {width}x{height} image")]
    return []


def _check_steps(poses: Array) -> list[Finding]:
    places = poses[np.isfinite(poses).all((1, 2)), :3, 3]
    step = float(np.median(np.linalg.norm(np.diff(places, axis=0), axis=1))) if len(places) > 1 else 0.0
    if step <= MAX_MEDIAN_STEP:
        return []
    return [
        Finding("pose_unit", f"the camera moves {step:.0f} m per frame; poses must be in metres, these look like millimetres")
    ]


def _check_depths(depths: Mapping[int, NDArray[Any]]) -> list[Finding]:
    seen = np.concatenate([depth[::4, ::4][depth[::4, ::4] > 0] for depth in depths.values()])
    median = float(np.median(seen)) if len(seen) else 1.0
    if median > MAX_MEDIAN_DEPTH:
        return [
            Finding(
                "depth_unit",
                f"the median depth is {median:.0f} m: the unit is too large, by 1000 if values are in millimetres",
            )
        ]
    if median < MIN_MEDIAN_DEPTH:
        problem = f"the median depth is {median * 1000:.2g} mm: the unit is too small, by 1000 if values are in metres"
        return [Finding("depth_unit", problem)]
    return []


def _pairs(poses: Array) -> list[tuple[int, int]]:
    """Return pairs of a frame and the first later frame whose camera moved enough to distinguish poses from their inverses."""
    pairs = []
    finite = np.asarray(np.isfinite(poses).all((1, 2)))
    for first in np.unique(np.linspace(0, len(poses) - 1, FRAMES).round().astype(int)).tolist():
        later = (frame for frame in range(first + 1, len(poses)) if finite[first] and finite[frame])
        if (second := next((frame for frame in later if _has_moved(poses[first], poses[frame])), None)) is not None:
            pairs.append((first, second))
    return pairs


def _has_moved(pose: Array, other: Array) -> bool:
    cosine = np.clip((np.trace(pose[:3, :3].T @ other[:3, :3]) - 1) / 2, -1, 1)
    return bool(np.degrees(np.arccos(cosine)) > MIN_ROTATION or np.linalg.norm(other[:3, 3] - pose[:3, 3]) > MIN_TRANSLATION)


def _check_direction(
    pairs: Sequence[tuple[int, int]], depths: Mapping[int, NDArray[Any]], intrinsics: Array, poses: Array
) -> list[Finding]:
    given = _agreement(pairs, depths, intrinsics, poses)
    other = _agreement(pairs, depths, intrinsics, invert(poses).numpy())
    if other < max(MIN_AGREEING_SHARE, 2 * given):
        return []
    shares = f"{given:.0%} of their points as they are, {other:.0%} with their inverses"
    return [Finding("inverted", f"the poses are camera-from-world: the frames agree in {shares}; invert them")]


def _agreement(pairs: Sequence[tuple[int, int]], depths: Mapping[int, NDArray[Any]], intrinsics: Array, poses: Array) -> float:
    """Return the share of the first frames' points that the second frames observe at a matching depth."""
    agreeing = possible = 0
    for first, second in pairs:
        steps = [max(1, size // GRID) for size in depths[first].shape]
        sparse = depths[first][:: steps[0], :: steps[1]].astype(np.float64)
        known = unproject(sparse, _subsample_intrinsics(intrinsics[first], *steps), poses[first]).numpy()[sparse > 0]
        pixels, expected = (part.numpy() for part in project(known, intrinsics[second], invert(poses[second])))
        place = np.floor(pixels).astype(np.int64)
        height, width = depths[second].shape
        inside = (expected > 0) & (place >= 0).all(1) & (place[:, 0] < width) & (place[:, 1] < height)
        found = depths[second][place[inside, 1], place[inside, 0]]
        agreeing += int((np.abs(found - expected[inside]) < DEPTH_TOLERANCE * expected[inside]).sum())
        possible += len(known)
    return agreeing / max(possible, 1)


def _subsample_intrinsics(intrinsics: Array, down: int, across: int) -> Array:
    """Return the intrinsics of an image subsampled to every `down`-th row and `across`-th column, from the first pixel on."""
    half = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    thinned: Array = np.diag([1 / across, 1 / down, 1.0]) @ (intrinsics - half) + half
    return thinned
