"""Images with depth maps as samples, shared by the procedural faces and by user folders in the same layout."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.dataset import Sample
from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.face_depth import Pair, read_depth
from deep3dmap.data.formats.images import read_image
from deep3dmap.data.formats.resizing import middle, resize


class FaceDepthSplit:
    """Pairs as samples with `image`, `relief_depth` and, if known, `mask`, `relief_view` and `relief_light`.

    crop: side of the centre crop in pixels, None for no crop. size: side after resizing, None for no resizing.
    """

    def __init__(
        self, pairs: list[Pair], truth: dict[str, NDArray[np.float32]] | None, crop: int | None = None, size: int | None = None
    ) -> None:
        self._pairs, self._truth, self._crop, self._size = pairs, truth, crop, size
        missing = [pair.name for pair in pairs if truth is not None and pair.name not in truth]
        if missing:
            raise UserError(f"truth.csv has no row for '{missing[0]}' ({len(missing)} of {len(pairs)} images have none)")

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """Return the name of an image, derived from its file name."""
        return self._pairs[index].name

    def __getitem__(self, index: int) -> Sample:
        """Read a pair. Raises UserError if the image is not square or the depth map has a different size."""
        pair = self._pairs[index]
        image, depth = read_image(pair.image), read_depth(pair.depth)
        if image.shape[1] != image.shape[2]:
            raise UserError(f"{pair.image}: {image.shape[2]} x {image.shape[1]} pixels; these methods need square images")
        if image.shape[1:] != depth.shape:
            raise UserError(f"{pair.depth}: {depth.shape} pixels, but its image has {image.shape[1:]}")
        sample: Sample = {"image": self._fitted(image), "relief_depth": self._fitted(depth[None])[0]}
        if pair.mask is not None:
            sample["mask"] = self._fitted(read_image(pair.mask)[:1])[0]
        if self._truth is not None:
            sample["relief_view"], sample["relief_light"] = np.split(self._truth[pair.name], [6])
        return sample

    def _fitted(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        side = planes.shape[1]
        cropped = middle(planes, min(self._crop or side, side))
        return resize(cropped, *(self._size or length for length in cropped.shape[1:]))
