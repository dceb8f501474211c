"""Reader shared by CLEVR and the generated look-alike: image, one mask per object, and object attributes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.dataset import Sample
from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import register_key
from deep3dmap.data.formats.clevr import read_scenes
from deep3dmap.data.formats.images import read_gray16, read_image
from deep3dmap.data.small_pictures import KeptImages, SquareCrop

ATTRIBUTES = ("shape", "size", "color", "material", "rotation")
register_key("object_masks", "(K, H, W) float32", "pixel coverage in [0, 1]", "visible part of each object in the image")
register_key("object_positions", "(K, 3) float32", "the dataset's unit", "centres of the objects in the world")
register_key("objects", "K dictionaries", "text", "shape, size, color, material and rotation (degrees) of each object")


class ClevrSplit:
    """The images of a split, sorted by name."""

    def __init__(self, root: Path, split: str, crop: SquareCrop, keep: int = 0) -> None:
        self._files = sorted((root / "images" / split).glob("*.png"))
        if not self._files:
            raise UserError(f"{root / 'images' / split}: no images in it; expected CLEVR_{split}_000000.png and so on")
        self._masks = root / "masks" / split
        self._scenes, self._crop = read_scenes(root, split), crop
        self._images = KeptImages(self._read, keep)

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """Return the name of the image without its suffix."""
        return self._files[index].stem

    def __getitem__(self, index: int) -> Sample:
        """Read image `index`, with its masks and objects if available."""
        file = self._files[index]
        sample: Sample = {"image": self._images[index]}
        objects = self._scenes.get(file.name)
        if objects is not None:
            sample["objects"] = [{key: item[key] for key in ATTRIBUTES} for item in objects]
            sample["object_positions"] = np.array([item["3d_coords"] for item in objects], np.float32).reshape(-1, 3)
            if self._masks.is_dir():
                sample["object_masks"] = self._object_masks(file, len(objects))
        return sample

    def _read(self, index: int) -> NDArray[np.float32]:
        return self._crop(read_image(self._files[index]), self._files[index])

    def _object_masks(self, file: Path, count: int) -> NDArray[np.float32]:
        index = read_gray16(self._masks / file.name)
        if index.max(initial=0) > count:
            raise UserError(
                f"{self._masks / file.name}: object {index.max()} in a scene of {count}; scenes and masks do not match"
            )
        planes = (index[None] == np.arange(1, count + 1)[:, None, None]).astype(np.float32)
        return self._crop(planes, self._masks / file.name)
