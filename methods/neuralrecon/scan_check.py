"""Checks of whether poses match the network's training conventions, and the transform that levels a scan.

Most scans that yield an empty result have a world that is not z up, a floor that is not near z = 0, or inverted poses. The
checks use poses and intrinsics only, so their findings are likely but not certain.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core import UserError
from deep3dmap.data.scan_checks import Finding, mean_overlap
from deep3dmap.geometry.cameras import invert
from deep3dmap.geometry.rotations import matrix_of_axis_angle
from deep3dmap.methods.neuralrecon.fragments import FragmentConfig
from deep3dmap.methods.neuralrecon.keyframes import MIN_VIEWS, select_fragments

Array = NDArray[np.float64]
Kind = Literal["not_finite", "too_few", "inverted", "not_upright", "height", "no_overlap"]

FIXED_BY_LEVELLING: tuple[Kind, ...] = ("not_upright", "height")
MAX_TILT = 15.0
LOWEST_CAMERA = 1.3
HEADROOM = 0.3
MIN_OVERLAP = 0.1
MIN_OVERLAP_GAIN = 0.15
MIN_UPRIGHTNESS = 0.7
NEAREST_DEPTH = 0.5
MEAN_WEIGHT = 0.02
TIE_MARGIN = 0.1


def check_poses(intrinsics: Any, world_from_camera: Any, config: FragmentConfig) -> list[Finding]:
    """Return the problems found in a scan; empty if none.

    intrinsics: (F, 3, 3) pixels, the principal point near the middle of the image. world_from_camera: (F, 4, 4) metres.
    The overlap of views is estimated for surfaces between 0.5 m and config.max_depth.
    """
    matrices, poses = np.asarray(intrinsics, np.float64), np.asarray(world_from_camera, np.float64)
    finite = _finite(poses)
    findings = _check_finite(finite)
    matrices, poses = matrices[finite], poses[finite]
    few = _check_count(poses, len(finite), config)
    if len(poses) < MIN_VIEWS:
        return findings + few
    depths = np.linspace(min(NEAREST_DEPTH, config.max_depth / 2), config.max_depth, 4)
    inverted = _check_inverted(matrices, poses, config, depths)
    # Inverted poses make all other findings meaningless.
    others = inverted or _check_upright(poses) or _check_height(poses, config)
    return findings + few + others + ([] if inverted else _check_overlap(matrices, poses, config, depths))


def level_scan(world_from_camera: Any) -> Array:
    """Return the transform (4, 4) that turns the scan's up direction onto z, keeping its heading, and moves the floor to z = 0.

    world_from_camera: (F, 4, 4) metres; frames with a non-finite pose are ignored. The floor is assumed to be LOWEST_CAMERA
    metres below the lowest camera. Raises UserError if no pose is finite.
    """
    poses = np.asarray(world_from_camera, np.float64)
    poses = poses[_finite(poses)]
    if not len(poses):
        raise UserError("no pose of the scan is finite; check the pose files")
    level = np.eye(4)
    level[:3, :3] = _rotation_onto_z(up_direction(poses))
    level[2, 3] = LOWEST_CAMERA - (poses[:, :3, 3] @ level[2, :3]).min()
    return level


def up_direction(world_from_camera: Any) -> Array:
    """Estimate the unit vector (3,) against gravity in the world, from cameras (F, 4, 4) held level, sideways or upside down.

    It is the direction closest to perpendicular to the horizontal axes of all images that points upwards in them. If several
    ways of holding the camera fit about equally well, one with +z up is preferred, and the level one otherwise.
    """
    rotations = np.asarray(world_from_camera, np.float64)[:, :3, :3]
    x, y = rotations[:, :, 0], rotations[:, :, 1]
    candidates = [_estimate_up(x, -y), _estimate_up(y, x), _estimate_up(y, -x), _estimate_up(x, y)]
    best = max(score for _, score in candidates)
    likely = [up for up, score in candidates if score > best - TIE_MARGIN]
    upright = [up for up in likely if up[2] > np.cos(np.radians(MAX_TILT))]
    return (upright or likely)[0]


def _estimate_up(across: Array, upwards: Array) -> tuple[Array, float]:
    """Return the up direction and a score of its fit, for image axes (F, 3) that point across and upwards in the pictures."""
    mean = upwards.mean(0)
    # A small share of the mean resolves the ambiguity of a camera that never turns, whose horizontal axes are parallel.
    spread = across.T @ across / len(across) - MEAN_WEIGHT * np.outer(mean, mean)
    up = np.linalg.eigh(spread)[1][:, 0]
    up = up if up @ mean >= 0 else -up
    return up, float((upwards @ up).mean() - np.sqrt(((across @ up) ** 2).mean()))


def _rotation_onto_z(up: Array) -> Array:
    axis = np.cross(up, (0.0, 0.0, 1.0))
    sine = np.linalg.norm(axis)
    # Straight down: a half turn about x is one of many equivalent choices.
    axis = axis / sine if sine > 1e-9 else np.array([1.0, 0, 0])
    return np.asarray(matrix_of_axis_angle(axis * np.arctan2(sine, up[2])), np.float64)


def _finite(poses: Array) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(poses).all((1, 2)))


def _check_finite(finite: NDArray[np.bool_]) -> list[Finding]:
    bad = np.flatnonzero(~finite)
    if not len(bad):
        return []
    listed = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
    return [
        Finding("not_finite", f"{len(bad)} of {len(finite)} poses contain NaN or infinity (frames {listed}); they are ignored")
    ]


def _check_count(poses: Array, frames: int, config: FragmentConfig) -> list[Finding]:
    found = select_fragments(poses, config.views, config.min_angle, config.min_distance, keep_tail=True)
    views = max((len(fragment) for fragment in found), default=min(len(poses), 1))
    if views >= config.views:
        return []
    return [
        Finding(
            "too_few",
            f"{frames} frames give {views} key frames of the {config.views} in a fragment: record a longer path, or check "
            f"that the poses are in metres (key frames are {config.min_distance:g} m or {config.min_angle:g} degrees apart)",
        )
    ]


def _check_inverted(intrinsics: Array, poses: Array, config: FragmentConfig, depths: Array) -> list[Finding]:
    inverse = invert(poses).numpy()
    given, other = _uprightness(poses), _uprightness(inverse)
    better = mean_overlap(intrinsics, inverse, depths) - mean_overlap(intrinsics, poses, depths)
    if given >= MIN_UPRIGHTNESS and _in_box(poses, config):
        return []
    stands = other >= MIN_UPRIGHTNESS > given and _in_box(inverse, config)
    if not stands and better < MIN_OVERLAP_GAIN:
        return []
    reason = "their inverses have z up and stand on the floor" if stands else "the views of their inverses overlap much better"
    return [Finding("inverted", f"the poses look like camera-from-world ({reason}): invert them, world_from_camera is needed")]


def _check_upright(poses: Array) -> list[Finding]:
    up = up_direction(poses)
    tilt = np.degrees(np.arccos(np.clip(up[2], -1, 1)))
    if tilt <= MAX_TILT:
        return []
    return [
        Finding(
            "not_upright",
            f"the world is not z up: up seems to be ({up[0]:.2f}, {up[1]:.2f}, {up[2]:.2f}), {tilt:.0f} degrees off; "
            "level_scan returns the transform that levels the scan",
        )
    ]


def _check_height(poses: Array, config: FragmentConfig) -> list[Finding]:
    """Compare the camera heights with those of the box, which are fixed."""
    bottom, top = _box_heights(config)
    height = float(np.median(poses[:, 2, 3]))
    box = f"the volume, which spans z = {bottom:.2f} to {top:.2f} m"
    if height > top:
        where = f"{height - top:.1f} m above {box}"
    elif height < bottom:
        where = f"{bottom - height:.1f} m below {box}"
    elif height < bottom + HEADROOM:
        where = f"only {height - bottom:.1f} m above the bottom of {box}"
    else:
        return []
    shift = LOWEST_CAMERA - float(poses[:, 2, 3].min())
    return [
        Finding("height", f"the cameras are {where}: move the floor to z = 0, about {shift:+.1f} m in z for a hand-held camera")
    ]


def _check_overlap(intrinsics: Array, poses: Array, config: FragmentConfig, depths: Array) -> list[Finding]:
    fragments = select_fragments(poses, config.views, config.min_angle, config.min_distance, keep_tail=True)
    apart = sum(mean_overlap(intrinsics[views], poses[views], depths) < MIN_OVERLAP for views in fragments)
    if not apart:
        return []
    return [
        Finding(
            "no_overlap",
            f"in {apart} of {len(fragments)} fragments the views see different places: check that poses are camera-to-world in "
            "metres with OpenCV axes (z forward, y down), that frames are in order, and that intrinsics match the images",
        )
    ]


def _uprightness(poses: Array) -> float:
    """Return the mean cosine between the world's z axis and the upward direction of the images."""
    return float(-poses[:, 2, 1].mean())


def _in_box(poses: Array, config: FragmentConfig) -> bool:
    bottom, top = _box_heights(config)
    return bool(bottom + HEADROOM <= np.median(poses[:, 2, 3]) <= top)


def _box_heights(config: FragmentConfig) -> tuple[float, float]:
    step = config.voxel_size * config.snap
    bottom = float(np.floor(config.floor / step)) * step
    return bottom, bottom + config.n_vox[2] * config.voxel_size
