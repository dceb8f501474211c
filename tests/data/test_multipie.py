"""Multi-PIE: names, lists, fits and samples, on a synthetic folder in its layout."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import describe_key
from deep3dmap.data.datasets.multipie import MultiPIE, MultiPIEConfig
from deep3dmap.data.formats import multipie
from deep3dmap.data.formats.images import write_image
from deep3dmap.data.formats.multipie import Photograph

TRIPLE = ("05_1", "19_0", "08_0")


def _fit(rng: np.random.Generator) -> dict[str, Any]:
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return {"lm68": rng.uniform(0, 8, (68, 2)), "s": np.float64(2.5), "R": turn, "t": np.array([3.0, 4.0, 5.0])}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for subject, light in ((1, 7), (1, 10), (201, 7)):
        for camera in TRIPLE:
            place = tmp_path / "session02" / "multiview" / f"{subject:03d}" / "03" / camera
            place.mkdir(parents=True, exist_ok=True)
            name = Photograph(subject, 2, 3, camera, light).name
            write_image(place / f"{name}.png", rng.random((3, 8, 8), np.float32))
    return tmp_path


def _names(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.rglob("*.png"))


def test_names() -> None:
    photograph = multipie.parse_name(Path("x/001_02_03_051_06.png"))
    assert photograph == Photograph(1, 2, 3, "05_1", 6) == multipie.parse_name(Path("001_02_03_05_1_06.png"))
    assert photograph.expression == "squint"
    assert photograph.name == "001_02_03_051_06"
    for name, message in (
        ("001_02_03_051", "not a name"),
        ("001_02_03_061_06", "camera"),
        ("001_01_03_051_06", "no recording 3"),
        ("001_05_01_051_06", "session 5"),
        ("001_02_03_051_20", "lights"),
        ("347_02_03_051_00", "subjects"),
    ):
        with pytest.raises(UserError, match=message):
            multipie.parse_name(Path(f"{name}.png"))


def test_samples_without_anything_beside(folder: Path, tmp_path: Path) -> None:
    dataset = MultiPIE(MultiPIEConfig(root=str(folder)), tmp_path / "cache")
    dataset.prepare()
    train, test = dataset.split("train"), dataset.split("test")
    assert [train.name(index) for index in range(2)] == ["001_02_03_07", "001_02_03_10"]
    assert (len(train), len(test)) == (2, 1)
    assert train[0]["images"].shape == (3, 3, 8, 8)
    assert set(train[0]) == set(dataset.card.provides) == {"images"}
    assert MultiPIE.recognises(folder / "session02" / "multiview" / "001" / "03" / "05_1")
    for key in MultiPIE.card.provides:
        describe_key(key)
    first = dataset.version
    assert MultiPIE(MultiPIEConfig(root=str(folder), lights=[7]), tmp_path / "cache").version != first


def test_takes_that_lack_a_view_are_left_out(folder: Path, tmp_path: Path) -> None:
    next(folder.rglob("001_02_03_190_07.png")).unlink()
    dataset = MultiPIE(MultiPIEConfig(root=str(folder)), tmp_path)
    assert len(dataset.split("train")) == 1
    narrow = MultiPIE(MultiPIEConfig(root=str(folder), cameras=["05_1"], lights=[7]), tmp_path)
    assert len(narrow.split("train")) == 1
    with pytest.raises(UserError, match="no take of the test split"):
        MultiPIE(MultiPIEConfig(root=str(folder), lights=[10]), tmp_path).split("test")


@pytest.mark.parametrize("kind", ["csv", "json", "pkl"])
def test_lists_of_another_machine(folder: Path, tmp_path: Path, kind: str) -> None:
    paths = [f"/old/disk/{file.relative_to(folder)}" for file in sorted(folder.rglob("001*_07.png"))]
    nested = {"001": {7: {"squint": {"051": paths[:1], "190": paths[1:2], "080": paths[2:]}}}}
    file = tmp_path / f"list.{kind}"
    if kind == "csv":
        file.write_text("id,path\n" + "".join(f"001,{path}\n" for path in paths))
    elif kind == "json":
        file.write_text(json.dumps(nested))
    else:
        file.write_bytes(pickle.dumps(nested))
    dataset = MultiPIE(MultiPIEConfig(root=str(folder), names=str(file)), tmp_path)
    assert len(dataset.split("train")) == 1
    with pytest.raises(UserError, match="no take of the test split"):
        dataset.split("test")


def test_a_pickle_runs_nothing(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "list.pkl"
    file.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(UserError, match="not a readable pickle of plain arrays"):
        MultiPIE(MultiPIEConfig(root=str(folder), names=str(file)), tmp_path).split("train")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["npz", "json", "pkl"])
def test_fits(folder: Path, tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    fits: dict[str, Any] = {f"/old/{name}.png": _fit(rng) for name in _names(folder)}
    file = tmp_path / f"fits.{kind}"
    if kind == "npz":
        arrays = {field: np.stack([fit[field] for fit in fits.values()]) for field in ("lm68", "s", "R", "t")}
        np.savez(file, names=np.array(list(fits)), **arrays)
    elif kind == "json":
        plain = {path: {field: np.asarray(value).tolist() for field, value in fit.items()} for path, fit in fits.items()}
        file.write_text(json.dumps(plain | {"/old/001_02_03_051_10.png": -1}))
    else:
        file.write_bytes(pickle.dumps(fits | {"/old/001_02_03_051_10.png": -1}))
    dataset = MultiPIE(MultiPIEConfig(root=str(folder), fits=str(file), image_size=16), tmp_path)
    train = dataset.split("train")
    assert len(train) == (2 if kind == "npz" else 1)
    sample = train[0]
    assert sample["images"].shape == (3, 3, 16, 16)
    fit = fits["/old/001_02_03_190_07.png"]
    np.testing.assert_allclose(sample["landmarks_68_views"][1], (fit["lm68"] + 0.5) * 2, rtol=1e-5)
    point = np.array([0.4, -0.3, 0.9])
    flat = fit["s"] * fit["R"] @ point + fit["t"]
    expected = 2 * np.array([flat[0] + 0.5, 8 - flat[1] + 0.5])
    np.testing.assert_allclose(sample["affine_cameras"][1] @ [*point, 1], expected)


def test_meshes_and_textures(folder: Path, tmp_path: Path) -> None:
    meshes, textures = tmp_path / "meshes", tmp_path / "textures"
    for place in (meshes, textures):
        place.mkdir()
    for take in ("001_02_03", "201_02_03"):
        (meshes / f"{take}.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
        write_image(textures / f"{take}.png", np.full((3, 4, 4), 0.5, np.float32))
    config = MultiPIEConfig(root=str(folder / "session02"), meshes=str(meshes), textures=str(textures))
    sample = MultiPIE(config, tmp_path).split("test")[0]
    assert sample["mesh"].faces.tolist() == [[0, 1, 2]]
    assert sample["uv_texture"].shape == (3, 4, 4)


def test_names_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="write them in quotes"):
        MultiPIE(MultiPIEConfig(root=str(folder), cameras=[41]), tmp_path)
    with pytest.raises(UserError, match="did you mean 'smile'"):
        MultiPIE(MultiPIEConfig(root=str(folder), expressions=["smiles"]), tmp_path)
    with pytest.raises(UserError, match=r"dataset\.root is empty"):
        MultiPIE(MultiPIEConfig(), tmp_path).prepare()
    with pytest.raises(UserError, match=r"it is set as dataset\.fits"):
        MultiPIE(MultiPIEConfig(root=str(folder), fits="nowhere.npz"), tmp_path).prepare()
    bad = tmp_path / "fits.json"
    bad.write_text(json.dumps({name: {"lm68": [1, 2], "s": 1, "R": [1], "t": [0, 0]} for name in _names(folder)}))
    with pytest.raises(UserError, match=r"fit of 001_02_03_051_07: 'lm68' must be \(68, 2\)"):
        MultiPIE(MultiPIEConfig(root=str(folder), fits=str(bad)), tmp_path).split("train")[0]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="no photograph with a Multi-PIE name"):
        MultiPIE(MultiPIEConfig(root=str(empty)), tmp_path).split("train")
