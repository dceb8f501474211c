"""A TensorFlow checkpoint with the names and shapes of the official one, imported into the network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorflow_writer import write_checkpoint

from deep3dmap.core import UserError
from deep3dmap.methods.prnet.method import PRNet, PRNetConfig
from deep3dmap.methods.prnet.official_weights import load_official
from deep3dmap.nn import ResFCN256


@pytest.fixture(scope="module")
def part(load_part: Callable[[str], Any]) -> Any:
    return load_part("prnet/resfcn256")


@pytest.fixture(scope="module")
def variables(part: Any) -> dict[str, np.ndarray]:
    """Every tensor in TensorFlow's axes, and what Adam keeps for each."""
    found = {}
    for entry in part.manifest["state"]:
        value = part.state[entry["name"]]
        value = value.permute(2, 3, 1, 0) if value.dim() == 4 else value
        assert list(value.shape) == entry["tf_shape"]
        found[entry["tf_name"]] = value.contiguous().numpy()
    slots = {f"{name}/{slot}": np.zeros(1, np.float32) for name in found for slot in ("Adam", "Adam_1")}
    return found | slots | {"beta1_power": np.float32(0.5), "beta2_power": np.float32(0.5)}


@pytest.fixture(scope="module")
def checkpoint(variables: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = tmp_path_factory.mktemp("official") / "256_256_resfcn256_weight"
    write_checkpoint(prefix, variables)
    return prefix


def test_imported_weights_give_the_official_answer(
    part: Any, checkpoint: Path, relative_error: Callable[[torch.Tensor, np.ndarray], float]
) -> None:
    assert len(part.manifest["state"]) == 245
    method = PRNet(PRNetConfig(weights=str(checkpoint)))
    assert method._first_center == 0
    method.set_mode(training=False)
    with torch.no_grad():
        assert relative_error(method.network.logits(part.tensor("x_a")), part.arrays["logit_a"]) < 1e-4
        assert relative_error(method.network(part.tensor("x_b")), part.arrays["y_b"]) < 1e-4


def test_a_converted_state_dict_does_too(part: Any, tmp_path: Path) -> None:
    torch.save(part.state, tmp_path / "converted.pth")
    network = ResFCN256()
    load_official(network, tmp_path / "converted.pth")
    assert torch.equal(network.stem.weight, part.state["resfcn256.Conv.weight"])


def test_what_does_not_fit_is_named_and_nothing_changes(variables: dict[str, np.ndarray], tmp_path: Path) -> None:
    small = {name: value for name, value in variables.items() if "transpose" not in name and "Adam" not in name}
    small["resfcn256/Conv/weights"] = np.zeros((4, 4, 3, 8), np.float32)
    small["resfcn256/Conv2d_transpose_17/weights"] = np.zeros((4, 4, 3, 3), np.float32)
    write_checkpoint(tmp_path / "part", small)
    network = ResFCN256()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(UserError, match=r"missing: decoder.*unexpected: decoder\.17.*another size: stem\.weight \(8,"):
        load_official(network, tmp_path / "part")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent: weights not found"):
        load_official(ResFCN256(2), tmp_path / "absent")
    (tmp_path / "bad.pth").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"bad\.pth: not a checkpoint"):
        load_official(ResFCN256(2), tmp_path / "bad.pth")
    write_checkpoint(tmp_path / "other", {"resfcn256/fc/weights": np.zeros(3, np.float32)})
    with pytest.raises(UserError, match=r"other: not a checkpoint of PRNet \('resfcn256/fc"):
        load_official(ResFCN256(2), tmp_path / "other")
