"""ScanNet, exported, and anything written in its layout."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Sample, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.options import option
from deep3dmap.core.reconstruction import read_mesh
from deep3dmap.data.cache import build_folder
from deep3dmap.data.content_hash import hash_data
from deep3dmap.data.datasets.posed_scans import PosedScans, ScanFolders, sample_of
from deep3dmap.data.formats import scannet as layout
from deep3dmap.data.formats.scannet_tsdf import is_prepared, read_scene_tsdf, write_scene_tsdf
from deep3dmap.data.generation import make_items
from deep3dmap.geometry.scene_tsdf import fuse_scene

SPLIT_PLACES = ("splits", "all_tsdf_9/splits", ".")


@dataclass
class ScanNetConfig:
    """Where the scans are, what is read of them, and the distances that are prepared for training."""

    root: str = option("", "folder with scans/ and scans_test/, or one exported scan")
    stride: int = option(1, "read every n-th frame", low=1, high=100)
    max_frames: int = option(0, "read at most this many frames of a scan, 0 = all")
    prepare_tsdf: bool = option(True, "fuse the training scans' distances on three levels when prepared")
    voxel_size: float = option(0.04, "finest voxels of these, in metres", low=0.01, high=0.2, log=True)
    max_depth: float = option(3.0, "depth beyond this many metres is left out of these", low=1.0, high=10.0)


class ScanNet(ScanFolders):
    """1513 scans of rooms with poses and meshes. Training scans lie in scans/, test scans in scans_test/."""

    card = DatasetCard(
        title="ScanNet: RGB-D scans of rooms",
        provides=("images", "depths", "true_depths", "intrinsics", "world_from_camera", "mesh"),
        splits=("train", "val", "test"),
        frame="world of the scan: z up, floor near z = 0",
        unit="metre",
        licence="ScanNet terms of use (non-commercial research)",
        source="Dai et al., ScanNet: Richly-annotated 3D Reconstructions of Indoor Scenes, CVPR 2017",
        needs_root=True,
    )
    config_type = ScanNetConfig

    name = "scannet"
    holds = "ScanNet's scans/ and scans_test/, or color/, depth/, pose/ and intrinsic/ of one scan"
    is_scan = staticmethod(layout.is_scan)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether this is an exported scan, or a folder of such scans."""
        return path.is_dir() and (layout.is_scan(path) or any(map(layout.is_scan, path.glob("scans*/*/"))))

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Fuse the distances of the training and validation scans that have none yet, each whole or not at all."""
        names = [name for split in ("train", "val") for name in self._names(split)] if self._config.prepare_tsdf else []
        jobs = [(self._folders()[name], self._prepared(name), self._config) for name in names]
        make_items(
            _prepare, [job for job in jobs if not is_prepared(job[1])], title="fusing scans", workers=workers, quiet=quiet
        )

    def split(self, name: str) -> Split:
        """Return the scans of splits/scannetv2_*.txt; without these files scans/ is `train` and scans_test/ is `test`."""
        if name not in self.card.splits:
            raise unknown("split of scannet", name, self.card.splits)
        return PosedScans(self._names(name), self._load)

    def _load(self, name: str) -> Sample:
        folder = self._folders()[name]
        sample = sample_of(layout.read_scan(folder, self._config.stride, self._config.max_frames))
        mesh = folder / f"{name}_vh_clean_2.ply"
        if mesh.is_file():
            sample["mesh"] = read_mesh(mesh)
        if is_prepared(self._prepared(name)):
            sample["scene_tsdf"] = read_scene_tsdf(self._prepared(name))
        return sample

    def _folders(self) -> dict[str, Path]:
        root = self.root
        if layout.is_scan(root):
            return {root.resolve().name: root}
        found = {place.name: place for part in ("scans", "scans_test") for place in sorted((root / part).glob("*/"))}
        scans = {name: place for name, place in found.items() if layout.is_scan(place)}
        if not scans:
            raise UserError(
                f"{root}: no exported scan in scans/ or scans_test/; a scan holds color/, depth/, pose/, intrinsic/"
            )
        return scans

    def _names(self, split: str) -> list[str]:
        folders = self._folders()
        for place in SPLIT_PLACES:
            file = self.root / place / f"scannetv2_{split}.txt"
            if file.is_file():
                return [name for name in file.read_text().split() if name in folders]
        wanted = {"train": "scans", "val": "", "test": "scans_test"}[split]
        alone = layout.is_scan(self.root) and split == "test"
        return [name for name, folder in folders.items() if alone or folder.parent.name == wanted]

    def _prepared(self, name: str) -> Path:
        """Return where the distances of a scan lie: beside the data as the official tools put them, else in the cache."""
        official = self.root / "all_tsdf_9" / name
        if is_prepared(official):
            return official
        c = self._config
        how = hash_data([str(self._folders()[name].resolve()), c.stride, c.max_frames, c.voxel_size, c.max_depth])
        return self._cache / "scannet_tsdf" / how / name


def _prepare(job: tuple[Path, Path, ScanNetConfig]) -> Path:
    scan, target, config = job
    return build_folder(target, partial(_fuse, scan=scan, config=config))


def _fuse(folder: Path, scan: Path, config: ScanNetConfig) -> None:
    frames = layout.read_scan(scan, config.stride, config.max_frames)
    arguments = (frames.depths, frames.intrinsics, frames.world_from_camera, config.voxel_size, config.max_depth)
    write_scene_tsdf(folder, fuse_scene(*arguments))
