"""Calibrated images of objects from user folders: images, optional masks, and transforms.json."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Sample, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.options import option
from deep3dmap.core.reconstruction import read_mesh
from deep3dmap.data.content_hash import hash_data, hash_files
from deep3dmap.data.datasets.given_root import given_root
from deep3dmap.data.datasets.scene_views import evenly_chosen
from deep3dmap.data.formats.multiview import CAMERAS, read_frames, read_views

MESH = "mesh.ply"


@dataclass
class ViewFoldersConfig:
    """Location of the objects and number of views to read."""

    root: str = option("", "folder with transforms.json, or a folder with one such folder per object")
    views: int = option(0, "number of views to read per object, evenly spaced; 0 reads all", low=0)
    meshes: bool = option(False, f"include the mesh of {MESH} in each object's folder in its sample")


class ViewSplit:
    """Objects as samples: images, masks, intrinsics, world_from_camera, and mesh if enabled."""

    def __init__(self, folders: list[Path], config: ViewFoldersConfig) -> None:
        self._folders, self._config = folders, config

    def __len__(self) -> int:
        return len(self._folders)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """Return the name of an object's folder."""
        return self._folders[index].name

    def __getitem__(self, index: int) -> Sample:
        """Read the views of object `index`."""
        folder = self._folders[index]
        sample: Sample = dict(read_views(evenly_chosen(read_frames(folder), self._config.views)))
        if self._config.meshes:
            if not (folder / MESH).is_file():
                raise UserError(f"{folder / MESH}: the file is missing; set dataset.meshes=false to skip meshes")
            sample["mesh"] = read_mesh(folder / MESH)
        return sample


class ViewFolders:
    """Folders of calibrated views with this package's or NeRF's transforms.json. Every split contains all objects."""

    card = DatasetCard(
        title="Folders of calibrated views of objects",
        provides=("images", "masks", "intrinsics", "world_from_camera", "mesh"),
        splits=("train", "test"),
        frame="world: the folder's own",
        unit="unit of the folder's cameras",
        licence="depends on the images",
        source="provided by the user",
        needs_root=True,
    )
    config_type = ViewFoldersConfig

    def __init__(self, config: ViewFoldersConfig, cache: Path) -> None:
        self._config, self._cache = config, cache
        if config.views < 0:
            raise UserError(f"dataset.views must be 0 or more, got {config.views}")
        if not config.meshes:
            # List only the keys that the configuration enables.
            self.card = replace(self.card, provides=tuple(key for key in self.card.provides if key != "mesh"))

    @property
    def root(self) -> Path:
        """Dataset folder. Raises UserError if it is not set or does not exist."""
        return given_root(self._config.root, f"a folder with {CAMERAS}")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether `path` is a folder of views or contains such folders."""
        return path.is_dir() and bool(_objects(path))

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check the cameras of every object."""
        for folder in self._folders:
            read_frames(folder)

    @property
    def version(self) -> str:
        """Hash of the files that are read and of the reading options."""
        files = [folder / CAMERAS for folder in self._folders]
        for folder in self._folders:
            for frame in evenly_chosen(read_frames(folder), self._config.views):
                files += [frame.image, *([frame.mask] if frame.mask else [])]
            files += [folder / MESH] if self._config.meshes else []
        options = {name: value for name, value in asdict(self._config).items() if name != "root"}
        return hash_data([hash_files(self.root, files, self._cache), options])

    def split(self, name: str) -> Split:
        """Return all objects; raises UserError for a name other than train and test."""
        if name not in self.card.splits:
            raise unknown("split of view_folders", name, self.card.splits)
        return ViewSplit(self._folders, self._config)

    @cached_property
    def _folders(self) -> list[Path]:
        found = _objects(self.root)
        if not found:
            raise UserError(f"{self.root}: no {CAMERAS} in it or in its subfolders")
        return found


def _objects(root: Path) -> list[Path]:
    if (root / CAMERAS).is_file():
        return [root]
    return sorted(file.parent for file in root.glob(f"*/{CAMERAS}"))
