"""DTU scans: IDR's folders with masks, or MVSNet's preprocessed training set."""

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Sample, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.options import option
from deep3dmap.data.content_hash import hash_data, hash_files
from deep3dmap.data.datasets.given_root import given_root
from deep3dmap.data.datasets.scene_views import HELD_OUT, VIEW_KEYS, SceneSplit, every_nth_held_out, scene_sample
from deep3dmap.data.formats.dtu import DtuScan, is_idr_scan, read_idr_scan, read_mvsnet_scan
from deep3dmap.data.formats.pose_conventions import focus

SPLITS = ("train", "test")
FIRST_HELD_OUT, EVERY = 7, 8  # as in GNeRF, which holds out views 7, 15, ... of 49
_REACH = 0.4  # half the side of the default box, as a fraction of the distance to the cameras


@dataclass
class DtuConfig:
    """Location of the scans and reading options."""

    root: str = option("", "folder of an IDR scan, of IDR scans, or of MVSNet's training set (with Rectified and Cameras)")
    scans: list[str] = option([], "names of the scans to read; none = all")
    factor: int = option(1, "downscale the images by this factor", low=1, high=16)
    background: str = option("black", "background behind the object, for scans with masks", choices=("black", "white", "own"))


class DTU:
    """DTU scans. A sample is a scan; every split contains all scans."""

    card = DatasetCard(
        title="DTU multi-view stereo in the layout of IDR or MVSNet",
        provides=(*VIEW_KEYS, *HELD_OUT, "background", "bounds"),
        splits=SPLITS,
        frame="world of the structured-light scanner",
        unit="millimetre",
        licence="free for research, see the dataset's page",
        source="https://roboimagedata.compute.dtu.dk",
        needs_root=True,
    )
    config_type = DtuConfig

    def __init__(self, config: DtuConfig, cache: Path) -> None:
        self._config, self._cache = config, cache
        if config.background not in ("black", "white", "own"):
            raise unknown("dataset.background of dtu", config.background, ("black", "white", "own"))
        # List only the keys that the scans and the configuration provide.
        absent = _absent_keys(config)
        self.card = replace(self.card, provides=tuple(key for key in self.card.provides if key not in absent))

    @property
    def root(self) -> Path:
        """Dataset folder. Raises UserError if it is not set or does not exist."""
        return given_root(self._config.root, "a folder with DTU's scans in it")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether `path` is a scan or contains scans."""
        return path.is_dir() and bool(_scans(path))

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check the cameras of every scan."""
        for name in self._names:
            self._scan(name)

    @property
    def version(self) -> str:
        """Hash of the images and cameras that are read and of the reading options."""
        files = sorted(self.root.glob("Cameras/train/*_cam.txt"))
        for name in self._names:
            files += [file for frame in self._scan(name).frames for file in (frame.image, frame.mask) if file is not None]
            files += [place / "cameras.npz" for place in (self.root, self.root / name) if (place / "cameras.npz").is_file()]
        options = {name: value for name, value in asdict(self._config).items() if name != "root"}
        return hash_data([hash_files(self.root, files, self._cache), options])

    def split(self, name: str) -> Split:
        """Return all scans; raises UserError for a name other than train and test."""
        if name not in SPLITS:
            raise unknown("split of dtu", name, SPLITS)
        return SceneSplit(self._names, self._read)

    def _read(self, name: str) -> Sample:
        scan, config = self._scan(name), self._config
        masked = all(frame.mask is not None for frame in scan.frames)
        given, held_out = every_nth_held_out(scan.frames, EVERY, FIRST_HELD_OUT)
        sample = scene_sample(given, held_out, config.background if masked else "own", config.factor, masked)
        return sample | {"bounds": _bounds(scan)}

    def _scan(self, name: str) -> DtuScan:
        if (self.root / "Rectified").is_dir():
            return read_mvsnet_scan(self.root, name)
        return read_idr_scan(self.root if is_idr_scan(self.root) else self.root / name)

    @cached_property
    def _names(self) -> list[str]:
        found = _scans(self.root)
        if not found:
            raise UserError(f"{self.root}: neither IDR's scans (cameras.npz and image/) nor MVSNet's Rectified/ in it")
        for name in self._config.scans:
            if name not in found:
                raise unknown("scan of dtu", name, found)
        return list(self._config.scans) or found


def _scans(root: Path) -> list[str]:
    if (root / "Rectified").is_dir():
        return sorted(folder.name.removesuffix("_train") for folder in (root / "Rectified").glob("scan*_train"))
    if is_idr_scan(root):
        return [root.resolve().name]
    return sorted(folder.name for folder in root.iterdir() if folder.is_dir() and is_idr_scan(folder))


def _absent_keys(config: DtuConfig) -> set[str]:
    """Return the keys that some scans lack: MVSNet's training set has no masks, and they are optional in IDR's layout."""
    own = {"background"} if config.background == "own" else set()
    root = Path(config.root).expanduser()
    if not config.root or not root.is_dir():
        return own
    folders = [root] if is_idr_scan(root) else [root / name for name in config.scans or _scans(root)]
    if (root / "Rectified").is_dir() or not all((folder / "mask").is_dir() for folder in folders):
        return own | {"masks", "test_masks", "background"}
    return own


def _bounds(scan: DtuScan) -> NDArray[np.float64]:
    """Return the region of interest if the layout has one, else a box around the point the cameras look at."""
    if scan.bounds is not None:
        return scan.bounds
    poses = np.stack([frame.camera.world_from_camera for frame in scan.frames])
    point = focus(poses).point
    reach = _REACH * float(np.median(np.linalg.norm(poses[:, :3, 3] - point, axis=1)))
    return np.stack([point - reach, point + reach])
