"""Small intact samples of posed photographs, CLEVR, CompCars and faces with depth, and functions that read them.

Each function returns the full content of the files, except for images, which have their own samples.
"""

from pathlib import Path
from typing import Any

import numpy as np
from idr_writer import write_idr_scan

from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.formats import clevr, colmap, compcars, dtu, face_depth, nerf_synthetic
from deep3dmap.data.formats.crop_list import read_crops
from deep3dmap.data.formats.images import write_image
from deep3dmap.data.formats.multiview import Frame, read_views
from deep3dmap.data.scenes.sphere_cameras import scattered_cameras

RNG = np.random.default_rng(1)
SIDE = 12
CAMERAS = scattered_cameras(3, SIDE, np.random.default_rng(0))
PICTURES = [RNG.random((3, SIDE, SIDE)).astype(np.float32) for _ in CAMERAS]
MASKS = [RNG.random((SIDE, SIDE)).astype(np.float32) for _ in CAMERAS]
NAMES = [f"{index}.png" for index in range(len(CAMERAS))]


def _colmap(folder: Path, binary: bool) -> None:
    (folder / "images").mkdir()
    for name, picture in zip(NAMES, PICTURES):
        write_image(folder / "images" / name, picture)
    colmap.write_model(folder, CAMERAS, NAMES, RNG.random((5, 3)), RNG.random((5, 3)).astype(np.float32), binary)


def write_colmap_binary(folder: Path) -> None:
    """A capture with a binary model."""
    _colmap(folder, True)


def write_colmap_text(folder: Path) -> None:
    """A capture with a text model."""
    _colmap(folder, False)


def read_colmap(folder: Path) -> Any:
    """Points, colours and cameras."""
    model = colmap.read_model(folder)
    return [model.points, model.colors, colmap.points_bounds(model.points), _cameras(model.frames)]


def write_idr(folder: Path) -> None:
    """A DTU scan in IDR's layout."""
    write_idr_scan(folder, PICTURES, MASKS, CAMERAS, np.array([0.1, 0.2, 0.3]), 1.5)


def read_idr(folder: Path) -> Any:
    """Cameras and the region of interest."""
    scan = dtu.read_idr_scan(folder)
    return [scan.bounds, _cameras(scan.frames)]


def write_mvsnet(folder: Path) -> None:
    """A DTU scan in MVSNet's layout."""
    (folder / "Rectified" / "scan1_train").mkdir(parents=True)
    (folder / "Cameras" / "train").mkdir(parents=True)
    for index, (camera, picture) in enumerate(zip(CAMERAS, PICTURES)):
        write_image(folder / "Rectified" / "scan1_train" / f"rect_{index + 1:03d}_3_r5000.png", picture)
        matrices = (("extrinsic", camera.camera_from_world), ("intrinsic", camera.intrinsics))
        lines = [line for name, rows in matrices for line in (name, *(" ".join(map(repr, row)) for row in rows.tolist()), "")]
        (folder / "Cameras" / "train" / f"{index:08d}_cam.txt").write_text("\n".join([*lines, "425.0 2.5"]))


def read_mvsnet(folder: Path) -> Any:
    """Cameras."""
    return _cameras(dtu.read_mvsnet_scan(folder, "scan1").frames)


def write_nerf(folder: Path) -> None:
    """A scene in the format of NeRF's synthetic dataset."""
    nerf_synthetic.write_split(folder, "train", PICTURES, MASKS, CAMERAS)


def read_nerf(folder: Path) -> Any:
    """Cameras and pictures."""
    frames = nerf_synthetic.read_split(folder, "train")
    nerf_synthetic.check_alpha(frames, "white")
    return [read_views(frames), _cameras(frames)]


def write_clevr(folder: Path) -> None:
    """The scenes of a CLEVR split."""
    thing = {"shape": "cube", "size": "large", "color": "red", "material": "metal", "rotation": 20.0}
    thing |= {"3d_coords": [0.1, 0.2, 0.7], "pixel_coords": [6.0, 7.0, 11.0]}
    scenes = [{"image_filename": clevr.image_name("val", index), "objects": [thing] * (index + 1)} for index in range(2)]
    clevr.write_scenes(folder, "val", scenes, {"version": "1.0"})


def read_clevr(folder: Path) -> Any:
    """Objects by image."""
    return clevr.read_scenes(folder, "val")


def write_cars(folder: Path) -> None:
    """CompCars' labels and lists, and a list of crops."""
    for name in ("1/2/2012/a.jpg", "1/2/2012/b.jpg"):
        for kind, suffix, content in (("image", ".jpg", "picture"), ("label", ".txt", "1\n1\n10 20 300 400\n")):
            file = (folder / kind / name).with_suffix(suffix)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
    listed = folder / "train_test_split" / "classification" / "train.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("1/2/2012/a.jpg\n1/2/2012/b.jpg\n")
    (folder / "crops.txt").write_text("image/1/2/2012/a.jpg 0 0 0 20 20\nimage/1/2/2012/b.jpg 2 -5 -5 30 30\n")


def read_cars(folder: Path) -> Any:
    """Names, labels and crops."""
    names = compcars.listed(folder, "train") or []
    return [[compcars.read_label(folder, name) for name in names], read_crops(folder / "crops.txt", folder)]


def write_face_depth(folder: Path) -> None:
    """Depth maps and ground truth of two faces."""
    for kind in ("image", "depth"):
        (folder / kind).mkdir()
    for name in ("a", "b"):
        write_image(folder / "image" / f"{name}.png", PICTURES[0])
        face_depth.write_depth(folder / "depth" / f"{name}.png", RNG.uniform(0.91, 1.09, (SIDE, SIDE)).astype(np.float32))
    face_depth.write_truth(folder, {name: RNG.random(10) for name in ("a", "b")})


def read_face_depth(folder: Path) -> Any:
    """Depth maps and ground truth."""
    return [[face_depth.read_depth(pair.depth) for pair in face_depth.find_pairs(folder)], face_depth.read_truth(folder)]


def _cameras(frames: list[Frame]) -> list[Any]:
    cameras: list[Camera] = [frame.camera for frame in frames]
    return [(camera.intrinsics, camera.world_from_camera, camera.width, camera.height) for camera in cameras]


POSED = {
    "COLMAP, binary": (write_colmap_binary, read_colmap),
    "COLMAP, text": (write_colmap_text, read_colmap),
    "DTU as IDR": (write_idr, read_idr),
    "DTU as MVSNet": (write_mvsnet, read_mvsnet),
    "NeRF's synthetic scenes": (write_nerf, read_nerf),
    "CLEVR": (write_clevr, read_clevr),
    "CompCars and crops": (write_cars, read_cars),
    "faces with depth": (write_face_depth, read_face_depth),
}
