"""The released CLEVR dataset, or user images in its layout."""

from dataclasses import asdict, dataclass
from pathlib import Path

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.options import option
from deep3dmap.data.content_hash import hash_data, hash_files
from deep3dmap.data.datasets.clevr_pictures import ClevrSplit
from deep3dmap.data.datasets.given_root import given_root
from deep3dmap.data.formats.clevr import scenes_file
from deep3dmap.data.small_pictures import SquareCrop

SPLITS = ("train", "val", "test")


@dataclass
class ClevrV1Config:
    """Location of CLEVR and how its wide images are cropped to squares."""

    root: str = option("", "the folder CLEVR_v1.0, which contains images/ and scenes/")
    crop: int = option(0, "side of the central square crop in pixels; 0 = the full height", low=0)
    image_size: int = option(64, "side to which the square is resized in pixels; 0 = no resizing", low=0, high=1024)
    keep: int = option(100000, "number of training images cached in memory", low=0)


class ClevrV1:
    """CLEVR v1.0: 70000 training, 15000 validation and 15000 test images of three to ten objects."""

    card = DatasetCard(
        title="CLEVR v1.0: rendered images of simple objects",
        provides=("image", "object_masks", "object_positions", "objects"),
        splits=SPLITS,
        frame="world: z up, the ground at z = 0",
        unit="CLEVR's unit, in which a large sphere has radius 0.7",
        licence="CC BY 4.0",
        source="https://cs.stanford.edu/people/jcjohns/clevr, Johnson et al., CVPR 2017",
        needs_root=True,
    )
    config_type = ClevrV1Config

    def __init__(self, config: ClevrV1Config, cache: Path) -> None:
        self._config, self._cache = config, cache

    @property
    def root(self) -> Path:
        """Dataset folder. Raises UserError if it is not set or does not contain images/train."""
        root = given_root(self._config.root, "the folder CLEVR_v1.0 of the release")
        if not (root / "images" / "train").is_dir():
            raise UserError(f"{root}: no folder images/train in it; dataset.root is the folder CLEVR_v1.0 of the release")
        return root

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether `path` has the layout of CLEVR."""
        return (path / "images" / "train").is_dir() and scenes_file(path, "train").is_file()

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check that there are training images and that the scenes can be read."""
        self.split("train")

    @property
    def version(self) -> str:
        """Hash of the files and of the reading options."""
        root = self.root
        files = [file for kind in ("images", "masks") for file in (root / kind).rglob("*.png")]
        files += [file for split in SPLITS if (file := scenes_file(root, split)).is_file()]
        options = {name: value for name, value in asdict(self._config).items() if name not in ("root", "keep")}
        return hash_data([hash_files(root, files, self._cache), options])

    def split(self, name: str) -> Split:
        """Return a split; raises UserError for a name other than train, val and test."""
        if name not in SPLITS:
            raise unknown("split of clevr_v1", name, SPLITS)
        crop = SquareCrop(self._config.crop, self._config.image_size)
        return ClevrSplit(self.root, name, crop, self._config.keep if name == "train" else 0)
