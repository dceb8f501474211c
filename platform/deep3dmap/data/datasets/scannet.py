"""Exported ScanNet scans, and user data in their layout."""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Preparation, Sample, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.options import option
from deep3dmap.data.cache import build_folder
from deep3dmap.data.content_hash import hash_data
from deep3dmap.data.datasets.posed_scans import CHECK, SCAN_KEYS, PosedScans, ScanFolders, sample_of
from deep3dmap.data.formats import scannet as layout
from deep3dmap.data.formats.scannet_sens import export_sens
from deep3dmap.data.formats.scannet_tsdf import is_prepared, read_scene_tsdf, write_scene_tsdf
from deep3dmap.data.formats.sevenscenes import read_scan_mesh
from deep3dmap.data.generation import make_items
from deep3dmap.geometry.scene_tsdf import fuse_scene

SPLIT_PLACES = ("splits", "all_tsdf_9/splits", ".")
EXPORTS, FUSIONS = "exported scans", "fused scans"
FOLDER_SPLITS = {"scans": "train", "scans_test": "test"}


@dataclass
class ScanNetConfig:
    """Location of the scans, reading options, and the TSDFs prepared for training."""

    root: str = option("", "folder with scans/ and scans_test/, a folder of exported scans, or one of these")
    stride: int = option(1, "read every n-th frame", low=1, high=100)
    max_frames: int = option(0, "read at most this many frames of a scan, 0 = all")
    prepare_tsdf: bool = option(True, "fuse three-level TSDFs of the training scans during preparation")
    voxel_size: float = option(0.04, "finest voxel size of the TSDFs in metres", low=0.01, high=0.2, log=True)
    check: bool = option(True, CHECK)
    max_depth: float = option(3.0, "largest depth fused into the TSDFs in metres", low=1.0, high=10.0)


class ScanNet(ScanFolders):
    """1513 scans of rooms with poses and meshes. Training scans are in scans/, test scans in scans_test/."""

    card = DatasetCard(
        title="ScanNet: RGB-D scans of rooms",
        provides=(*SCAN_KEYS, "mesh"),
        splits=("train", "val", "test"),
        frame="world of the scan: z up, floor near z = 0",
        unit="metre",
        licence="ScanNet terms of use (non-commercial research)",
        source="Dai et al., ScanNet: Richly-annotated 3D Reconstructions of Indoor Scenes, CVPR 2017",
        needs_root=True,
    )
    config_type = ScanNetConfig
    prepares_with_executor = True

    name = "scannet"
    holds = "ScanNet's scans/ and scans_test/, or color/, depth/, pose/ and intrinsic/ of one scan"
    is_scan = staticmethod(layout.is_scan)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether `path` is a scan, exported or as a `.sens` file, or a folder of such scans."""
        return path.is_dir() and any(map(_is_scan_or_sens, (path, *path.glob("*/"), *path.glob("scans*/*/"))))

    def missing(self, splits: Sequence[str] | None = None) -> list[Preparation]:
        """List what `prepare` would generate; fusions of `.sens` scans are counted only once some scans are exported."""
        exports, fusions = self._find_unexported(), [] if self._has_only_sens() else self._list_fusion_jobs(splits)
        named = ((EXPORTS, exports), (FUSIONS, fusions))
        return [Preparation(title, len(jobs), None) for title, jobs in named if jobs]

    def prepare(self, workers: int | Executor = 1, quiet: bool = True, splits: Sequence[str] | None = None) -> None:
        """Export `.sens` files into the folders that contain them, then fuse the TSDFs of training and validation scans.

        splits: which of these splits to fuse, None = both. Existing results are kept, and each scan is written atomically.
        Scans are distributed over `workers` processes or an executor, such as one backed by a cluster.
        """
        make_items(_export, self._find_unexported(), title=EXPORTS, workers=workers, quiet=quiet)
        make_items(_prepare, self._list_fusion_jobs(splits), title=FUSIONS, workers=workers, quiet=quiet)

    def _find_unexported(self) -> list[Path]:
        return [folder for folder in _candidate_folders(self.root) if _sens_file(folder) and not layout.is_scan(folder)]

    def _has_only_sens(self) -> bool:
        return bool(self._find_unexported()) and not any(map(layout.is_scan, _candidate_folders(self.root)))

    def _list_fusion_jobs(self, splits: Sequence[str] | None) -> list[tuple[Path, Path, ScanNetConfig]]:
        scans = self._folders()
        if not self._config.prepare_tsdf:
            return []
        selected = [split for split in ("train", "val") if splits is None or split in splits]
        names = [name for split in selected for name in self._names(split, scans)]
        jobs = [(scans[name], self._prepared(name, scans[name]), self._config) for name in names]
        return [job for job in jobs if not is_prepared(job[1])]

    def split(self, name: str) -> Split:
        """Return the available scans that splits/scannetv2_*.txt lists for a split.

        Without these files, scans/ is `train` and scans_test/ is `test`; scans outside both are for testing.
        """
        if name not in self.card.splits:
            raise unknown("split of scannet", name, self.card.splits)
        scans = self._folders()
        return PosedScans(self._names(name, scans), lambda title: self.read(scans[title]), self._config.check)

    def read(self, folder: Path) -> Sample:
        """Open one scan, with its mesh and its prepared TSDF (`scene_tsdf`, loaded lazily) if available."""
        sample = read_sample(folder, self._config.stride, self._config.max_frames)
        prepared = self._prepared(folder.resolve().name, folder)
        if is_prepared(prepared):
            sample["scene_tsdf"] = read_scene_tsdf(prepared)
        return sample

    def _files(self) -> Iterator[Path]:
        for name, folder in self._folders().items():
            yield from layout.scan_files(folder)
            yield from (self.root / "all_tsdf_9" / name).glob("*_layer*.npz")
        for place in SPLIT_PLACES:
            yield from (self.root / place).glob("scannetv2_*.txt")

    def _folders(self) -> dict[str, Path]:
        places = list(_candidate_folders(self.root))
        scans = {place.resolve().name: place for place in places if layout.is_scan(place)}
        if not scans and any(map(_sens_file, places)):
            raise UserError(f"{self.root}: .sens files only; run `deep3dmap data prepare scannet dataset.root={self.root}`")
        if not scans:
            raise UserError(f"{self.root}: no exported scan in it; a scan contains color/, depth/, pose/, intrinsic/")
        return scans

    def _names(self, split: str, scans: dict[str, Path]) -> list[str]:
        for place in SPLIT_PLACES:
            file = self.root / place / f"scannetv2_{split}.txt"
            if file.is_file():
                return [name for name in file.read_text().split() if name in scans]
        # If the root itself is a scan, it is for testing regardless of its location.
        own = {name: "" if folder == self.root else folder.parent.name for name, folder in scans.items()}
        return [name for name in scans if FOLDER_SPLITS.get(own[name], "test") == split]

    def _prepared(self, name: str, scan: Path) -> Path:
        """Return the folder of a scan's prepared TSDF: next to the data if the official tools wrote it, else in the cache."""
        official = self.root / "all_tsdf_9" / name
        if is_prepared(official):
            return official
        c = self._config
        settings_hash = hash_data([str(scan.resolve()), c.stride, c.max_frames, c.voxel_size, c.max_depth])
        return self._cache / "scannet_tsdf" / settings_hash / name


