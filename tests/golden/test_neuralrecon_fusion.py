"""NeuralRecon's two maps against the official ones: predicted distances, and fused features with fused targets."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deep3dmap.methods.neuralrecon.tsdf_map import TSDFMap

SCENES = ("sA", "sA", "sA", "sB")


def by_coordinates(coordinates: np.ndarray, values: np.ndarray) -> dict[tuple[int, ...], np.ndarray]:
    assert len(np.unique(coordinates, axis=0)) == len(coordinates)
    return {tuple(row): value for row, value in zip(coordinates.tolist(), values)}


@pytest.fixture(scope="module")
def direct(load_part: Callable[[str], Any]) -> Any:
    return load_part("neuralrecon/fusion_direct")


def test_the_distance_map_equals_the_official_one(direct: Any) -> None:
    voxel_size = direct.manifest["settings"]["VOXEL_SIZE"]
    fused = TSDFMap((24, 24, 24), voxel_size)
    for index, scene in enumerate(SCENES):
        coordinates, origin = direct.tensor(f"f{index}_coords")[:, 1:].int(), direct.tensor(f"f{index}_origin_vox")
        fused.update(scene, origin.float() * voxel_size, coordinates, direct.tensor(f"f{index}_tsdf"))
        ours = by_coordinates(fused.map.coordinates.numpy(), fused.map.values.numpy())
        theirs = by_coordinates(direct.arrays[f"f{index}_global_coords"], direct.arrays[f"f{index}_global_tsdf"])
        assert ours.keys() == theirs.keys()
        assert max(abs(ours[key] - theirs[key]).item() for key in ours) < 1e-6
        volume = fused.dense()
        np.testing.assert_allclose(volume.origin, direct.arrays[f"f{index}_scene_origin"], atol=1e-6)
        np.testing.assert_allclose(volume.tsdf, direct.arrays[f"f{index}_scene_tsdf"], atol=1e-6)
