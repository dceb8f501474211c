"""Listing what a dataset would have to generate, and generating only what is needed."""

from pathlib import Path

import pytest

from deep3dmap.config.open_dataset import missing_data, open_dataset, prepare_dataset, worker_count
from deep3dmap.core.errors import UserError

SMALL = {"train": 2, "val": 1, "test": 1, "frames": 2, "width": 32, "height": 24, "mesh_edge": 0.1}


def test_a_generated_dataset_makes_what_is_asked_for(tmp_path: Path) -> None:
    data = {"cache": str(tmp_path), "workers": 1}
    rooms = open_dataset("rooms", SMALL, data)
    assert [(one.title, one.count) for one in missing_data(rooms)] == [
        ("rooms (train)", 2),
        ("rooms (val)", 1),
        ("rooms (test)", 1),
    ]
    prepare_dataset(rooms, data, quiet=True, splits=["test", "val"])
    assert [(one.title, one.count) for one in missing_data(rooms)] == [("rooms (train)", 2)]
    prepare_dataset(rooms, data, quiet=True)
    assert missing_data(rooms) == []


def test_a_wrong_root_is_found_without_preparing(tmp_path: Path) -> None:
    for name in ("sevenscenes", "scannet", "tum_rgbd", "aflw2000"):
        with pytest.raises(UserError, match="/no/such"):
            missing_data(open_dataset(name, {"root": "/no/such"}, {"cache": str(tmp_path)}))
        with pytest.raises(UserError, match="root"):
            missing_data(open_dataset(name, {}, {"cache": str(tmp_path)}))


def test_workers_are_one_per_core_unless_given() -> None:
    assert worker_count({"workers": 3}) == 3
    assert worker_count({"workers": 0}) == worker_count({}) >= 1
