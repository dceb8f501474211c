"""User captures with a COLMAP model: photographs in images/, the model in sparse/0, and optional masks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Sample, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.options import option
from deep3dmap.data.content_hash import hash_data, hash_files
from deep3dmap.data.datasets.given_root import given_root
from deep3dmap.data.datasets.scene_views import SceneSplit, every_nth_held_out, scene_sample
from deep3dmap.data.formats.colmap import ColmapModel, find_model, points_bounds, read_model
from deep3dmap.data.formats.multiview import Frame

SPLITS = ("train", "test")


@dataclass
class ColmapConfig:
    """Location of the captures and choice of held-out views."""

    root: str = option("", "folder of a capture, or a folder of such folders")
    images: str = option("images", "folder of the photographs within a capture, such as images_4")
    masks: str = option(
        "masks",
        "folder of masks within a capture, NAME.png for the photograph NAME.jpg; masks are skipped if it does not exist",
    )
    factor: int = option(1, "downscale the photographs by this factor", low=1, high=16)
    every: int = option(8, "hold out every n-th photograph in name order; 0 holds out none", low=0)


class Colmap:
    """Captures with COLMAP poses. A sample is a capture; its world has COLMAP's arbitrary scale."""

    card = DatasetCard(
        title="Captures with a COLMAP model",
        provides=(
            "images",
            "masks",
            "intrinsics",
            "world_from_camera",
            "test_images",
            "test_masks",
            "test_intrinsics",
            "test_world_from_camera",
            "bounds",
        ),
        splits=SPLITS,
        frame="world: COLMAP's, arbitrary rotation",
        unit="COLMAP's, arbitrary scale",
        licence="depends on the images",
        source="provided by the user",
        needs_root=True,
    )
    config_type = ColmapConfig
    # Reconstruction without scoring does not need held-out views.
    for_reconstruction: ClassVar[Mapping[str, Any]] = {"every": 0}

    def __init__(self, config: ColmapConfig, cache: Path) -> None:
        self._config, self._cache = config, cache
        if config.every < 0 or config.every == 1 or config.factor < 1:
            raise UserError(f"dataset.every must be 0 or >= 2 and factor >= 1, got {config.every} and {config.factor}")
        root = Path(config.root)
        if config.root and root.is_dir() and not all(self._has_masks(folder) for folder in _captures(root)):
            self.card = replace(self.card, provides=tuple(key for key in self.card.provides if not key.endswith("masks")))

    @property
    def root(self) -> Path:
        """Dataset folder. Raises UserError if it is not set or does not exist."""
        return given_root(self._config.root, "a capture with images/ and sparse/0 in it, or a folder of captures")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether `path` is a capture or contains captures."""
        return path.is_dir() and bool(_captures(path))

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check the model of every capture."""
        for folder in self._folders.values():
            self._model(folder)

    @property
    def version(self) -> str:
        """Hash of the models and photographs that are read and of the reading options."""
        files = []
        for folder in self._folders.values():
            model = find_model(folder)
            files += sorted(file for file in model.iterdir() if file.suffix in (".bin", ".txt")) if model else []
            frames = self._model(folder).frames
            files += [frame.image for frame in frames] + [frame.mask for frame in frames if frame.mask]
        options = {name: value for name, value in asdict(self._config).items() if name != "root"}
        return hash_data([hash_files(self.root, files, self._cache), options])

    def split(self, name: str) -> Split:
        """Return all captures; raises UserError for a name other than train and test."""
        if name not in SPLITS:
            raise unknown("split of colmap", name, SPLITS)
        return SceneSplit(list(self._folders), self._read)

    def _read(self, name: str) -> Sample:
        config, folder = self._config, self._folders[name]
        model = self._model(folder)
        given, held_out = every_nth_held_out(model.frames, config.every) if config.every else (model.frames, [])
        sample = scene_sample(given, held_out, "own", config.factor, masked=self._has_masks(folder))
        return sample | {"bounds": points_bounds(model.points)}

    def _model(self, folder: Path) -> ColmapModel:
        model = read_model(folder, self._config.images)
        if not self._has_masks(folder):
            return model
        return model._replace(frames=[_with_mask(frame, folder / self._config.masks) for frame in model.frames])

    def _has_masks(self, folder: Path) -> bool:
        return bool(self._config.masks) and (folder / self._config.masks).is_dir()

    @cached_property
    def _folders(self) -> dict[str, Path]:
        found = _captures(self.root)
        if not found:
            raise UserError(
                f"{self.root}: no COLMAP model in it (cameras, images and points3D in sparse/0) or in its subfolders"
            )
        return {folder.resolve().name: folder for folder in found}


def _with_mask(frame: Frame, masks: Path) -> Frame:
    # COLMAP appends .png to the full file name of the photograph: NAME.jpg.png.
    for name in (f"{frame.image.stem}.png", f"{frame.image.name}.png"):
        if (masks / name).is_file():
            return frame._replace(mask=masks / name)
    raise UserError(
        f"{masks / frame.image.stem}.png: the mask of {frame.image.name} is missing; set dataset.masks= to skip masks"
    )


def _captures(root: Path) -> list[Path]:
    if find_model(root) is not None:
        return [root]
    return sorted(folder for folder in root.iterdir() if folder.is_dir() and find_model(folder) is not None)
