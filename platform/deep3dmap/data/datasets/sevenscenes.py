"""Real RGB-D scans in the layout of 7-Scenes: one scan folder or a folder of scans."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Sample, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.mesh import Mesh
from deep3dmap.core.options import option
from deep3dmap.data.content_hash import hash_data, hash_files
from deep3dmap.data.datasets.given_root import given_root
from deep3dmap.data.datasets.posed_scans import CHECK, SCAN_KEYS, PosedScans, sample_of
from deep3dmap.data.formats import sevenscenes as layout


@dataclass
class SevenScenesConfig:
    """Location of the scans and reading options."""

    root: str = option("", "folder of one scan (frame-*.color.png, .depth.png, .pose.txt) or a folder of such folders")
    stride: int = option(1, "read every n-th frame", low=1, high=100)
    max_frames: int = option(0, "read at most this many frames of a scan, 0 = all")
    depth_scale: float = option(0.001, "metres per unit of the depth files")
    color_camera: list[float] = option([], "fx, fy, cx, cy of the colour images, integer centres; empty = from the files")
    depth_camera: list[float] = option([], "fx, fy, cx, cy of the depth files, integer centres; empty = from the files")
    mesh: str = option("", "reference mesh, relative to a scan's folder; empty = its single PLY file, if any")
    check: bool = option(True, CHECK)
    align_to_zup: bool = option(False, "apply world_to_zup.txt, so that z points up and the floor is at z = 0")
    train_scans: str = option("", "comma-separated patterns of training scans, for scans not listed in split files")


class SevenScenes:
    """7-Scenes and anything recorded in its layout."""

    card = DatasetCard(
        title="7-Scenes: RGB-D scans of rooms with KinectFusion poses",
        provides=(*SCAN_KEYS, "mesh"),
        splits=("train", "test"),
        frame="world of the scan's own tracker (gravity-aligned with align_to_zup)",
        unit="metre",
        licence="non-commercial research (Microsoft Research licence of 7-Scenes)",
        source="Shotton et al., Scene Coordinate Regression Forests for Camera Relocalization in RGB-D Images, CVPR 2013",
        needs_root=True,
    )
    config_type = SevenScenesConfig

    def __init__(self, config: SevenScenesConfig, cache: Path) -> None:
        self._config, self._cache = config, cache

    @property
    def root(self) -> Path:
        """Dataset folder. Raises UserError if it is not set or does not exist."""
        return given_root(self._config.root, "a scan or a folder of scans in the 7-Scenes layout")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether `path` is a scan in this layout or a folder of such scans."""
        if not path.is_dir():
            return False
        return layout.is_scan(path) or any(layout.is_scan(place) for place in (*path.glob("*/"), *path.glob("*/seq-*/")))

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check that there are scans; nothing is written."""
        find_scans(self.root)

    @property
    def version(self) -> str:
        """Hash of all files that may be read and of the reading options."""
        root = self.root
        files = (file for _, folder, _ in find_scans(root) for file in _scan_files(folder, self._config.mesh))
        options = {name: value for name, value in asdict(self._config).items() if name not in ("root", "check")}
        return hash_data([hash_files(root, set(files), self._cache), options])

    def split(self, name: str) -> Split:
        """Return the scans listed in TrainSplit.txt or TestSplit.txt; others are for testing unless `train_scans` matches."""
        if name not in self.card.splits:
            raise unknown("split of sevenscenes", name, self.card.splits)
        scans = [(title, folder) for title, folder, split in find_scans(self.root) if (split or self._own_split(title)) == name]
        folders = dict(scans)
        return PosedScans(list(folders), lambda title: read_sample(folders[title], self._config), self._config.check)

    def _own_split(self, title: str) -> str:
        patterns = (pattern.strip() for pattern in self._config.train_scans.split(","))
        return "train" if any(fnmatch(title, pattern) for pattern in patterns) else "test"


def find_scans(root: Path) -> list[tuple[str, Path, str | None]]:
    """Return (name, folder, split or None) of the scans in `root`, `root/*` and `root/*/seq-*`. Raises UserError if none."""
    if layout.is_scan(root):
        return [(root.resolve().name, root, None)]
    scans = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if layout.is_scan(folder):
            scans.append((folder.name, folder, _listed_split(root, folder.name)))
        else:
            inner = sorted(path for path in folder.glob("seq-*") if path.is_dir() and layout.is_scan(path))
            scans += [(f"{folder.name}_{path.name}", path, _listed_split(folder, path.name)) for path in inner]
    if not scans:
        raise UserError(f"{root}: no scan in it; a scan contains frame-000000.color.png, .depth.png, .pose.txt and so on")
    return scans


def read_sample(folder: Path, config: SevenScenesConfig) -> Sample:
    """Read one scan folder as a sample."""
    cameras = config.color_camera, config.depth_camera
    scan = layout.read_scan(folder, config.stride, config.max_frames, config.depth_scale, *cameras)
    file = layout.find_mesh(folder, config.mesh)
    mesh = None if file is None else layout.read_scan_mesh(file)
    poses = scan.world_from_camera
    if config.align_to_zup:
        transform = layout.read_world_to_zup(folder)
        poses = transform @ poses
        mesh = None if mesh is None else _moved(mesh, transform)
    sample: Sample = {**sample_of(scan), "world_from_camera": poses}
    return sample if mesh is None else {**sample, "mesh": mesh}


def _moved(mesh: Mesh, transform: NDArray[np.float64]) -> Mesh:
    return Mesh(mesh.vertices @ transform[:3, :3].T + transform[:3, 3], mesh.faces, mesh.colors)


def _listed_split(scene: Path, sequence: str) -> str | None:
    """Look a sequence up in TrainSplit.txt and TestSplit.txt, whose lines are `sequence1`, `sequence2` and so on."""
    for split in ("train", "test"):
        file = scene / f"{split.capitalize()}Split.txt"
        if file.is_file() and _number(sequence) in {_number(line) for line in file.read_text().split()}:
            return split
    return None


def _number(sequence: str) -> int | str:
    digits = "".join(filter(str.isdigit, sequence))
    return int(digits) if digits else sequence


def _scan_files(folder: Path, mesh: str) -> Iterator[Path]:
    if mesh and (named := layout.find_mesh(folder, mesh)):
        yield named
    yield from (file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    yield from (file for file in folder.parent.glob("*.txt") if file.name in ("camera-intrinsics.txt", "world_to_zup.txt"))
