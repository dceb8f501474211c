"""ScanNet TSDFs fused by Ray tasks, in a separate process with its own Ray instance."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deep3dmap.config.open_dataset import open_dataset
from deep3dmap.data.formats.scannet_tsdf import is_prepared

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ROOMS = {"train": 2, "val": 1, "test": 1, "frames": 6, "width": 64, "height": 48, "layout": "scannet"}


def test_scans_are_shared_out_and_what_exists_is_kept(tmp_path: Path) -> None:
    rooms = open_dataset("rooms", ROOMS, {"cache": str(tmp_path)})
    rooms.prepare()
    scans = tmp_path / "scannet" / "scans"
    scans.mkdir(parents=True)
    for room in ("train_000", "train_001", "val_000"):
        (scans / room).symlink_to(rooms.root / room)
    command = [sys.executable, "-m", "deep3dmap.cli", "data", "prepare", "scannet", f"dataset.root={scans.parent}", "--ray"]
    sizes = ["dataset.voxel_size=0.16", "dataset.max_depth=5", f"data.cache={tmp_path / 'cache'}"]
    times = []
    for _ in range(2):
        done = subprocess.run([*command, *sizes], capture_output=True, text=True, env={**os.environ, "RAY_ADDRESS": ""})
        assert done.returncode == 0, done.stderr
        made = sorted((tmp_path / "cache" / "scannet_tsdf").glob("*/[!.]*"))
        assert len(made) == 3
        assert all(is_prepared(folder) for folder in made)
        times.append([folder.stat().st_mtime_ns for folder in made])
    assert times[0] == times[1]
