"""Layouts of posed photographs (NeRF's synthetic scenes, COLMAP, DTU): round trips and damaged files."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from idr_writer import write_idr_scan

from deep3dmap.core.errors import UserError
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.datasets.blender import Blender, BlenderConfig
from deep3dmap.data.datasets.colmap import Colmap, ColmapConfig
from deep3dmap.data.datasets.dtu import DTU, DtuConfig
from deep3dmap.data.formats import colmap, dtu, nerf_synthetic
from deep3dmap.data.formats.images import write_image
from deep3dmap.data.formats.pose_conventions import OPENCV, OPENGL, check_convention, focus
from deep3dmap.data.scenes.sphere_cameras import orbiting_cameras, scattered_cameras

SIZE = 16


def pictures(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    images = np.round(rng.random((count, 3, SIZE, SIZE)) * 255) / 255
    masks = np.round(rng.random((count, SIZE, SIZE)) * 255) / 255
    return list(images.astype(np.float32)), list(masks.astype(np.float32))


def cameras(count: int) -> list[Camera]:
    return scattered_cameras(count, SIZE, np.random.default_rng(0))


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    folder = tmp_path / "lego"
    folder.mkdir()
    for split, count in (("train", 6), ("val", 2), ("test", 3)):
        nerf_synthetic.write_split(folder, split, *pictures(count), cameras(count))
    return folder


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    folder = tmp_path / "capture"
    (folder / "images").mkdir(parents=True)
    names = [f"photo {index}.png" for index in range(10)]
    for name, image in zip(names, pictures(10)[0]):
        write_image(folder / "images" / name, image)
    rng = np.random.default_rng(0)
    colmap.write_model(folder, cameras(10), names, rng.normal(0, 1, (200, 3)), rng.random((200, 3)).astype(np.float32))
    return folder


def blender(root: Path, **options: object) -> Blender:
    return Blender(BlenderConfig(root=str(root), **options), root.parent / "cache")  # type: ignore[arg-type]


def edit(file: Path, change: Callable[[dict], object]) -> None:
    about = json.loads(file.read_text())
    change(about)
    file.write_text(json.dumps(about))


def test_a_synthetic_scene_comes_back_and_is_laid_over_white(scene: Path) -> None:
    sample = blender(scene).split("test")[0]
    images, masks = pictures(6)
    np.testing.assert_allclose(sample["masks"], masks, atol=1e-6)
    expected = np.stack(images) * np.stack(masks)[:, None] + 1 - np.stack(masks)[:, None]
    np.testing.assert_allclose(sample["images"], expected, atol=1e-6)
    np.testing.assert_allclose(sample["world_from_camera"], [one.world_from_camera for one in cameras(6)], atol=1e-12)
    np.testing.assert_allclose(sample["intrinsics"], [one.intrinsics for one in cameras(6)], rtol=1e-9)
    assert len(sample["test_images"]) == 3
    assert len(blender(scene).split("val")[0]["test_images"]) == 2
    assert sample["background"].tolist() == [1, 1, 1]


def test_blending_equals_the_published_one(golden: Path, tmp_path: Path) -> None:
    with np.load(golden / "nerf" / "metrics" / "io.npz") as arrays:
        rgba, white = arrays["rgba"], arrays["blend_white"]
    rgba, white = rgba[:20], white[:20]
    for split in nerf_synthetic.SPLITS:
        image, mask = rgba[..., :3].transpose(2, 0, 1), rgba[..., 3]
        nerf_synthetic.write_split(tmp_path, split, [image] * 3, [mask] * 3, scattered_cameras(3, 20, np.random.default_rng(0)))
    # 8 bits of colour and of alpha
    np.testing.assert_allclose(blender(tmp_path).split("test")[0]["images"][0].transpose(1, 2, 0), white, atol=4e-3)


def test_smaller_pictures_are_averages_after_blending(scene: Path) -> None:
    full, half = blender(scene).split("test")[0], blender(scene, factor=2).split("test")[0]
    np.testing.assert_allclose(half["images"], full["images"].reshape(6, 3, 8, 2, 8, 2).mean((3, 5)), atol=1e-6)
    np.testing.assert_allclose(half["intrinsics"][0, :2], full["intrinsics"][0, :2] / 2)
    with pytest.raises(UserError, match="cannot be divided"):
        blender(scene, factor=3).split("test")[0]


def test_names_and_versions(scene: Path) -> None:
    assert blender(scene.parent).split("test").name(0) == "lego"
    assert Blender.recognises(scene)
    assert not Blender.recognises(scene / "train")
    version = blender(scene).version
    assert version == blender(scene).version
    assert version != blender(scene, background="black").version
    write_image(scene / "train" / "r_0.png", np.zeros((4, SIZE, SIZE), np.float32))
    assert version != blender(scene).version


def test_masks_count_in_the_version(scene: Path) -> None:
    for index in range(6):
        write_image(scene / "train" / f"mask_{index}.png", np.ones((3, SIZE, SIZE), np.float32))

    def name_masks(about: dict) -> None:
        for index, frame in enumerate(about["frames"]):
            frame["mask_path"] = f"train/mask_{index}.png"

    edit(scene / "transforms_train.json", name_masks)
    version = blender(scene).version
    write_image(scene / "train" / "mask_3.png", np.zeros((3, SIZE, SIZE), np.float32))
    assert version != blender(scene).version
    (scene / "train" / "mask_3.png").unlink()
    with pytest.raises(UserError, match=r"frame 3: .*mask_3.png is missing"):
        _ = blender(scene).version


def test_a_scene_without_views_for_validation_can_be_tested_on(scene: Path) -> None:
    (scene / "transforms_val.json").unlink()
    dataset = blender(scene)
    dataset.prepare()
    assert dataset.version
    assert len(dataset.split("test")[0]["test_images"]) == 3
    with pytest.raises(UserError, match=r"transforms_val\.json: the file is missing"):
        dataset.split("val")[0]


def test_poses_in_another_convention_are_named_with_the_fix(scene: Path) -> None:
    file = scene / "transforms_train.json"

    def flip(about: dict) -> None:
        for frame in about["frames"]:
            frame["transform_matrix"] = (np.array(frame["transform_matrix"]) @ np.diag([1.0, -1, -1, 1])).tolist()

    edit(file, flip)
    with pytest.raises(
        UserError, match=r"transforms_train.json: .*axes are x right, y down, z forward, not x right, y up.*camera_axes"
    ):
        blender(scene).split("test")[0]
    edit(file, lambda about: about.update(camera_axes="x right, y down, z forward"))
    np.testing.assert_allclose(blender(scene).split("test")[0]["world_from_camera"][0], cameras(6)[0].world_from_camera)


def test_inverse_poses_are_named() -> None:
    poses = np.stack([one.camera_from_world for one in orbiting_cameras(8, SIZE)])
    flip = np.diag([1.0, -1, -1, 1])
    for axes, read in ((OPENCV, poses), (OPENGL, np.linalg.inv(np.linalg.inv(poses) @ flip) @ flip)):
        with pytest.raises(UserError, match=r"world-to-camera, .* write the inverse"):
            check_convention(read, "cameras", axes, "")


def test_cameras_that_look_at_no_common_place_pass() -> None:
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (20, 1, 1))
    poses[:, :3, :3] = np.linalg.qr(rng.standard_normal((20, 3, 3)))[0]
    poses[:, :3, 3] = rng.normal(0, 3, (20, 3))
    check_convention(poses, "room", OPENCV, "")


def test_focus_of_cameras_around_a_point() -> None:
    moved = [one.world_from_camera + np.pad([[1.0], [2], [3]], ((0, 1), (3, 0))) for one in cameras(9)]
    found = focus(np.stack(moved))
    np.testing.assert_allclose(found.point, [1, 2, 3], atol=1e-9)
    assert found.in_front == 1
    assert found.spread < 1e-9


def test_wrong_scenes_are_refused(scene: Path, tmp_path: Path) -> None:
    image, _ = pictures(1)

    def unreadable(place: Path) -> None:
        (place / "train" / "r_2.png").write_bytes(b"picture")
        edit(place / "transforms_train.json", lambda a: a.update(w=SIZE, h=SIZE))

    for words, spoil in (
        ("no alpha channel.*background=own", lambda s: write_image(s / "train" / "r_2.png", image[0])),
        ("different sizes", lambda s: write_image(s / "train" / "r_2.png", np.ones((4, 8, 8), np.float32))),
        ("r_2.png: not a readable image", unreadable),
        ("r_2 is missing", lambda s: (s / "train" / "r_2.png").unlink()),
        (
            "not a rotation",
            lambda s: edit(s / "transforms_train.json", lambda a: a["frames"][0].update(transform_matrix=[[0] * 4] * 4)),
        ),
        ("camera_angle_x", lambda s: edit(s / "transforms_train.json", lambda a: a.pop("camera_angle_x"))),
        (
            "1 views given; reconstructing a scene needs at least 2",
            lambda s: edit(s / "transforms_train.json", lambda a: a["frames"].__delitem__(slice(1, None))),
        ),
        ("transforms_val.json: the file is missing", lambda s: (s / "transforms_val.json").unlink()),
        ("not a readable JSON file", lambda s: (s / "transforms_test.json").write_text("{")),
    ):
        copy = tmp_path / "spoilt" / "lego"
        shutil.copytree(scene, copy)
        spoil(copy)
        dataset = blender(copy)
        with pytest.raises(UserError, match=words):
            [dataset.split(split)[0] for split in ("val", "test")]
        shutil.rmtree(copy)


def test_pictures_with_their_own_background_need_no_alpha(scene: Path) -> None:
    image, _ = pictures(1)
    write_image(scene / "train" / "r_2.png", image[0])
    sample = blender(scene, background="own").split("test")[0]
    assert "background" not in sample
    np.testing.assert_allclose(sample["images"][2], image[0], atol=1e-6)
    assert (sample["masks"][2] == 1).all()


@pytest.mark.parametrize("binary", [True, False])
def test_a_colmap_model_comes_back(capture: Path, binary: bool) -> None:
    rng = np.random.default_rng(1)
    points, colors = rng.normal(0, 1, (50, 3)), np.round(rng.random((50, 3)) * 255).astype(np.float32) / 255
    shutil.rmtree(capture / "sparse")
    names = [f"photo {index}.png" for index in range(10)]
    colmap.write_model(capture, cameras(10), names, points, colors, binary)
    model = colmap.read_model(capture)
    np.testing.assert_allclose(model.points, points)
    np.testing.assert_allclose(model.colors, colors, atol=1e-6)
    for frame, camera in zip(model.frames, cameras(10)):
        np.testing.assert_allclose(frame.camera.world_from_camera, camera.world_from_camera, atol=1e-9)
        np.testing.assert_allclose(frame.camera.intrinsics, camera.intrinsics)


def test_a_capture_as_a_sample(capture: Path) -> None:
    sample = Colmap(ColmapConfig(root=str(capture)), capture.parent / "cache").split("test")[0]
    assert sample["images"].shape == (8, 3, SIZE, SIZE)
    assert sample["test_images"].shape == (2, 3, SIZE, SIZE)
    np.testing.assert_allclose(sample["test_world_from_camera"][1], cameras(10)[8].world_from_camera, atol=1e-9)
    assert (sample["bounds"][0] < -1).all()
    assert (sample["bounds"][1] < 4).all()
    assert "masks" not in sample
    assert "masks" not in Colmap(ColmapConfig(root=str(capture)), capture.parent / "cache").card.provides
    everything = Colmap(ColmapConfig(root=str(capture), every=0), capture.parent / "cache").split("train")[0]
    assert len(everything["images"]) == 10
    assert "test_images" not in everything


@pytest.mark.parametrize("ending", [".png", ".png.png"])
def test_a_capture_with_masks(capture: Path, ending: str) -> None:
    (capture / "masks").mkdir()
    masks = pictures(10)[1]
    for index, mask in enumerate(masks):
        write_image(capture / "masks" / f"photo {index}{ending}", np.stack([mask] * 3))
    dataset = Colmap(ColmapConfig(root=str(capture)), capture.parent / "cache")
    assert "masks" in dataset.card.provides
    sample = dataset.split("test")[0]
    np.testing.assert_allclose(sample["masks"], masks[1:8] + masks[9:], atol=1e-6)
    np.testing.assert_allclose(sample["test_masks"], masks[::8], atol=1e-6)
    without = Colmap(ColmapConfig(root=str(capture), masks=""), capture.parent / "cache")
    assert "masks" not in without.card.provides
    assert "masks" not in without.split("test")[0]
    assert without.version != dataset.version
    (capture / "masks" / f"photo 3{ending}").unlink()
    with pytest.raises(UserError, match=r"masks/photo 3\.png: the mask of photo 3\.png is missing; set dataset\.masks="):
        dataset.split("test")[0]


def test_pictures_of_half_the_size_have_cameras_of_half_the_size(capture: Path) -> None:
    (capture / "images_2").mkdir()
    for index, image in enumerate(pictures(10)[0]):
        write_image(capture / "images_2" / f"photo {index}.png", image[:, ::2, ::2])
    full, half = (
        Colmap(ColmapConfig(root=str(capture), images=images), capture.parent / "cache").split("test")[0]
        for images in ("images", "images_2")
    )
    assert half["images"].shape == (8, 3, SIZE // 2, SIZE // 2)
    np.testing.assert_allclose(half["intrinsics"][:, :2], full["intrinsics"][:, :2] / 2)
    np.testing.assert_array_equal(half["world_from_camera"], full["world_from_camera"])
    for shape, right in (((3, 7, 9), True), ((3, 5, 8), False)):  # rounded either way, and cropped
        write_image(capture / "images_2" / "photo 0.png", np.zeros(shape, np.float32))
        if right:
            colmap.read_model(capture, "images_2")
        else:
            with pytest.raises(UserError, match=r"photo 0.png: 8 x 5 pixels, but the model was built from 16 x 16"):
                colmap.read_model(capture, "images_2")


def test_colmap_text_as_colmap_writes_it(tmp_path: Path) -> None:
    """Read text files with comments, keypoints after each image, and tracks after each point."""
    (tmp_path / "images").mkdir()
    write_image(tmp_path / "images" / "a.png", np.zeros((3, 30, 40), np.float32))
    (tmp_path / "cameras.txt").write_text("# Camera list\n1 SIMPLE_RADIAL 40 30 50 20 15 0\n")
    (tmp_path / "images.txt").write_text("# IMAGE_ID, ...\n3 1 0 0 0 0.5 0 2 1 a.png\n10.5 3.5 7 11.5 2 -1\n")
    (tmp_path / "points3D.txt").write_text("# POINT3D_ID, ...\n7 0.1 0.2 0.3 255 0 51 0.7 3 0\n")
    model = colmap.read_model(tmp_path)
    assert model.frames[0].camera.intrinsics.tolist() == [[50, 0, 20], [0, 50, 15], [0, 0, 1]]
    assert model.frames[0].camera.world_from_camera[:3, 3].tolist() == [-0.5, 0, -2]
    assert model.points.tolist() == [[0.1, 0.2, 0.3]]
    np.testing.assert_allclose(model.colors, [[1, 0, 0.2]], rtol=1e-6)


def overwritten(file: Path, place: int, *numbers: float) -> None:
    data = bytearray(file.read_bytes())
    data[place : place + 8 * len(numbers)] = struct.pack(f"<{len(numbers)}d", *numbers)
    file.write_bytes(data)


def test_wrong_captures_are_refused(capture: Path, tmp_path: Path) -> None:
    model = capture / "sparse" / "0"
    names = [f"photo {index}.png" for index in range(10)]
    rng = np.random.default_rng(0)

    def text(**files: str) -> Callable[[Path], None]:
        def write(place: Path) -> None:
            shutil.rmtree(place / "sparse" / "0")
            colmap.write_model(place, cameras(10), names, rng.random((5, 3)), np.zeros((5, 3), np.float32), binary=False)
            for name, content in files.items():
                (place / "sparse" / "0" / f"{name}.txt").write_text(content)

        return write

    for words, spoil in (
        ("the model has no points", lambda c: (c / "sparse/0/points3D.bin").write_bytes(bytes(8))),
        ("no image is registered", lambda c: (c / "sparse/0/images.bin").write_bytes(bytes(8))),
        ("ends in the middle", lambda c: (c / "sparse/0/cameras.bin").write_bytes((model / "cameras.bin").read_bytes()[:-3])),
        ("pose of image 'photo 0.png' is not finite", lambda c: overwritten(c / "sparse/0/images.bin", 8 + 4, np.nan)),
        ("pose of image 'photo 0.png' is not finite", lambda c: overwritten(c / "sparse/0/images.bin", 8 + 4, 0, 0, 0, 0)),
        ("camera 1 needs finite numbers", lambda c: overwritten(c / "sparse/0/cameras.bin", 8 + 24, np.inf)),
        ("NaN or infinity among the points", lambda c: overwritten(c / "sparse/0/points3D.bin", 8 + 8, np.nan)),
        ("camera 1 needs finite numbers, a size", text(cameras="1 PINHOLE 16 0 20 20 8 8\n")),
        ("image is missing", lambda c: (c / "images" / "photo 3.png").unlink()),
        ("has distortion .*image_undistorter", text(cameras="1 SIMPLE_RADIAL 16 16 20 8 8 0.1\n")),
        ("with a model of", text(cameras="1 FISHEYE 16 16 20 8 8 0.1\n")),
        ("has camera 2, which", text(cameras="1 PINHOLE 16 16 20 20 8 8\n")),
        ("expected 7 finite numbers", text(cameras="1 PINHOLE 16 16 20 nan 8 8\n")),
        ("line 1: expected ID QW", text(images="1 0 0\n\n")),
        ("line 1: expected numbers", text(points3D="1 a 0 0 0 0 0\n")),
    ):
        copy = tmp_path / "spoilt"
        shutil.copytree(capture, copy)
        spoil(copy)
        with pytest.raises(UserError, match=words):
            colmap.read_model(copy)
        shutil.rmtree(copy)
    with pytest.raises(UserError, match="no COLMAP model in it"):
        Colmap(ColmapConfig(root=str(tmp_path)), tmp_path / "cache").split("test") if not shutil.rmtree(capture) else None


def test_a_dtu_scan_comes_back(tmp_path: Path) -> None:
    images, masks = pictures(9)
    folder = tmp_path / "scan24"
    write_idr_scan(folder, images, masks, cameras(9), np.array([0.1, 0.2, 0.3]), 1.5)
    dataset = DTU(DtuConfig(root=str(tmp_path), background="white"), tmp_path / "cache")
    sample = dataset.split("test")[0]
    assert dataset.split("test").name(0) == "scan24"
    assert len(sample["images"]) == 8
    assert len(sample["test_images"]) == 1
    np.testing.assert_allclose(sample["test_world_from_camera"][0], cameras(9)[7].world_from_camera, atol=1e-9)
    np.testing.assert_allclose(sample["intrinsics"][0], cameras(9)[0].intrinsics, atol=1e-9)
    expected = images[0] * masks[0] + 1 - masks[0]
    np.testing.assert_allclose(sample["images"][0], expected, atol=1e-6)
    np.testing.assert_allclose(sample["bounds"], [[-1.4, -1.3, -1.2], [1.6, 1.7, 1.8]])
    assert set(sample) == set(dataset.card.provides)
    assert {"masks", "test_masks", "background"} <= set(sample)
    own = DTU(DtuConfig(root=str(folder), background="own"), tmp_path / "cache")
    assert set(own.split("test")[0]) == set(own.card.provides) == set(sample) - {"background"}
    shutil.rmtree(folder / "mask")
    bare = DTU(DtuConfig(root=str(folder)), tmp_path / "cache")
    assert set(bare.split("test")[0]) == set(bare.card.provides) == set(sample) - {"masks", "test_masks", "background"}


def test_mvsnets_layout_of_dtu(tmp_path: Path) -> None:
    (tmp_path / "Rectified" / "scan1_train").mkdir(parents=True)
    (tmp_path / "Cameras" / "train").mkdir(parents=True)
    for index, (camera, image) in enumerate(zip(cameras(8), pictures(8)[0])):
        write_image(tmp_path / "Rectified" / "scan1_train" / f"rect_{index + 1:03d}_3_r5000.png", image)
        intrinsics = camera.intrinsics.copy()
        intrinsics[:2, 2] -= 0.5
        intrinsics[:2] /= 4
        rows = ["extrinsic", *[" ".join(map(repr, row)) for row in camera.camera_from_world.tolist()], "", "intrinsic"]
        rows += [" ".join(map(repr, row)) for row in intrinsics.tolist()] + ["", "425.0 2.5"]
        (tmp_path / "Cameras" / "train" / f"{index:08d}_cam.txt").write_text("\n".join(rows))
    dataset = DTU(DtuConfig(root=str(tmp_path), scans=["scan1"]), tmp_path / "cache")
    sample = dataset.split("train")[0]
    assert set(sample) == set(dataset.card.provides)
    np.testing.assert_allclose(sample["world_from_camera"][3], cameras(8)[3].world_from_camera, atol=1e-9)
    np.testing.assert_allclose(sample["intrinsics"][3], cameras(8)[3].intrinsics, atol=1e-9)
    file = tmp_path / "Cameras" / "train" / "00000003_cam.txt"
    file.write_text(file.read_text().replace("0.0 0.0 1.0", "0.0 nan 1.0"))
    with pytest.raises(UserError, match=r"00000003_cam.txt: the intrinsics must be finite"):
        dataset.split("train")[0]
    assert len(sample["test_images"]) == 1
    assert ((sample["bounds"][0] < 0) & (sample["bounds"][1] > 0)).all()


def test_wrong_dtu_scans_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "scan24"
    write_idr_scan(folder, *pictures(3), cameras(3), np.zeros(3), 1.0)
    with np.load(folder / "cameras.npz") as stored:
        matrices = dict(stored)
    for words, change in (
        ("no world_mat_2", {"world_mat_2": None}),
        ("not the projection matrix", {"world_mat_1": np.zeros((4, 4))}),
        ("scale_mat_0 maps", {"scale_mat_0": -np.eye(4)}),
    ):
        np.savez(folder / "cameras.npz", **{name: value for name, value in (matrices | change).items() if value is not None})
        with pytest.raises(UserError, match=words):
            dtu.read_idr_scan(folder)
    whole = (folder / "cameras.npz").read_bytes()
    middle = len(whole) // 4
    for spoilt in (whole[: len(whole) // 2], whole[:middle] + bytes(64) + whole[middle + 64 :], b"PK"):
        (folder / "cameras.npz").write_bytes(spoilt)
        with pytest.raises(UserError, match=r"cameras.npz: not a readable file of cameras \(.*\); restore it$"):
            dtu.read_idr_scan(folder)
    (folder / "mask" / "002.png").unlink()
    with pytest.raises(UserError, match="2 masks for 3 images"):
        dtu.read_idr_scan(folder)
    with pytest.raises(UserError, match="neither IDR"):
        DTU(DtuConfig(root=str(folder / "image")), tmp_path).split("test")
    with pytest.raises(UserError, match="unknown scan of dtu 'scan25'"):
        DTU(DtuConfig(root=str(tmp_path), scans=["scan25"]), tmp_path).split("test")