def read_sample(folder: Path, stride: int = 1, max_frames: int = 0) -> Sample:
    """Read one scan folder as a sample, with its mesh if it has one."""
    sample = sample_of(layout.read_scan(folder, stride, max_frames))
    mesh = layout.find_mesh(folder)
    return sample if mesh is None else {**sample, "mesh": read_scan_mesh(mesh)}


def _candidate_folders(root: Path) -> Iterator[Path]:
    """Yield candidate scan folders: `root` itself, or the folders in it, in scans/ and in scans_test/."""
    if _is_scan_or_sens(root):
        yield root
        return
    for part in (".", *FOLDER_SPLITS):
        yield from sorted((root / part).glob("*/"))


def _sens_file(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*.sens"))), None)


def _is_scan_or_sens(folder: Path) -> bool:
    return layout.is_scan(folder) or _sens_file(folder) is not None


def _export(folder: Path) -> None:
    file = _sens_file(folder)
    if file is not None:
        export_sens(file, folder)
    if not layout.is_scan(folder):
        raise UserError(f"{folder}: contains an incomplete export; remove its folder `intrinsic` and prepare again")


def _prepare(job: tuple[Path, Path, ScanNetConfig]) -> Path:
    scan, target, config = job
    if target.is_dir() and not is_prepared(target):
        shutil.rmtree(target)  # some of its files were removed
    return build_folder(target, partial(_fuse, scan=scan, config=config))


def _fuse(folder: Path, scan: Path, config: ScanNetConfig) -> None:
    frames = layout.read_scan(scan, config.stride, config.max_frames)
    try:
        scene = fuse_scene(
            frames.sensor_depths, frames.depth_intrinsics, frames.world_from_camera, config.voxel_size, config.max_depth
        )
    except UserError as error:
        raise UserError(f"{scan}: {error}") from error
    write_scene_tsdf(folder, scene)
