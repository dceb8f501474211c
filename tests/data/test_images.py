"""Pictures that are written come back from Pillow pixel for pixel, whatever their shape."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deep3dmap.data.formats.images import read_gray16, read_image, write_gray16, write_image

SIZES = [(1, 1), (7, 1), (1, 5), (33, 20)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("channels", "mode"), [(3, "RGB"), (4, "RGBA")])
def test_colours_come_back(size: tuple[int, int], channels: int, mode: str, tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (channels, *size))
    write_image(tmp_path / "picture.png", (levels / 255).astype(np.float32))
    with Image.open(tmp_path / "picture.png") as image:
        image.verify()
    with Image.open(tmp_path / "picture.png") as image:
        assert image.mode == mode
        np.testing.assert_array_equal(np.asarray(image), levels.transpose(1, 2, 0))
    np.testing.assert_allclose(read_image(tmp_path / "picture.png"), levels[:3] / 255, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_sixteen_bits_come_back(size: tuple[int, int], tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 65536, size)
    write_gray16(tmp_path / "depth.png", values)
    np.testing.assert_array_equal(read_gray16(tmp_path / "depth.png"), values)


def test_what_is_even_takes_little_room(tmp_path: Path) -> None:
    write_image(tmp_path / "grey.png", np.full((3, 200, 300), 0.5, np.float32))
    assert (tmp_path / "grey.png").stat().st_size < 0.02 * 3 * 200 * 300


def test_a_photograph_is_written_as_jpeg_where_the_name_says_so(tmp_path: Path) -> None:
    write_image(tmp_path / "picture.jpg", np.full((3, 16, 16), 0.25, np.float32))
    with Image.open(tmp_path / "picture.jpg") as image:
        assert image.format == "JPEG"
    np.testing.assert_allclose(read_image(tmp_path / "picture.jpg"), 0.25, atol=0.01)
