"""Folders of images with depth maps, such as the Basel Face Model renderings of Wu et al. (CVPR 2020)."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.options import option
from deep3dmap.data.content_hash import hash_data, hash_files
from deep3dmap.data.datasets.face_depth_split import FaceDepthSplit
from deep3dmap.data.datasets.given_root import given_root
from deep3dmap.data.formats.face_depth import TRUTH, Pair, find_pairs, read_truth

TRUTH_KEYS = ("relief_view", "relief_light")


@dataclass
class SynfaceConfig:
    """Location of the images, and crop and resize options."""

    root: str = option("", "folder with train/, val/ and test/, each with image/ and depth/")
    crop: int = option(170, "side of the centre crop in pixels; 0 = no crop", low=0, high=4096)
    image_size: int = option(64, "side to which the crop is resized in pixels", low=16, high=1024)


class Synface:
    """Images of faces with depth maps; splits may be absent."""

    card = DatasetCard(
        title="Synthetic faces with depth maps",
        provides=("image", "relief_depth", "mask", *TRUTH_KEYS),
        splits=("train", "val", "test"),
        frame="camera: x right, y down, z forward; the head's centre at depth 1",
        unit="distance of the head's centre",
        licence="as the Basel Face Model: non-commercial research",
        source="Wu, Rupprecht and Vedaldi, Unsupervised Learning of Probably Symmetric Deformable 3D Objects, CVPR 2020",
        needs_root=True,
    )
    config_type = SynfaceConfig

    def __init__(self, config: SynfaceConfig, cache: Path) -> None:
        self._config, self._cache = config, cache
        # List only the keys that the folder provides.
        absent = _absent_keys(Path(config.root).expanduser()) if config.root else ()
        self.card = replace(self.card, provides=tuple(key for key in self.card.provides if key not in absent))

    @property
    def root(self) -> Path:
        """Dataset folder. Raises UserError if it is not set or does not exist."""
        return given_root(self._config.root, "the folder with train/, val/ and test/")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether `path` contains a split with image/ and depth/."""
        return any((path / split / "image").is_dir() and (path / split / "depth").is_dir() for split in cls.card.splits)

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check that there is a split and that every image has a depth map; nothing is written."""
        self._find_pairs()

    def _find_pairs(self) -> dict[str, list[Pair]]:
        found = {name: find_pairs(self.root / name) for name in self.card.splits if (self.root / name).is_dir()}
        if not found:
            raise UserError(f"{self.root}: no folder train/, val/ or test/ in it")
        return found

    @property
    def version(self) -> str:
        """Hash of the files and of the crop options."""
        pairs = [pair for split in self._find_pairs().values() for pair in split]
        files = [file for pair in pairs for file in (pair.image, pair.depth, pair.mask) if file is not None]
        files += [truth for name in self.card.splits if (truth := self.root / name / TRUTH).is_file()]
        options = {name: value for name, value in asdict(self._config).items() if name != "root"}
        return hash_data([hash_files(self.root, files, self._cache), options])

    def split(self, name: str) -> Split:
        """Return a split; raises UserError if it does not exist."""
        if name not in self.card.splits:
            raise unknown("split of synface", name, self.card.splits)
        folder = self.root / name
        return FaceDepthSplit(find_pairs(folder), read_truth(folder), self._config.crop or None, self._config.image_size)


def _absent_keys(root: Path) -> tuple[str, ...]:
    """Return the keys missing from some split: those of the optional mask/ and truth.csv."""
    splits = [root / name for name in Synface.card.splits if (root / name).is_dir()]
    masked, known = (all((split / name).exists() for split in splits) for name in ("mask", TRUTH))
    return (*(() if masked else ("mask",)), *(() if known else TRUTH_KEYS))
