"""The generation suite: the floor and its order, streaming, and distinct names for the two feature networks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deep3dmap.benchmarks.generation.protocol import GenerationEvaluation, GenerationProtocol
from deep3dmap.core import Reconstruction, UserError
from deep3dmap.core.keys import known_keys


def photographs(seed: int, count: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.nn.functional.interpolate(torch.rand(count, 3, 5, 5), (16, 16), mode="bilinear")


class Photographs:
    """A split that counts how often it is read."""

    def __init__(self, count: int) -> None:
        self.pictures, self.read = photographs(0, count).numpy(), 0

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> dict[str, Any]:
        self.read += 1
        return {"image": self.pictures[index]}

    def name(self, index: int) -> str:
        return f"photograph_{index}"


def scores_of(samples: torch.Tensor, split: Photographs, **known: Any) -> dict[str, float]:
    scene = GenerationProtocol().scenes(split)
    assert len(scene) == 1
    return dict(GenerationEvaluation(**known).add_samples(scene.name(0), lambda places: samples[places], scene[0]))


def test_real_pictures_are_at_the_floor_and_noise_is_far_above() -> None:
    split = Photographs(200)
    real, noise = scores_of(photographs(1, 100), split), scores_of(torch.rand(100, 3, 16, 16), split)
    assert real["frechet_embedded"] == pytest.approx(real["floor_frechet_embedded"], rel=0.25)
    assert noise["frechet_embedded"] > 2 * noise["floor_frechet_embedded"]
    assert noise["kernel_embedded"] > real["kernel_embedded"] + 0.01
    assert real["precision_embedded"] > 0.5
    assert noise["precision_embedded"] < 0.1
    assert noise["recall_embedded"] < 0.1


def test_the_other_half_scores_exactly_the_floor() -> None:
    split = Photographs(40)
    found = scores_of(torch.from_numpy(split.pictures[1::2]), split)
    for name in ("frechet", "kernel", "precision", "recall"):
        assert found[f"{name}_embedded"] == pytest.approx(found[f"floor_{name}_embedded"], abs=1e-9)


def test_photographs_are_read_once_and_samples_drawn_in_batches() -> None:
    split, asked = Photographs(300), []

    def sample(places: range) -> torch.Tensor:
        asked.append(places)
        return photographs(places.start, len(places))

    scene = GenerationProtocol().scenes(split)
    GenerationEvaluation().add_samples("all", sample, scene[0])
    assert [place for places in asked for place in places] == list(range(150))
    assert max(map(len, asked)) == 64
    assert split.read == 300


def test_two_networks_have_two_names() -> None:
    class Inception:
        name = "inception"

        def __call__(self, pictures: torch.Tensor) -> np.ndarray:
            return pictures.mean((2, 3)).double().numpy()

    found = scores_of(photographs(1, 20), Photographs(40), inception=Inception())
    assert {name.rpartition("_")[2] for name in found} == {"embedded", "inception"}
    assert {card.name for card in GenerationProtocol.card.metrics} == set(found)


def test_what_it_refuses() -> None:
    with pytest.raises(UserError, match="at least 8 test photographs, got 6"):
        scores_of(photographs(1, 3), Photographs(6))
    with pytest.raises(UserError, match=r"samples are \(3, 32, 32\), the photographs \(3, 16, 16\)"):
        scores_of(torch.rand(4, 3, 32, 32), Photographs(8))


def test_the_picture(tmp_path: Path) -> None:
    scene = GenerationProtocol().scenes(Photographs(5))[0]
    sheet = Reconstruction("image", "pixel", samples=photographs(1, 3).numpy())
    (file,) = GenerationProtocol().pictures(sheet, scene, tmp_path)
    pixels = np.asarray(Image.open(file))
    assert pixels.shape[1] > 2 * 4 * 96
    assert pixels.std() > 20
    assert "images" in known_keys()


def test_the_published_network_counts_only_where_its_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEP3DMAP_ASSETS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    scene = GenerationProtocol().scenes(Photographs(16))[0]
    found = GenerationProtocol().begin().add_samples("all", lambda places: photographs(1, len(places)), scene)
    assert {name.rpartition("_")[2] for name in found} == {"embedded"}
    (tmp_path / "inception-2015-12-05.pt").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"inception-2015-12-05\.pt: not a TorchScript file"):
        GenerationProtocol().begin()


def test_samples_fill_the_left_sheet_in_rows_and_photographs_the_right(tmp_path: Path) -> None:
    """With five samples, each of one colour, the fifth is in the second row; missing ones stay white."""
    colors = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1.0, 1.0, 0], [0, 1.0, 1.0]])
    samples = colors[:, :, None, None].expand(5, 3, 16, 16).numpy()
    grey = {"images": [np.full((3, 16, 16), 0.5, np.float32)] * 20}
    (file,) = GenerationProtocol().pictures(Reconstruction("image", "pixel", samples=samples), grey, tmp_path)
    pixels = np.asarray(Image.open(file)) / 255
    side, left, top = 96, 8, 26
    tiles = pixels[top : top + 4 * side, left : left + 4 * side].reshape(4, side, 4, side, 3)
    expected = np.ones((16, 3))
    expected[:5] = colors
    assert np.allclose(tiles, expected.reshape(4, 1, 4, 1, 3))
    assert (pixels[top + side, left + 4 * side + 8 + side] * 255).round().tolist() == [128] * 3
    assert GenerationProtocol().pictures(Reconstruction("image", "pixel"), grey, tmp_path) == []
