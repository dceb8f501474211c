"""The whole of NeuralRecon on three fragments of two scenes against the official code, with both forms of the reset gate."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from deep3dmap.methods.neuralrecon.network import NeuralReconNetwork, integrate_output
from deep3dmap.methods.neuralrecon.network_config import NetworkConfig
from deep3dmap.methods.neuralrecon.official_weights import load_official
from deep3dmap.methods.neuralrecon.tsdf_map import TSDFMap

SCENES = ("sA", "sA", "sB")


@pytest.fixture(scope="module")
def part(load_part: Callable[[str], Any]) -> Any:
    return load_part("neuralrecon/network")


@pytest.fixture(scope="module")
def official_file(part: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("official") / "model_000047.ckpt"
    model = {f"module.{name}": value for name, value in part.state.items()}
    torch.save({"epoch": 47, "model": model, "optimizer": {"state": {}}}, file)
    return file


def build(part: Any, file: Path, reset_gate: Literal["intended", "upstream"]) -> NeuralReconNetwork:
    settings = part.manifest["settings"]
    x, y, z = settings["N_VOX"]
    network = NeuralReconNetwork(NetworkConfig(n_vox=(x, y, z), voxel_size=settings["VOXEL_SIZE"], reset_gate=reset_gate))
    assert load_official(network, file) == "loaded"
    return network.eval()


def inputs_of(part: Any, index: int) -> dict[str, Any]:
    return {
        "scene": [SCENES[index]],
        "images": part.tensor(f"f{index}_imgs")[None],
        "projection": part.tensor(f"f{index}_proj_matrices")[None],
        "vol_origin_partial": part.tensor(f"f{index}_vol_origin_partial")[None],
        "world_to_aligned_camera": part.tensor(f"f{index}_world_to_aligned_camera")[None],
        "tsdf": [part.tensor(f"f{index}_tsdf_gt_l{scale}")[None] for scale in range(3)],
        "occupancy": [part.tensor(f"f{index}_occ_gt_l{scale}")[None] for scale in range(3)],
    }


def test_the_parameters_have_the_official_names_and_sizes(part: Any) -> None:
    network = NeuralReconNetwork(NetworkConfig())
    ours = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert ours == {entry["name"]: tuple(entry["shape"]) for entry in part.manifest["state"]}
    assert sum(parameter.numel() for parameter in network.parameters()) == 8_340_326


@pytest.mark.parametrize("reset_gate", ["intended", "upstream"])
def test_three_fragments_equal_the_official_ones(
    part: Any, official_file: Path, reset_gate: Literal["intended", "upstream"]
) -> None:
    network = build(part, official_file, reset_gate)
    surface = TSDFMap(network.config.n_vox, network.config.voxel_size)
    for index in range(3):
        name, inputs = f"f{index}_{reset_gate}", inputs_of(part, index)
        with torch.no_grad():
            output = network(inputs)
            losses = network.losses(output)
        integrate_output(output, inputs, surface)
        _compare_voxels(part, name, output.coordinates.numpy(), output.tsdf.numpy())
        _compare_losses(part, name, losses)
        _compare_scene(part, name, surface)


def _compare_voxels(part: Any, name: str, coordinates: np.ndarray, tsdf: np.ndarray) -> None:
    theirs = {tuple(row): at for at, row in enumerate(part.arrays[f"{name}_coords"].tolist())}
    ours = {tuple(row): at for at, row in enumerate(coordinates.tolist())}
    both = ours.keys() & theirs.keys()
    assert len(ours.keys() ^ theirs.keys()) <= 0.01 * len(theirs)
    expected, sensitivity = part.arrays[f"{name}_tsdf"][:, 0], part.arrays[f"sens_{name}_tsdf"]
    errors = [abs(tsdf[ours[key], 0] - expected[theirs[key]]) - 5 * sensitivity[theirs[key]] for key in both]
    assert max(errors) <= 1e-3


def _compare_losses(part: Any, name: str, losses: dict[str, torch.Tensor]) -> None:
    weights = part.manifest["settings"]["LW"]
    found = {f"tsdf_occ_loss_{level}": losses[f"level_{level}"] / weight for level, weight in enumerate(weights)}
    found["total_loss"] = torch.stack(list(losses.values())).sum()
    for key, value in found.items():
        tolerance = 1e-3 + 5 * part.arrays[f"sens_{name}_{key}"].item()
        assert abs(value.item() - part.arrays[f"{name}_{key}"].item()) <= tolerance, key


def _compare_scene(part: Any, name: str, surface: TSDFMap) -> None:
    volume, expected = surface.dense(), part.arrays[f"{name}_scene_tsdf"]
    np.testing.assert_allclose(volume.origin, part.arrays[f"{name}_scene_origin"], atol=1e-5)
    assert tuple(volume.tsdf.shape) == expected.shape
    # A voxel beside a cell face may move by its sensitivity, which is known for the current fragment's voxels only.
    limit = 1e-3 + 5 * part.arrays[f"sens_{name}_tsdf"].max()
    assert (np.abs(volume.tsdf.numpy() - expected) > limit).sum() <= 0.01 * (expected < 1).sum()
