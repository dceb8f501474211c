"""A small intact sample of every supported file format, with a function that reads it completely."""

import pickle
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from PIL import Image
from posed_sample_files import POSED
from tensorflow_writer import write_checkpoint

from deep3dmap.core.mesh import Mesh
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.core.ply import to_ply
from deep3dmap.core.reconstruction import Reconstruction, read_mesh
from deep3dmap.data.datasets.scannet import read_sample as read_scannet
from deep3dmap.data.datasets.sevenscenes import SevenScenesConfig
from deep3dmap.data.datasets.sevenscenes import read_sample as read_sevenscenes
from deep3dmap.data.formats import arkit, multipie, multiview, scannet, sevenscenes, tum_rgbd
from deep3dmap.data.formats.foreign_file import read_matlab
from deep3dmap.data.formats.images import read_gray16, read_image
from deep3dmap.data.formats.landmark_files import read_landmarks
from deep3dmap.data.formats.scannet_sens import read_sens
from deep3dmap.data.formats.scannet_tsdf import read_fragments
from deep3dmap.data.formats.tensorflow_checkpoint import read_variables
from deep3dmap.data.formats.threehundred_w_lp import read_boxes, read_face
from deep3dmap.geometry.body_model import BodyModel
from deep3dmap.geometry.morphable_model import MorphableModel
from deep3dmap.geometry.obj_file import read_obj
from deep3dmap.geometry.smplx_template import SMPLXTemplate
from deep3dmap.geometry.uv_atlas import UVAtlas
from deep3dmap.render.mesh_files import read_surface

RNG = np.random.default_rng(0)
TRIANGLE = Mesh(np.eye(3), np.array([[0, 1, 2]]), np.full((3, 3), 0.5))
PICTURE = RNG.random((3, 12, 16)).astype(np.float32)
DEPTH = RNG.uniform(1, 2, (12, 16)).astype(np.float32)
INTRINSICS = np.array([[15.0, 0, 8], [0, 15, 6], [0, 0, 1]])
OBJ = "mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl m\nf 1/1 2/2 3/3\nf -4/1 -2/2 -1/3\n"


@dataclass(frozen=True)
class Sample:
    """write: writes the sample into an empty folder. read: reads everything in it."""

    write: Callable[[Path], object]
    read: Callable[[Path], Any]


def _pose(number: int) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, 3] = (0.1 * number, 0, 0)
    return pose


def _reconstruction(folder: Path) -> None:
    camera = Camera(INTRINSICS, _pose(1), 16, 12)
    Reconstruction(
        "world", "metre", TRIANGLE, points=np.eye(3, dtype=np.float32), depth=DEPTH[None], cameras=[camera] * 2, notes={"a": 1}
    ).save(folder)


def _model(folder: Path) -> None:
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    mean = np.concatenate([[[0, 0, 10]], np.stack([np.cos(angle) * 9, np.sin(angle) * 9, angle * 0], 1)])
    faces = np.array([[0, 1 + k, 1 + (k + 1) % 12] for k in range(12)])
    corners = np.repeat(np.arange(68)[:, None] % 13, 3, 1)
    basis = RNG.normal(size=(13, 3, 2))
    MorphableModel(
        mean=mean, faces=faces, uv=RNG.random((13, 2)), faces_uv=faces, identity_basis=basis, identity_sigma=np.ones(2),
        expression_basis=basis, expression_sigma=np.ones(2), albedo_mean=np.full((13, 3), 0.5), albedo_basis=basis,
        albedo_sigma=np.ones(2), landmark_vertices=corners, landmark_weights=np.tile([1.0, 0, 0], (68, 1)),
        mirror=np.arange(13), regions={"face": np.ones(13, bool)},
    ).save(folder / "model.npz")  # fmt: skip


