"""The pages match the code: parts of a reconstruction, and layouts, methods and files of user captures."""

import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np

from deep3dmap.config.variants import variants
from deep3dmap.core import Reconstruction
from deep3dmap.core.registry import datasets, methods
from deep3dmap.data.formats.images import write_image
from deep3dmap.data.formats.multiview import read_frames

PAGES = Path(__file__).resolve().parents[2] / "docs"


def test_every_part_of_a_reconstruction_is_described() -> None:
    text = (PAGES / "add_a_method.md").read_text()
    rows = "\n".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))
    described = set(re.findall(r"`(\w+)`", rows))
    assert described == {field.name for field in fields(Reconstruction)} - {"frame", "unit", "gauge"}


def test_methods_and_readers_of_own_captures_are_there() -> None:
    text = (PAGES / "own_captures.md").read_text()
    named = re.findall(r"`(?:deep3dmap )?reconstruct ([a-z_0-9/]+) ", text)
    assert len(named) >= 7
    for name in named:
        plain, _, variant = name.partition("/")
        assert not variant or variant in variants(methods, plain), name
        methods.load(plain)
    (readers,) = re.findall(r"files and options of a reader \((.*?)\)", text, re.DOTALL)
    for name in re.findall(r"`(\w+)`", readers):
        assert hasattr(datasets.load(name), "recognises"), name


def test_the_cameras_of_own_captures_can_be_read(tmp_path: Path) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", (PAGES / "own_captures.md").read_text(), re.DOTALL)
    (tmp_path / "transforms.json").write_text(example)
    for name in ("view_00.png", "mask_00.png"):
        write_image(tmp_path / name, np.zeros((3, 480, 640), np.float32))
    (frame,) = read_frames(tmp_path)
    assert frame.mask == tmp_path / "mask_00.png"
    assert frame.camera.world_from_camera[2, 3] == -2
    assert json.loads(example)["camera_axes"] == "x right, y down, z forward"
