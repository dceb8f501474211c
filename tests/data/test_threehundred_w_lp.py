"""The 300W-LP layout: real samples, round trips, damaged files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from deep3dmap.core.errors import UserError
from deep3dmap.data.datasets.aflw2000 import AFLW2000, AFLW2000Config
from deep3dmap.data.datasets.threehundred_w_lp import ThreeHundredWLP, ThreeHundredWLPConfig
from deep3dmap.data.formats.threehundred_w_lp import (
    FittedFace,
    read_boxes,
    read_face,
    write_boxes,
    write_face,
    write_photograph,
)
from deep3dmap.data.scenes.head_model import head_model
from deep3dmap.geometry.face_crop import crop_from_detector_box, positions_to_crop
from deep3dmap.geometry.face_pose import HeadPose


@pytest.fixture(scope="module")
def faces(shared_data: Path) -> Path:
    return shared_data / "data" / "faces"


def face(seed: int = 0, identities: int = 40) -> FittedFace:
    rng = np.random.default_rng(seed)
    model = head_model(33)
    shape = rng.normal(size=identities)
    pose = HeadPose(np.array([0.1, 0.4, -0.2]), np.array([60.0, 70.0, 0.0]), 0.4)
    vertices = pose.image(model.shape_of_parameters(shape[:40]), 128)
    landmarks = model.landmarks(vertices).astype(np.float32)
    return FittedFace(pose, shape, rng.uniform(0, 1, 20), landmarks, True, rng.normal(size=20), np.arange(4, dtype=np.int16))


def photograph(folder: Path, name: str, one: FittedFace | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_photograph(folder / f"{name}.jpg", np.random.default_rng(0).uniform(0, 1, (3, 128, 128)).astype(np.float32))
    write_face(folder / f"{name}.mat", one or face())
    return folder / f"{name}.mat"


def test_all_real_samples_are_read(faces: Path) -> None:
    fits = [read_face(file) for file in sorted(faces.rglob("*.mat"))]
    assert len(fits) == 14
    assert sum(fit.has_depth for fit in fits) == 13
    assert {len(fit.shape) for fit in fits} == {199}
    assert {len(fit.expression) for fit in fits} == {29}


def test_real_landmarks_are_those_of_the_published_array(faces: Path) -> None:
    table = np.load(faces / "aflw2000_arrays" / "AFLW2000-3D.pts68.npy")
    ours = read_face(faces / "AFLW2000" / "image00050.mat").landmarks
    # Files are 1-based, and the package has pixel centres at +0.5.
    np.testing.assert_allclose(ours.T - [[-0.5], [-0.5], [0]], table[28], atol=1e-3)


def test_real_poses_have_the_signs_that_are_documented(faces: Path) -> None:
    profile = read_face(faces / "AFLW2000" / "image00475.mat")
    assert np.degrees(profile.pose.angles[1]) == pytest.approx(65.6, abs=0.1)
    eyes = profile.landmarks[36:48, 0].mean()
    assert profile.landmarks[30, 0] < eyes
    upward = read_face(faces / "AFLW2000" / "image00514.mat")
    level = read_face(faces / "AFLW2000" / "image00050.mat")
    assert upward.pose.angles[0] > 0.4

    def nose_share(landmarks: np.ndarray) -> float:
        eyes, nose, chin = landmarks[36:48, 1].mean(), landmarks[30, 1], landmarks[8, 1]
        return float((nose - eyes) / (chin - eyes))

    assert nose_share(upward.landmarks) < nose_share(level.landmarks)


def test_writing_and_reading_returns_everything(tmp_path: Path) -> None:
    one = face()
    again = read_face(photograph(tmp_path, "a", one))
    for name in ("shape", "expression", "texture", "roi"):
        np.testing.assert_array_equal(getattr(again, name), getattr(one, name))
    np.testing.assert_allclose(again.landmarks, one.landmarks, atol=1e-4)
    np.testing.assert_allclose(again.pose.parameters(), one.pose.parameters())


def test_fields_have_the_names_and_types_of_the_real_ones(tmp_path: Path, faces: Path) -> None:
    ours = scipy.io.loadmat(photograph(tmp_path, "a"))
    real = scipy.io.loadmat(faces / "AFLW2000" / "image00050.mat")
    for name in ("Pose_Para", "Shape_Para", "Exp_Para", "Tex_Para", "pt3d_68", "roi"):
        assert ours[name].dtype == real[name].dtype, name
        assert ours[name].ndim == real[name].ndim, name
    real = scipy.io.loadmat(next((faces / "300W_LP").glob("*.mat")))
    assert (ours["pt2d"].shape, ours["pt2d"].dtype) == (real["pt2d"].shape, real["pt2d"].dtype)
    # Pixels are 1-based in files: a landmark at the centre of the first pixel, 0.5, is written as 1.
    one = replace(face(), landmarks=np.full((68, 3), 0.5, np.float32))
    assert scipy.io.loadmat(photograph(tmp_path, "b", one))["pt2d"][0, 0] == 1


def test_the_same_face_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = photograph(tmp_path / "a", "x"), photograph(tmp_path / "b", "x")
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".jpg").read_bytes() == second.with_suffix(".jpg").read_bytes()


@pytest.mark.parametrize("field", ["Pose_Para", "Shape_Para", "Exp_Para"])
def test_a_missing_field_is_named(tmp_path: Path, field: str) -> None:
    file = photograph(tmp_path, "bad")
    kept = {name: value for name, value in scipy.io.loadmat(file).items() if name != field and name[0] != "_"}
    scipy.io.savemat(file, kept)
    with pytest.raises(UserError, match=rf"bad\.mat.*'{field}'"):
        read_face(file)


def test_missing_landmarks_and_wrong_sizes_are_named(tmp_path: Path) -> None:
    file = photograph(tmp_path, "bad")
    fields = {name: value for name, value in scipy.io.loadmat(file).items() if name[0] != "_"}
    scipy.io.savemat(file, {**{k: v for k, v in fields.items() if k != "pt3d_68"}, "pt2d": np.zeros((2, 21))})
    with pytest.raises(UserError, match=r"bad\.mat.*pt3d_68"):
        read_face(file)
    scipy.io.savemat(file, {**fields, "Pose_Para": np.zeros((1, 6))})
    with pytest.raises(UserError, match=r"bad\.mat.*'Pose_Para' must hold 7"):
        read_face(file)
    scipy.io.savemat(file, {**fields, "Shape_Para": np.full((40, 1), np.nan)})
    with pytest.raises(UserError, match=r"bad\.mat.*'Shape_Para' contains NaN"):
        read_face(file)


def test_truncated_files_are_named(tmp_path: Path) -> None:
    file = photograph(tmp_path, "cut")
    image = file.with_suffix(".jpg")
    dataset = AFLW2000(AFLW2000Config(root=str(tmp_path)), tmp_path / "cache")
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.jpg"):
        dataset.split("test")[0]
    image.write_bytes(whole)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UserError, match=r"cut\.mat"):
        dataset.split("test")[0]


def test_aflw2000_real_samples(faces: Path, tmp_path: Path) -> None:
    dataset = AFLW2000(AFLW2000Config(root=str(faces / "AFLW2000")), tmp_path)
    dataset.prepare()
    split = dataset.split("test")
    assert (len(split), split.name(0)) == (13, "image00050")
    for sample in split:
        assert set(sample) == {"image", "box", "landmarks_68", "head_pose"}
        assert sample["image"].shape == (3, 450, 450)
        crop = positions_to_crop(sample["landmarks_68"].T, crop_from_detector_box(sample["box"], 256))
        inside = ((crop[:2] > 0) & (crop[:2] < 256)).all(0).mean()
        assert inside > 0.95
    assert len({tuple(sample["box"]) for sample in split}) == 1
    assert dataset.version == AFLW2000(AFLW2000Config(root=str(faces / "AFLW2000")), tmp_path).version


def test_aflw2000_boxes_from_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        photograph(tmp_path / "faces", name)
    given = {"a": np.array([1, 2, 30, 40.0]), "b": np.array([5, 6, 70, 80.0])}
    write_boxes(tmp_path / "boxes.csv", given)
    config = AFLW2000Config(root=str(tmp_path / "faces"), boxes=str(tmp_path / "boxes.csv"))
    np.testing.assert_allclose(AFLW2000(config, tmp_path).split("test")[1]["box"], given["b"])
    write_boxes(tmp_path / "boxes.csv", {"a": given["a"]})
    with pytest.raises(UserError, match=r"boxes\.csv.*'b'"):
        AFLW2000(config, tmp_path).prepare()
    (tmp_path / "boxes.csv").write_text("name,left,top,right,bottom\na,1,2,3\n")
    with pytest.raises(UserError, match=r"boxes\.csv.*row 1"):
        read_boxes(tmp_path / "boxes.csv")
    np.save(tmp_path / "roi.npy", np.tile([10, 20, 110, 120.0], (2000, 1)))
    with pytest.raises(UserError, match="2000 photographs, but the folder has 2"):
        AFLW2000(AFLW2000Config(root=config.root, boxes=str(tmp_path / "roi.npy")), tmp_path).prepare()


def names_of(config: AFLW2000Config, folder: Path) -> list[str]:
    split = AFLW2000(config, folder).split("test")
    return [split.name(index) for index in range(len(split))]


def test_aflw2000_subsets(tmp_path: Path) -> None:
    for index, yaw in enumerate((0.1, -0.2, 0.3, 0.7, -0.9, 1.3, -1.2)):
        turned = replace(face(), pose=HeadPose(np.array([0, yaw, 0.0]), np.zeros(3), 1.0))
        photograph(tmp_path / "faces", f"p{index}", turned)
    root = str(tmp_path / "faces")
    drawn = names_of(AFLW2000Config(root=root, balanced=2, seed=1), tmp_path)
    assert len(drawn) == 6
    assert set(drawn[2:]) == {"p3", "p4", "p5", "p6"}
    assert drawn == names_of(AFLW2000Config(root=root, balanced=2, seed=1), tmp_path)
    with pytest.raises(UserError, match="only 2 photographs have a yaw of 30 to 60"):
        names_of(AFLW2000Config(root=root, balanced=3), tmp_path)
    (tmp_path / "list.txt").write_text("AFLW2000/p5.jpg\np1\n")
    assert names_of(AFLW2000Config(root=root, names=str(tmp_path / "list.txt")), tmp_path) == ["p5", "p1"]
    (tmp_path / "list.txt").write_text("p9")
    with pytest.raises(UserError, match=r"list\.txt: 'p9' is not in the folder"):
        names_of(AFLW2000Config(root=root, names=str(tmp_path / "list.txt")), tmp_path)
    np.save(tmp_path / "points.npy", np.zeros((2000, 2, 68)))
    with pytest.raises(UserError, match=r"points\.npy: has a row for each"):
        names_of(AFLW2000Config(root=root, landmarks=str(tmp_path / "points.npy")), tmp_path)


def test_aflw2000_reannotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deep3dmap.data.datasets.aflw2000.ALL_IMAGES", 2)
    for name in ("a", "b"):
        photograph(tmp_path / "faces", name)
    np.save(tmp_path / "points.npy", np.arange(2 * 2 * 68).reshape(2, 2, 68))
    config = AFLW2000Config(root=str(tmp_path / "faces"), landmarks=str(tmp_path / "points.npy"))
    landmarks = AFLW2000(config, tmp_path).split("test")[1]["landmarks_68"]
    np.testing.assert_allclose(landmarks[:, 0], np.arange(136, 204) + 0.5)
    np.testing.assert_allclose(landmarks[:, 2], face().landmarks[:, 2], atol=1e-4)


def test_aflw2000_with_a_model_has_dense_truth(tmp_path: Path) -> None:
    photograph(tmp_path / "faces", "a")
    head_model(33).save(tmp_path / "model.npz")
    config = AFLW2000Config(root=str(tmp_path / "faces"), model=str(tmp_path / "model.npz"))
    sample = AFLW2000(config, tmp_path).split("test")[0]
    assert len(sample["dense_points"]) == len(sample["dense_uv"]) > 100


def test_roots_that_are_wrong_are_named(tmp_path: Path) -> None:
    for dataset in (AFLW2000(AFLW2000Config(), tmp_path), ThreeHundredWLP(ThreeHundredWLPConfig(), tmp_path)):
        with pytest.raises(UserError, match=r"dataset\.root is empty"):
            dataset.prepare()
    with pytest.raises(UserError, match="absent"):
        AFLW2000(AFLW2000Config(root=str(tmp_path / "absent")), tmp_path).prepare()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty"):
        ThreeHundredWLP(ThreeHundredWLPConfig(root=str(tmp_path / "empty")), tmp_path).prepare()


def test_300w_lp_subfolders_split_and_position_maps(tmp_path: Path) -> None:
    for index in range(55):
        photograph(tmp_path / "faces" / ("AFW" if index % 2 else "HELEN"), f"p{index:02d}")
    (tmp_path / "faces" / "landmarks").mkdir()
    head_model(33).save(tmp_path / "model.npz")
    config = ThreeHundredWLPConfig(root=str(tmp_path / "faces"), model=str(tmp_path / "model.npz"), crop_size=64, atlas_size=32)
    dataset = ThreeHundredWLP(config, tmp_path / "cache")
    dataset.prepare()
    train, val = dataset.split("train"), dataset.split("val")
    assert (len(train), len(val)) == (54, 1)
    names = {train.name(i) for i in range(len(train))} | {val.name(0)}
    assert len(names) == 55
    assert "AFW_p01" in names
    assert {key: train[0][key].shape for key in train[0]} == {
        "crop": (3, 64, 64),
        "crop_from_image": (3, 3),
        "position_map": (3, 32, 32),
    }
    evaluated = {"image", "box", "landmarks_68", "head_pose", "dense_points", "dense_uv", "identity", "expression"}
    assert set(val[0]) == evaluated
    np.testing.assert_allclose(val[0]["identity"], face().shape / head_model(33).identity_sigma, rtol=1e-5)
    one = ThreeHundredWLPConfig(root=config.root, subfolders=["AFW"])
    assert len(ThreeHundredWLP(one, tmp_path).split("train")) == 27


def test_a_model_that_does_not_fit_the_fits_is_named(tmp_path: Path) -> None:
    photograph(tmp_path / "faces", "a", face(identities=41))
    head_model(33).save(tmp_path / "model.npz")
    config = ThreeHundredWLPConfig(root=str(tmp_path / "faces"), model=str(tmp_path / "model.npz"))
    with pytest.raises(UserError, match=r"a\.mat: 41 shape coefficients.*dataset\.model"):
        ThreeHundredWLP(config, tmp_path).split("train")[0]


def test_real_300w_lp_sample(faces: Path, tmp_path: Path) -> None:
    dataset = ThreeHundredWLP(ThreeHundredWLPConfig(root=str(faces / "300W_LP"), train_with_image=True), tmp_path)
    sample = dataset.split("train")[0]
    assert sample["crop"].shape == (3, 256, 256)
    assert "position_map" not in sample
    np.testing.assert_array_equal(sample["landmarks_68"][:, 2], 0)
