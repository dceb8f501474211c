"""Fragment-by-fragment reconstruction; only one fragment and the sparse maps of the scene are kept in memory."""

import sys
import time
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.core import Mesh, Reconstruction, UserError
from deep3dmap.geometry.cameras import invert
from deep3dmap.methods.neuralrecon.fragments import FragmentConfig, Views, batch_of, load_views, make_fragment
from deep3dmap.methods.neuralrecon.keyframes import MIN_VIEWS, select_fragments
from deep3dmap.methods.neuralrecon.network import NeuralReconNetwork, integrate_output
from deep3dmap.methods.neuralrecon.scan_check import FIXED_BY_LEVELLING, check_poses, level_scan
from deep3dmap.methods.neuralrecon.tsdf_map import TSDFMap
from deep3dmap.render.vertex_colors import VertexColors

SCENE = "scan"
SEEN_BEHIND_VOXELS = 1.5


class IncrementalReconstruction:
    """Applies a network to a posed scan."""

    def __init__(self, network: NeuralReconNetwork, config: FragmentConfig, device: torch.device) -> None:
        self.network, self.config, self.device = network, config, device
        # Without fusion, a fragment has no access to earlier ones, so voxels that it does not predict must not erase theirs.
        self.surface = TSDFMap(config.n_vox, config.voxel_size, full=network.fusing)

    def run(self, given: dict[str, Any], level: bool, single_layer: bool, colors: bool) -> Reconstruction:
        """Reconstruct a scan (`images`, `intrinsics`, `world_from_camera`) as a mesh in the world of its poses, in metres.

        If `level` is set and the world is not z up with its floor at 0, the scan is levelled first and the result transformed
        back. Raises UserError if fewer than two frames have a finite pose.
        """
        poses = np.asarray(given["world_from_camera"], np.float64)
        poses, world_from_scan, findings = self._level_poses(given["intrinsics"], poses, level)
        c = self.config
        fragments = select_fragments(poses, c.views, c.min_angle, c.min_distance, keep_tail=True)
        empty = 0
        progress = _Progress(len(fragments))
        for frames in fragments:
            empty += not self.add(load_views(given["images"], given["intrinsics"], poses, frames, c))
            progress.show(len(frames), self.surface)
        progress.close()
        findings += _result_findings(len(fragments), empty)
        for finding in findings:
            warnings.warn(finding, stacklevel=2)
        notes = {
            "fragments": len(fragments),
            "key_frames": sum(map(len, fragments)),
            "empty_fragments": empty,
            "findings": findings,
            "backend": self.network.config.backend,
        }
        mesh = self.surface.mesh(single_layer)
        if colors and not mesh.is_empty:
            mesh = self._colored(mesh, given, poses, sorted({frame for frames in fragments for frame in frames}))
        return Reconstruction("world", "metre", mesh=_transform_mesh(mesh, invert(world_from_scan).numpy()), notes=notes)

    def add(self, views: Views) -> bool:
        """Fold in one fragment; returns False if nothing was predicted."""
        inputs = batch_of([make_fragment(views, SCENE, self.config)], self.device)
        output = self.network(inputs)
        integrate_output(output, inputs, self.surface)
        return bool(output.complete)

    def _level_poses(
        self, intrinsics: Any, poses: NDArray[np.float64], level: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
        """Return levelled poses if needed, the transform (4, 4) that was applied, and the messages about the scan."""
        if np.isfinite(poses).all((1, 2)).sum() < MIN_VIEWS:
            raise UserError(f"fewer than {MIN_VIEWS} of {len(poses)} frames have a finite pose; check the pose files")
        findings = check_poses(intrinsics, poses, self.config)
        world_from_scan = np.eye(4)
        if level and any(finding.kind in FIXED_BY_LEVELLING for finding in findings):
            world_from_scan = level_scan(poses)
        messages = [finding.message for finding in findings]
        return world_from_scan @ poses, world_from_scan, messages

    def _colored(self, mesh: Mesh, given: dict[str, Any], poses: NDArray[np.float64], frames: list[int]) -> Mesh:
        colors = VertexColors(mesh.vertices, mesh.faces, SEEN_BEHIND_VOXELS * self.config.voxel_size)
        for frame in frames:
            image = torch.from_numpy(np.asarray(given["images"][frame], np.float32))
            colors.add(image, np.asarray(given["intrinsics"][frame]), poses[frame])
        return Mesh(mesh.vertices, mesh.faces, colors.mean().numpy())


class _Progress:
    """A progress line on a terminal: fragments done, key frames per second, size of the map."""

    def __init__(self, fragments: int) -> None:
        self.fragments, self.done, self.frames = fragments, 0, 0
        self.began, self.shown = time.perf_counter(), sys.stderr.isatty()

    def show(self, frames: int, surface: TSDFMap) -> None:
        self.done, self.frames = self.done + 1, self.frames + frames
        if self.shown:
            rate = self.frames / (time.perf_counter() - self.began)
            size = f"{len(surface.map):,} voxels, {surface.bytes() / 1e6:.1f} MB"
            print(f"\rfragment {self.done}/{self.fragments}  {rate:.1f} frames/s  {size} ", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.shown and self.done:
            print(file=sys.stderr)


def _transform_mesh(mesh: Mesh, transform: NDArray[np.float64]) -> Mesh:
    return Mesh(mesh.vertices @ transform[:3, :3].T + transform[:3, 3], mesh.faces, mesh.colors)


def _result_findings(fragments: int, empty: int) -> list[str]:
    if fragments == 0:
        return ["fewer than two key frames: the camera hardly moves; use smaller method.min_distance and method.min_angle"]
    if empty:
        return [f"{empty} of {fragments} fragments are empty: no voxel crossed the occupancy threshold"]
    return []
