"""Implausible units, cameras and poses are reported when a scan is opened; an exact scan of a ball passes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sphere_scan import sphere_scan

from deep3dmap.core import datasets
from deep3dmap.core.errors import UserError
from deep3dmap.data.datasets.posed_scans import ScanFolders
from deep3dmap.data.datasets.sevenscenes import SevenScenes, SevenScenesConfig
from deep3dmap.data.formats import sevenscenes as layout
from deep3dmap.data.scan_checks import check_scan, require_sound

SCAN = sphere_scan(24, 60, 80)


def changed(**keys: Callable[[Any], Any]) -> dict[str, Any]:
    return {**SCAN, **{key: change(SCAN[key]) for key, change in keys.items()}}


def moved(poses: np.ndarray, factor: float) -> np.ndarray:
    poses = poses.copy()
    poses[:, :3, 3] *= factor
    return poses


@pytest.mark.parametrize(
    ("kind", "scan"),
    [
        ("depth_unit", changed(depths=lambda depths: [depth * 1000 for depth in depths])),
        ("depth_unit", changed(depths=lambda depths: [depth / 1000 for depth in depths])),
        ("pose_unit", changed(world_from_camera=lambda poses: moved(poses, 1000))),
        ("inverted", changed(world_from_camera=np.linalg.inv)),
        ("intrinsics", changed(intrinsics=lambda intrinsics: np.zeros_like(intrinsics))),
        ("intrinsics", changed(intrinsics=lambda intrinsics: np.repeat(np.eye(3)[None], len(intrinsics), 0))),
        ("intrinsics", changed(intrinsics=lambda intrinsics: intrinsics * [[20], [20], [1]])),
        ("intrinsics", changed(intrinsics=lambda intrinsics: intrinsics + np.array([[0, 0, 80], [0, 0, 0], [0, 0, 0]]))),
    ],
)
def test_what_cannot_be_right_is_told(kind: str, scan: dict[str, Any]) -> None:
    assert [finding.kind for finding in check_scan(scan)] == [kind]
    with pytest.raises(UserError, match=r"^ball: .*dataset\.check=false"):
        require_sound(scan, "ball")


def test_a_right_scan_is_left_alone() -> None:
    assert check_scan(SCAN) == []
    assert check_scan({key: value for key, value in SCAN.items() if key != "depths"}) == []


def test_few_frames_or_none_that_meet_prove_nothing() -> None:
    apart = changed(world_from_camera=lambda poses: moved(poses, 2.5))
    assert check_scan(apart) == []
    one = {key: value[:1] if key != "mesh" else value for key, value in SCAN.items()}
    assert check_scan(one) == []


def write(folder: Path, poses: np.ndarray) -> Path:
    folder.mkdir()
    for number in range(24):
        layout.write_frame(folder, number, SCAN["images"][number], SCAN["depths"][number], poses[number])
    layout.write_intrinsics(folder, SCAN["intrinsics"][0])
    return folder


def test_every_reader_of_scans_tells(tmp_path: Path) -> None:
    right = write(tmp_path / "right", SCAN["world_from_camera"])
    SevenScenes(SevenScenesConfig(root=str(right)), tmp_path).split("test")[0]
    wrong = write(tmp_path / "wrong", np.linalg.inv(SCAN["world_from_camera"]))
    with pytest.raises(UserError, match="wrong: the poses are camera-from-world"):
        SevenScenes(SevenScenesConfig(root=str(wrong)), tmp_path).split("test")[0]
    unchecked = SevenScenes(SevenScenesConfig(root=str(wrong), check=False), tmp_path)
    assert len(unchecked.split("test")[0]["images"]) == 24
    assert unchecked.version == SevenScenes(SevenScenesConfig(root=str(wrong)), tmp_path).version


def test_no_reader_of_scans_goes_without() -> None:
    """All readers open scans in the same place."""
    sensed = {"depths", "images", "world_from_camera"}
    read = [cls for name in datasets.names() if sensed <= set((cls := datasets.load(name)).card.provides)]
    read = [cls for cls in read if "root" in cls.config_type.__dataclass_fields__]
    assert {cls.__name__ for cls in read} >= {"SevenScenes", "ScanNet", "TUMRGBD"}
    # A phone capture has poses but no depth; SevenScenes, which has its own splits, is tested above.
    assert {cls for cls in (*read, datasets.load("arkit")) if not issubclass(cls, ScanFolders)} <= {SevenScenes}


def test_the_real_kitchen_is_right(shared_data: Path) -> None:
    root = shared_data / "data" / "sevenscenes_redkitchen"
    SevenScenes(SevenScenesConfig(root=str(root), stride=5), root).split("test")[0]
