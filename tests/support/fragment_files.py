"""Writes fragments.pkl like NeuralRecon's tools: plain containers and arrays, pixel centres at integers."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deep3dmap.data.formats.scannet_tsdf import Fragment


def write_fragments(file: Path, fragments: Sequence[Fragment]) -> None:
    rows = [{name: value for name, value in vars(fragment).items() if value is not None} for fragment in fragments]
    for row in rows:
        if "intrinsics" in row:
            row["intrinsics"] = row["intrinsics"] - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    file.write_bytes(pickle.dumps(rows, protocol=4))
