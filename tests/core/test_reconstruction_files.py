"""Saved reconstructions: all parts are restored, and each kind of damage is reported in one line that names the file."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deep3dmap.core import Camera, Mesh, Reconstruction, UserError

POSE = np.array([[0.0, -1, 0, 2], [1, 0, 0, -3], [0, 0, 1, 0.5], [0, 0, 0, 1]])
PARTS: dict[str, Any] = {
    "mesh": Mesh(np.eye(3), np.array([[0, 1, 2]])),
    "cameras": [Camera(np.diag([50.0, 50, 1]), POSE, 64, 48)],
    "points": np.ones((5, 3), np.float32),
    "depth": np.ones((2, 4, 6), np.float32),
    "normals": np.zeros((2, 3, 4, 6), np.float32),
    "position_map": np.zeros((3, 8, 8), np.float32),
    "landmarks": np.zeros((68, 3), np.float32),
    "images": np.zeros((2, 3, 4, 6), np.float32),
    "radiance": np.zeros((2, 3, 4, 28), np.float32),
    "samples": np.zeros((7, 3, 4, 4), np.float32),
    "texture": np.zeros((3, 8, 8), np.float32),
    "vertex_uv": np.zeros((3, 2), np.float32),
    "visible": np.array([True, False, True]),
    "frontal": np.zeros((3, 8, 8), np.float32),
    "pointmaps": np.zeros((2, 4, 6, 3), np.float32),
    "confidence": np.zeros((2, 4, 6), np.float32),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    everything = Reconstruction("world", "metre", gauge="scale", files={"splats.bin": b"\x00\x01"}, notes={"a": 1}, **PARTS)
    everything.save(tmp_path / "r")
    return tmp_path / "r"


def test_every_part_comes_back(folder: Path) -> None:
    again = Reconstruction.load(folder)
    assert set(again.produced()) == PARTS.keys()
    assert (again.gauge, again.files, again.notes) == ("scale", {"splats.bin": b"\x00\x01"}, {"a": 1})
    for name, part in PARTS.items():
        if isinstance(part, np.ndarray):
            found = getattr(again, name)
            assert found.dtype == part.dtype
            np.testing.assert_array_equal(found, part)
    assert again.cameras is not None
    np.testing.assert_array_equal(again.cameras[0].world_from_camera, POSE)
    np.testing.assert_allclose(again.cameras[0].camera_from_world @ POSE, np.eye(4), atol=1e-12)


def changed(file: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Return a function that rewrites a JSON file in the folder."""

    def run(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(change(content)))

    return run


def arrays(**parts: Any) -> Callable[[Path], None]:
    """Return a function that replaces arrays.npz."""
    return lambda folder: np.savez(folder / "arrays.npz", **parts)


def frame(**changes: Any) -> Callable[[Path], None]:
    """Return a function that rewrites the first camera."""
    return changed("transforms.json", lambda content: {**content, "frames": [{**content["frames"][0], **changes}]})


ABOUT = "reconstruction.json"
TURNED = [[0.0, -1, 0, 2], [1, 0, 0, -3], [0, 0, -1, 0.5], [0, 0, 0, 1]]
DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no list of parts": (changed(ABOUT, lambda content: {**content, "parts": None}), "'parts' is missing or not a list"),
    "no frame": (changed(ABOUT, lambda content: {**content, "frame": 3}), "'frame' is missing or not a str"),
    "notes in a list": (changed(ABOUT, lambda content: {**content, "notes": []}), "'notes' is missing or not a dict"),
    "notes that are no numbers": (changed(ABOUT, lambda content: {**content, "notes": {"a": math.nan}}), "NaN is not finite"),
    "notes beyond numbers": (
        lambda folder: (folder / ABOUT).write_text((folder / ABOUT).read_text().replace('"a": 1', '"a": 1e999')),
        "1e999 is not finite",
    ),
    "numbers for parts": (changed(ABOUT, lambda content: {**content, "parts": [1]}), "'parts' must be a list of names"),
    "an odd gauge": (changed(ABOUT, lambda content: {**content, "gauge": "affine"}), "'gauge' must be one of metric, scale"),
    "a list": (changed(ABOUT, lambda content: [content]), "expected an object, got a list"),
    "half of it": (lambda folder: (folder / ABOUT).write_text('{"frame": "wor'), "not a readable JSON file"),
    "an unknown part": (changed(ABOUT, lambda content: {**content, "parts": ["aura"]}), "'parts' names 'aura', which no file"),
    "a file of another folder": (changed(ABOUT, lambda content: {**content, "files": ["../secret"]}), "names '../secret'"),
    "a file that is gone": (lambda folder: (folder / "splats.bin").unlink(), "names 'splats.bin', which is not a file"),
    "no arrays": (lambda folder: (folder / "arrays.npz").unlink(), "'parts' names 'points', which no file"),
    "an array that is gone": (arrays(points=np.ones((5, 3))), "'parts' names 'depth', which no file"),
    "an array too many": (arrays(aura=np.ones(3)), "'aura' is not a part of a reconstruction"),
    "points in a plane": (arrays(points=np.ones((5, 2))), r"points has the wrong shape \(5, 2\)"),
    "one depth map": (arrays(depth=np.ones((4, 6))), r"depth has the wrong shape \(4, 6\)"),
    "words": (arrays(points=np.full((5, 3), "one")), "points holds <U3 instead of numbers"),
    "no numbers": (arrays(points=np.full((5, 3), np.nan)), "points contains NaN or infinity"),
    "no cameras": (lambda folder: (folder / "transforms.json").unlink(), "the file is missing"),
    "cameras of another kind": (changed("transforms.json", lambda content: {"frames": 3}), "no list 'frames' in this file"),
    "intrinsics of two rows": (frame(intrinsics=[[1, 0, 0], [0, 1, 0]]), "frame 0: intrinsics must be a finite 3x3 matrix"),
    "intrinsics in words": (frame(intrinsics="wide"), "frame 0: needs intrinsics"),
    "half a pixel": (frame(w=64.5), "frame 0: w and h must be whole pixels, got 64.5 and 48"),
    "no picture": (frame(h=0), "frame 0: w and h must be whole pixels, got 64 and 0"),
    "a mirrored pose": (frame(transform_matrix=TURNED), "the upper left 3x3 is not a rotation"),
    "a pose of three rows": (frame(transform_matrix=TURNED[:3]), r"a pose must be a 4x4 matrix, got \(3, 4\)"),
    "no mesh": (lambda folder: (folder / "mesh.ply").unlink(), "mesh.ply: the file is missing"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told_in_one_line(name: str, folder: Path) -> None:
    damage, says = DAMAGE[name]
    damage(folder)
    with pytest.raises(UserError, match=says) as caught:
        Reconstruction.load(folder)
    assert str(caught.value).startswith(str(folder))
    assert "\n" not in str(caught.value)


def test_a_link_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "splats.bin").unlink()
    (folder / "splats.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match=r"names 'splats\.bin', which is not a file in this folder"):
        Reconstruction.load(folder)


@pytest.mark.parametrize("name", ["../a", "a/b", "", ".", "..", "mesh.ply", "arrays.npz"])
def test_further_files_have_plain_names_of_their_own(name: str) -> None:
    with pytest.raises(ValueError, match="is not a plain file name, or is a reserved one"):
        Reconstruction("world", "metre", files={name: b""})
