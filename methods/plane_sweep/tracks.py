"""Corners visible in several frames of a scan: detected by SIFT (D. Lowe, Distinctive Image Features from Scale-Invariant
Keypoints, IJCV 2004), matched between pairs of frames, and kept if one small rotation of the pair explains them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Array = NDArray[np.float64]

CONTRAST = 0.006  # contrast threshold of corners
RATIO = 0.85  # maximum ratio of a match's distance to that of the second best
GUIDE, NEAR = 0.03, 0.003  # maximum distance from the epipolar line before and after the rotation, in focal lengths
MIN_MATCHES = 15  # minimum number of matches for a pair of frames


class Corners(NamedTuple):
    """Corners of one frame. pixels: (N, 2), x and y, centres at +0.5. words: (N, 128) unit-length descriptors."""

    pixels: Array
    words: NDArray[np.float32]


class Tracks(NamedTuple):
    """N observations of corners. frame, point: (N,) indices of the frame and the corner. pixels: (N, 2) position."""

    frame: NDArray[np.int64]
    point: NDArray[np.int64]
    pixels: Array

    def select(self, keep: NDArray[np.bool_]) -> "Tracks":
        """Return the observations in `keep`, restricted to corners with at least two of them; corners are renumbered."""
        keep = keep & (np.bincount(self.point, keep, minlength=1)[self.point] >= 2)
        return Tracks(self.frame[keep], np.unique(self.point[keep], return_inverse=True)[1], self.pixels[keep])


def find_tracks(
    greys: Sequence[NDArray[np.float32]], pairs: Sequence[tuple[int, int]], intrinsics: Array, poses: Array
) -> Tracks:
    """Return the tracks of corners through grey frames (H, W) in [0, 1], matching the given pairs of frames.

    intrinsics: (V, 3, 3). poses: (V, 4, 4) world_from_camera, each of which may be off by a small rotation.
    """
    found = [detect_corners(grey) for grey in greys]
    matches = {(i, j): match_corners(found[i], found[j], intrinsics[[i, j]], poses[[i, j]]) for i, j in pairs}
    return join_matches(matches, found)


def detect_corners(grey: NDArray[np.float32]) -> Corners:
    """Return the corners of a grey frame (H, W) in [0, 1]."""
    from skimage.feature import SIFT

    sift = SIFT(c_dog=CONTRAST)
    try:
        sift.detect_and_extract(grey)
    except RuntimeError:  # no corners found
        return Corners(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
    places, descriptors = np.asarray(sift.positions, np.float64), np.asarray(sift.descriptors, np.float64)
    words = np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1)).astype(np.float32)
    return Corners(places[:, ::-1] + 0.5, words)


def match_corners(first: Corners, second: Corners, intrinsics: Array, poses: Array) -> NDArray[np.int64]:
    """Return (M, 2): corners of two frames that match in appearance and, up to a small rotation, in epipolar geometry.

    intrinsics, poses: (2, 3, 3) and (2, 4, 4) world_from_camera. Empty if there are fewer than MIN_MATCHES.
    """
    none = np.zeros((0, 2), np.int64)
    if min(len(first.pixels), len(second.pixels)) < MIN_MATCHES:
        return none
    similarity = first.words @ second.words.T
    best = similarity.argmax(1)
    rows = np.arange(len(best))
    score = similarity[rows, best]
    similarity[rows, best] = -1
    distance, rival = np.sqrt(np.maximum(2 - 2 * score, 0)), np.sqrt(2 - 2 * similarity.max(1))
    similarity[rows, best] = score
    pairs = np.stack([rows, best], 1)[(distance < RATIO * rival) & (similarity.argmax(0)[best] == rows)]
    if len(pairs) < MIN_MATCHES:
        return none
    ahead = [rays_through(c.pixels[pairs[:, i]], np.linalg.inv(intrinsics[i])) for i, c in enumerate((first, second))]
    relative = poses[1][:3, :3].T @ poses[0][:3, :3]
    shift = poses[1][:3, :3].T @ (poses[0][:3, 3] - poses[1][:3, 3])
    planes = np.cross(shift, ahead[0] @ relative.T)
    planes /= np.maximum(np.linalg.norm(planes[:, :2], axis=1, keepdims=True), 1e-12)
    off = _epipolar_distances(planes, ahead[1])
    pairs = pairs[off < NEAR]
    return pairs if len(pairs) >= MIN_MATCHES else none


def join_matches(matches: Mapping[tuple[int, int], NDArray[np.int64]], found: Sequence[Corners]) -> Tracks:
    """Join the matches of frame pairs into tracks; tracks with two corners in the same frame are dropped."""
    start = np.cumsum([0, *(len(c.pixels) for c in found)])
    links = [pairs + start[[i, j]] for (i, j), pairs in matches.items()]
    left, right = np.concatenate([np.zeros((0, 2), np.int64), *links]).T
    graph = coo_array((np.ones(len(left)), (left, right)), shape=(start[-1], start[-1]))
    point = connected_components(graph, directed=False)[1].astype(np.int64)
    frame = np.repeat(np.arange(len(found)), np.diff(start))
    _, observation, seen = np.unique(point * len(found) + frame, return_inverse=True, return_counts=True)
    twice = np.bincount(point, seen[observation] > 1)[point] > 0
    return Tracks(frame, point, np.concatenate([c.pixels for c in found])).select(~twice)


def rays_through(pixels: Array, inverse_intrinsics: NDArray[Any]) -> Array:
    """Return the rays (N, 3) of pixels (N, 2), with z = 1 in camera axes. inverse_intrinsics: (3, 3) or (N, 3, 3)."""
    return np.einsum("...ij,...j->...i", inverse_intrinsics, np.column_stack([pixels, np.ones(len(pixels))]))


def _epipolar_distances(planes: Array, rays: Array) -> Array:
    """Return the distances of rays (N, 3) from their epipolar planes (N, 3) after the rotation that fits most of them best."""
    off = (planes * rays).sum(1)
    near = np.abs(off) < GUIDE
    change, turn = np.cross(rays, planes), np.zeros(3)
    for _ in range(10):
        rest = off + change @ turn
        weight = near / (1 + (rest / NEAR) ** 2)
        # A rotation about the baseline changes nothing, so the smallest one is taken.
        squares = (change * weight[:, None]).T @ change + 0.05 * np.eye(3)
        turn = turn - np.linalg.solve(squares, (change * weight[:, None]).T @ rest + 0.05 * turn)
    return np.where(near, np.abs(off + change @ turn), np.inf)
