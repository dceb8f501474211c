"""Bundle adjustment of camera poses and corner positions against the corners observed in the frames of a scan (B. Triggs et
al., Bundle Adjustment, a Modern Synthesis, 1999). A prior keeps the poses close to the given ones."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import bsr_array, csr_array
from scipy.spatial.transform import Rotation

from deep3dmap.methods.plane_sweep.tracks import Tracks, rays_through

Array = NDArray[np.float64]

TURN, MOVE = 0.012, 0.01  # radians and metres: standard deviations of the given poses
# Standard deviation of an observation, in focal lengths. It is far larger than the localisation error of a corner, because many
# thousand observations share the same error where the camera deviates from its model, and would otherwise bend the scan.
PIXEL = 0.02
OUTLIER = 0.004  # focal lengths at which the weight of an observation is one half
LIMITS = (0.04, 0.012)  # focal lengths beyond which an observation is rejected, before each adjustment
STEPS = 20
MIN_PARALLAX = 2e-4  # minimum sum of squared sines of the angles between the rays to a corner; below it, depth is undetermined


class _State(NamedTuple):
    turn: Array  # (V, 3) axis times angle, in the world
    move: Array  # (V, 3)
    points: Array  # (P, 3)


def adjust_poses(tracks: Tracks, intrinsics: Array, world_from_camera: Array) -> Array:
    """Return poses (V, 4, 4) that agree with the tracks and stay near the given ones; without tracks, the given poses."""
    poses, inverse = world_from_camera, np.linalg.inv(intrinsics)
    for limit in LIMITS:
        rays = rays_through(tracks.pixels, inverse[tracks.frame])
        points, flat = _triangulate(tracks, rays, poses)
        seen = _to_camera_frames(tracks, points, poses)
        off = np.linalg.norm(seen[:, :2] / np.maximum(seen[:, 2:], 1e-6) - rays[:, :2], axis=1)
        tracks = tracks.select((seen[:, 2] > 0) & (off < limit) & (flat[tracks.point] > MIN_PARALLAX))
        if len(tracks.frame) == 0:
            return world_from_camera
        rays = rays_through(tracks.pixels, inverse[tracks.frame])
        points, _ = _triangulate(tracks, rays, poses)
        poses = _apply_state(_minimise(tracks, rays[:, :2], points, poses, world_from_camera), world_from_camera)
    return poses


def _triangulate(tracks: Tracks, rays: Array, poses: Array) -> tuple[Array, Array]:
    """Return the points (P, 3) nearest to all their rays, and a measure (P,) of the angles between these rays."""
    along = np.einsum("nij,nj->ni", poses[tracks.frame, :3, :3], rays)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.eye(3) - along[:, :, None] * along[:, None]
    count = tracks.point.max(initial=-1) + 1
    squares, sums = np.zeros((count, 3, 3)), np.zeros((count, 3))
    np.add.at(squares, tracks.point, across)
    np.add.at(sums, tracks.point, np.einsum("nij,nj->ni", across, poses[tracks.frame, :3, 3]))
    points = np.linalg.solve(squares + 1e-9 * np.eye(3), sums[..., None])[..., 0].astype(np.float64, copy=False)
    return points, np.linalg.eigvalsh(squares)[:, 0]


def _to_camera_frames(tracks: Tracks, points: Array, poses: Array) -> Array:
    frames = poses[tracks.frame]
    return np.einsum("nji,nj->ni", frames[:, :3, :3], points[tracks.point] - frames[:, :3, 3])


def _apply_state(state: _State, given: Array) -> Array:
    poses = given.copy()
    poses[:, :3, :3] = Rotation.from_rotvec(state.turn).as_matrix() @ given[:, :3, :3]
    poses[:, :3, 3] += state.move
    return poses


def _minimise(tracks: Tracks, seen: Array, points: Array, poses: Array, given: Array) -> _State:
    """Run Levenberg-Marquardt, starting from `poses`; seen: (N, 2) the observations at focal length 1."""
    turn = Rotation.from_matrix(poses[:, :3, :3] @ given[:, :3, :3].transpose(0, 2, 1)).as_rotvec()
    state, damping = _State(turn, poses[:, :3, 3] - given[:, :3, 3], points), 1e-3
    cost, rest, camera = _cost(tracks, seen, state, given)
    for _ in range(STEPS):
        system = _system(tracks, rest, camera, state, given)
        while True:
            after = _step(tracks, system, state, damping)
            cost_after, rest_after, camera_after = _cost(tracks, seen, after, given)
            if cost_after < cost or damping > 1e6:
                break
            damping *= 10
        if cost_after >= cost:
            return state
        done = cost - cost_after < 1e-4 * cost
        state, cost, rest, camera, damping = after, cost_after, rest_after, camera_after, max(damping / 10, 1e-6)
        if done:
            return state
    return state


def _cost(tracks: Tracks, seen: Array, state: _State, given: Array) -> tuple[float, Array, Array]:
    camera = _to_camera_frames(tracks, state.points, _apply_state(state, given))
    rest = camera[:, :2] / np.maximum(camera[:, 2:], 1e-3) - seen
    robust = OUTLIER**2 * np.log1p((rest**2).sum(1) / OUTLIER**2)
    held = ((state.turn / TURN) ** 2).sum() + ((state.move / MOVE) ** 2).sum()
    return float(robust.sum() / PIXEL**2 + held), rest, camera


class _System(NamedTuple):
    """Normal equations in blocks: cameras (V, 6, 6), points (P, 3, 3), links between them (N, 6, 3), and right-hand sides."""

    cameras: Array
    points: Array
    links: Array
    of_cameras: Array
    of_points: Array


def _system(tracks: Tracks, rest: Array, camera: Array, state: _State, given: Array) -> _System:
    poses, (frame, point) = _apply_state(state, given), (tracks.frame, tracks.point)
    weight = 1 / (1 + (rest**2).sum(1) / OUTLIER**2) / PIXEL**2
    depth = np.maximum(camera[:, 2], 1e-3)
    to_camera = np.zeros((len(frame), 2, 3))
    to_camera[:, 0, 0] = to_camera[:, 1, 1] = 1 / depth
    to_camera[:, :, 2] = -camera[:, :2] / depth[:, None] ** 2
    by_point = to_camera @ poses[frame, :3, :3].transpose(0, 2, 1)
    by_turn = np.cross(by_point, (state.points[point] - poses[frame, :3, 3])[:, None])
    by_camera = np.concatenate([by_turn, -by_point], 2)
    weighed = by_camera.transpose(0, 2, 1) * weight[:, None, None]
    weighed_point = by_point.transpose(0, 2, 1) * weight[:, None, None]
    held = np.repeat([TURN**-2, MOVE**-2], 3)
    cameras, of_cameras = np.tile(np.diag(held), (len(given), 1, 1)), -held * np.concatenate([state.turn, state.move], 1)
    points, of_points = np.zeros((len(state.points), 3, 3)), np.zeros((len(state.points), 3))
    np.add.at(cameras, frame, weighed @ by_camera)
    np.add.at(of_cameras, frame, -(weighed @ rest[..., None])[..., 0])
    np.add.at(points, point, weighed_point @ by_point)
    np.add.at(of_points, point, -(weighed_point @ rest[..., None])[..., 0])
    return _System(cameras, points, weighed @ by_point, of_cameras, of_points)


def _step(tracks: Tracks, system: _System, state: _State, damping: float) -> _State:
    """Solve for the cameras with the points eliminated (Schur complement), then for the points."""
    cameras, points = len(system.cameras), len(system.points)
    eye = np.eye(3) * (damping * np.einsum("nii->ni", system.points)[:, :, None] + 1e-9)
    inverse = bsr_array((np.linalg.inv(system.points + eye), np.arange(points), np.arange(points + 1)))
    rows = np.broadcast_to(6 * tracks.frame[:, None, None] + np.arange(6)[:, None], system.links.shape)
    columns = np.broadcast_to(3 * tracks.point[:, None, None] + np.arange(3), system.links.shape)
    links = csr_array((system.links.ravel(), (rows.ravel(), columns.ravel())), shape=(6 * cameras, 3 * points))
    eliminated = links @ inverse.tocsr()
    left = -(eliminated @ links.T).toarray()
    blocks = left.reshape(cameras, 6, cameras, 6)
    every = np.arange(cameras)
    blocks[every, :, every] += system.cameras * (1 + damping * np.eye(6))
    moved = np.linalg.solve(left, system.of_cameras.ravel() - eliminated @ system.of_points.ravel())
    shifted = inverse @ (system.of_points.ravel() - links.T @ moved)
    moved = moved.reshape(cameras, 6)
    turn = (Rotation.from_rotvec(moved[:, :3]) * Rotation.from_rotvec(state.turn)).as_rotvec()
    return _State(turn, state.move + moved[:, 3:], state.points + shifted.reshape(points, 3))