def _atlas(folder: Path) -> None:
    texels = np.stack([np.arange(68) // 9, np.arange(68) % 9], 1)
    UVAtlas(texels, np.ones((9, 9), bool), np.ones((9, 9)), RNG.normal(size=(3, 9, 9))).save(folder / "atlas.npz")


def _body(folder: Path) -> None:
    weights, regressor = RNG.random((7, 3)), RNG.random((3, 7))
    weights, regressor = weights / weights.sum(1, keepdims=True), regressor / regressor.sum(1, keepdims=True)
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    parents = np.array([-1, 0, 1])
    BodyModel(RNG.normal(size=(7, 3)), faces, RNG.normal(size=(7, 3, 2)), regressor, weights, parents).save(folder / "body.npz")


def _smplx(folder: Path) -> None:
    weights, regressor = RNG.random((5, 55)), RNG.random((55, 5))
    parents = np.stack([np.maximum(np.arange(55) - 1, 0), np.arange(55)])
    np.savez_compressed(
        folder / "SMPLX_NEUTRAL.npz", v_template=RNG.normal(size=(5, 3)), shapedirs=np.zeros((5, 3, 400)),
        f=np.array([[0, 1, 2]]), posedirs=np.zeros((5, 3, 486)), J_regressor=regressor, weights=weights, kintree_table=parents,
        part2num=np.array({"a": 1}, dtype=object),
    )  # fmt: skip


def _obj(folder: Path) -> None:
    (folder / "m.obj").write_text(OBJ)
    (folder / "m.mtl").write_text("newmtl m\nmap_Kd m.png\n")
    Image.fromarray((PICTURE.transpose(1, 2, 0) * 255).astype(np.uint8)).save(folder / "m.png")


def _pictures(folder: Path) -> None:
    pixels = (PICTURE.transpose(1, 2, 0) * 255).astype(np.uint8)
    for suffix in ("png", "jpg", "bmp", "webp", "tif"):
        Image.fromarray(pixels).save(folder / f"a.{suffix}")
    Image.fromarray((DEPTH * 1000).astype(np.uint16)).save(folder / "d.png")


def _sens(folder: Path) -> None:
    matrices = b"".join(np.eye(4, dtype="<f4").tobytes() for _ in range(4))
    parts = [struct.pack("<IQ", 4, 6), b"sensor", matrices, struct.pack("<iiIIIIfQ", 2, 1, 16, 12, 16, 12, 1000.0, 2)]
    for number in range(2):
        depth = zlib.compress((DEPTH * 1000).astype("<u2").tobytes())
        parts += [_pose(number).astype("<f4").tobytes(), struct.pack("<QQQQ", 1, 2, 4, len(depth)), b"jpeg", depth]
    (folder / "a.sens").write_bytes(b"".join(parts))


def _scan(folder: Path) -> None:
    for number in range(2):
        sevenscenes.write_frame(folder, number, PICTURE, DEPTH, _pose(number))
    sevenscenes.write_intrinsics(folder, INTRINSICS)
    sevenscenes.write_scan_mesh(folder, TRIANGLE)


def _scannet(folder: Path) -> None:
    for number in range(2):
        scannet.write_frame(folder, number, PICTURE, DEPTH, _pose(number))
    scannet.write_intrinsics(folder, INTRINSICS)
    scannet.write_scan_mesh(folder, TRIANGLE)


def _fragments(folder: Path) -> None:
    intrinsics = INTRINSICS - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    row = {"scene": "a", "fragment_id": 0, "image_ids": [0, 1], "vol_origin": np.zeros(3), "voxel_size": 0.04}
    row |= {"extrinsics": np.stack([_pose(0), _pose(1)]), "intrinsics": np.stack([intrinsics, intrinsics])}
    (folder / "fragments.pkl").write_bytes(pickle.dumps([row] * 2, protocol=4))


def _tum(folder: Path) -> None:
    for part in ("rgb", "depth"):
        (folder / part).mkdir()
        (folder / f"{part}.txt").write_text("# list\n" + "".join(f"{n}.0 {part}/{n}.png\n" for n in range(3)))
    for number in range(3):
        Image.fromarray((PICTURE.transpose(1, 2, 0) * 255).astype(np.uint8)).save(folder / f"rgb/{number}.png")
        Image.fromarray((DEPTH * 5000).astype(np.uint16)).save(folder / f"depth/{number}.png")
    (folder / "groundtruth.txt").write_text("".join(f"{n}.0 0 0 {n} 0 0 0 1\n" for n in range(3)))


def _arkit(folder: Path) -> None:
    (folder / "images").mkdir()
    for number in range(3):
        Image.fromarray((PICTURE.transpose(1, 2, 0) * 255).astype(np.uint8)).save(folder / f"images/{number:05d}.jpg")
    (folder / "Frames.txt").write_text("".join(f"{n}.0, {n}, 1600, 1600, 960, 720\n" for n in range(3)))
    (folder / "ARposes.txt").write_text("".join(f"{n}.01, {0.3 * n}, 0.2, -1, 1, 0, 0, 0\n" for n in range(3)))


def _views(folder: Path) -> None:
    cameras = [Camera(INTRINSICS, _pose(number), 16, 12) for number in range(2)]
    multiview.write_views(folder, [PICTURE] * 2, [DEPTH / 2] * 2, cameras)


def _fitted(folder: Path) -> None:
    fields = {"Pose_Para": np.full((1, 7), 0.1), "Shape_Para": np.ones((9, 1)), "Exp_Para": np.ones((5, 1))}
    scipy.io.savemat(folder / "a.mat", {**fields, "pt3d_68": RNG.random((3, 68)), "roi": np.array([[1, 2, 30, 40]], np.int16)})
    model = {"tri": np.eye(3), "cell": np.array([1, "a"], object)}
    scipy.io.savemat(folder / "model.mat", {"model": model}, do_compression=True)


def _landmarks(folder: Path) -> None:
    points = RNG.random((68, 2)) * 9
    rows = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
    (folder / "a.pts").write_text(f"version: 1\nn_points: 68\n{{\n{rows}\n}}\n")
    (folder / "b.txt").write_text(rows)
    np.save(folder / "c.npy", points)
    (folder / "boxes.csv").write_text("name,left,top,right,bottom\na,1,2,3,4\nb,2,3,5,8\n")


def _fits(folder: Path) -> None:
    fit = {"lm68": RNG.random((2, 68, 2)), "s": np.ones(2), "R": np.stack([np.eye(3)] * 2), "t": np.ones((2, 3))}
    np.savez(folder / "fits.npz", names=np.array(["a.png", "b.png"]), **fit)  # type: ignore[arg-type]
    plain = {f"{name}.png": {key: value[row] for key, value in fit.items()} for row, name in enumerate("ab")}
    (folder / "fits.pkl").write_bytes(pickle.dumps(plain, protocol=4))


def _read_fits(folder: Path) -> Any:
    files = (folder / "fits.npz", folder / "fits.pkl")
    return [multipie.convert_fit(multipie.read_fits(file), name, 12, file) for file in files for name in "ab"]


def _read_sens(folder: Path) -> Any:
    header, frames = read_sens(folder / "a.sens")
    return [header.matrices, [(frame.depth, np.nan_to_num(frame.world_from_camera, posinf=0, neginf=0)) for frame in frames]]


def _read_views(folder: Path) -> Any:
    return multiview.read_views(multiview.read_frames(folder))


def _all(sample: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if key.endswith(("images", "depths")) else value for key, value in sample.items()}


def _read_smplx(folder: Path) -> Any:
    return dict(SMPLXTemplate(folder).named_buffers())


def _checkpoint(folder: Path) -> None:
    write_checkpoint(folder / "net", {"a/weights": RNG.random((3, 4)).astype(np.float32), "b": np.arange(9)})


SAMPLES = {
    "saved reconstruction": Sample(_reconstruction, Reconstruction.load),
    "morphable model .npz": Sample(_model, lambda folder: MorphableModel.load(folder / "model.npz")),
    "atlas .npz": Sample(_atlas, lambda folder: UVAtlas.load(folder / "atlas.npz")),
    "body .npz": Sample(_body, lambda folder: BodyModel.load(folder / "body.npz")),
    "SMPL-X .npz": Sample(_smplx, _read_smplx),
    "OBJ with a texture": Sample(_obj, lambda folder: [read_obj(folder / "m.obj"), read_surface(folder / "m.obj")]),
    "PLY": Sample(
        lambda folder: (folder / "m.ply").write_bytes(to_ply(TRIANGLE)),
        lambda folder: [read_mesh(folder / "m.ply"), read_surface(folder / "m.ply")],
    ),
    "pictures": Sample(
        _pictures, lambda folder: [read_gray16(folder / "d.png"), *(read_image(file) for file in sorted(folder.glob("a.*")))]
    ),
    ".sens": Sample(_sens, _read_sens),
    "7-Scenes": Sample(_scan, lambda folder: _all(read_sevenscenes(folder, SevenScenesConfig()))),
    "ScanNet": Sample(_scannet, lambda folder: _all(read_scannet(folder))),
    "fragments.pkl": Sample(_fragments, lambda folder: read_fragments(folder / "fragments.pkl")),
    "TUM RGB-D": Sample(_tum, lambda folder: _all(vars(tum_rgbd.read_scan(folder, camera=[15, 15, 8, 6])))),
    "ARKit": Sample(_arkit, lambda folder: _all(arkit.read_capture(folder))),
    "views and transforms.json": Sample(_views, _read_views),
    "MATLAB": Sample(_fitted, lambda folder: [read_face(folder / "a.mat"), sorted(read_matlab(folder / "model.mat"))]),
    "landmarks and boxes": Sample(
        _landmarks,
        lambda folder: [read_boxes(folder / "boxes.csv"), *(read_landmarks(folder / n) for n in ("a.pts", "b.txt", "c.npy"))],
    ),
    "fits of Multi-PIE": Sample(_fits, _read_fits),
    "TensorFlow checkpoint": Sample(_checkpoint, lambda folder: read_variables(folder / "net")),
    **{name: Sample(write, read) for name, (write, read) in POSED.items()},
}
