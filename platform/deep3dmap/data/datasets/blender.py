"""NeRF's synthetic scenes, and user data in their layout: RGBA images and transforms_*.json (Mildenhall et al., 2020)."""

from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Sample, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.options import option
from deep3dmap.core.reconstruction import read_mesh
from deep3dmap.data.content_hash import hash_data, hash_files
from deep3dmap.data.datasets.given_root import given_root
from deep3dmap.data.datasets.scene_views import (
    BACKGROUNDS,
    HELD_OUT,
    HELD_OUT_VIEWS,
    VIEW_KEYS,
    SceneSplit,
    evenly_chosen,
    scene_sample,
)
from deep3dmap.data.formats.nerf_synthetic import SPLITS, is_scene, present_splits, read_split

# Cameras are four units from the origin, and ray samples are taken between distances two and six.
BOUNDS = np.array([[-1.5] * 3, [1.5] * 3])
MESH = "mesh.ply"


@dataclass
class BlenderConfig:
    """Location of the scenes and image options."""

    root: str = option("", "folder with transforms_train.json, or a folder with one such folder per scene")
    background: str = option("white", "background composited behind the images; own keeps theirs", choices=tuple(BACKGROUNDS))
    factor: int = option(1, "downscale the images by this factor", low=1, high=16)
    test_views: int = option(0, "number of held-out views to read, evenly spaced; 0 reads all", low=0)
    meshes: bool = option(False, f"include the mesh of {MESH} in each scene's folder in its sample")


class Blender:
    """Scenes in the layout of NeRF's synthetic scenes. A sample is a scene; splits differ in their held-out views."""

    card = DatasetCard(
        title="Synthetic scenes in NeRF's layout",
        provides=(*VIEW_KEYS, *HELD_OUT, "background", "bounds", "mesh"),
        splits=SPLITS,
        frame="world: z up, the object around the origin",
        unit="the scene's own; cameras are four units from the origin",
        licence="depends on the scenes; NeRF's are CC BY 3.0 and others, see their README",
        source="https://www.matthewtancik.com/nerf",
        needs_root=True,
    )
    config_type = BlenderConfig

    def __init__(self, config: BlenderConfig, cache: Path, only: tuple[str, ...] = ()) -> None:
        self._config, self._cache, self._only = config, cache, only
        if config.background not in BACKGROUNDS:
            raise unknown("dataset.background of blender", config.background, BACKGROUNDS)
        if config.factor < 1 or config.test_views < 0:
            raise UserError("dataset blender: factor must be at least 1 and test_views at least 0")
        absent = {"mesh"} - ({"mesh"} if config.meshes else set())
        absent |= {"background"} if config.background == "own" else set()
        # List only the keys that the configuration enables.
        self.card = replace(self.card, provides=tuple(key for key in self.card.provides if key not in absent))

    @property
    def root(self) -> Path:
        """Dataset folder. Raises UserError if it is not set or does not exist."""
        return given_root(self._config.root, "a folder with transforms_train.json in it")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether `path` is a scene or contains scenes."""
        return path.is_dir() and bool(_scenes(path))

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check the cameras of every scene."""
        for folder in self._folders.values():
            for split in present_splits(folder):
                read_split(folder, split)

    @property
    def version(self) -> str:
        """Hash of the files that are read and of the reading options."""
        files = []
        for folder in self._folders.values():
            for split in present_splits(folder):
                files.append(folder / f"transforms_{split}.json")
                files += [file for frame in read_split(folder, split) for file in (frame.image, frame.mask) if file is not None]
            files += [folder / MESH] if self._config.meshes else []
        options = {name: value for name, value in asdict(self._config).items() if name != "root"}
        return hash_data([hash_files(self.root, files, self._cache), options])

    def split(self, name: str) -> Split:
        """Return all scenes with the held-out views of a split; raises UserError for an unknown split."""
        if name not in SPLITS:
            raise unknown("split of blender", name, SPLITS)
        return SceneSplit(list(self._folders), partial(self._read, name))

    def _read(self, split: str, name: str) -> Sample:
        folder, config = self._folders[name], self._config
        held_out = evenly_chosen(read_split(folder, HELD_OUT_VIEWS[split]), config.test_views)
        sample = scene_sample(read_split(folder, "train"), held_out, config.background, config.factor)
        sample["bounds"] = BOUNDS.copy()
        if config.meshes:
            if not (folder / MESH).is_file():
                raise UserError(f"{folder / MESH}: the file is missing; set dataset.meshes=false to skip meshes")
            sample["mesh"] = read_mesh(folder / MESH)
        return sample

    @cached_property
    def _folders(self) -> dict[str, Path]:
        found = _scenes(self.root)
        if not found:
            raise UserError(f"{self.root}: no transforms_train.json and transforms_test.json in it or in its subfolders")
        named = {folder.resolve().name: folder for folder in found}
        return {name: named[name] for name in self._only or sorted(named)}


def _scenes(root: Path) -> list[Path]:
    if is_scene(root):
        return [root]
    return sorted(file.parent for file in root.glob("*/transforms_train.json") if is_scene(file.parent))
