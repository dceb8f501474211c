"""NeuralRecon's parts against the official code: outputs, gradients and running statistics."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from deep3dmap.methods.neuralrecon.backbone import MnasMulti
from deep3dmap.methods.neuralrecon.conv_gru import ConvGRU, SConv3d
from deep3dmap.methods.neuralrecon.losses import level_loss
from deep3dmap.methods.neuralrecon.point_voxels import PointVoxels
from deep3dmap.methods.neuralrecon.spvcnn import SPVCNN

from .conftest import Part

Load = Callable[[str], Part]
Error = Callable[[torch.Tensor, np.ndarray], float]


def points_of(part: Part) -> tuple[torch.Tensor, torch.Tensor]:
    rows = part.tensor("point_coords")
    return rows[:, :3], rows[:, 3].long()


@pytest.mark.parametrize("name", ["backbone", "backbone_train"])
def test_backbone(name: str, load_part: Load, relative_error: Error) -> None:
    part = load_part(f"neuralrecon/{name}")
    network = MnasMulti(part.manifest["settings"]["alpha"])
    network.load_state_dict(part.state)
    network.train(part.manifest["mode"] == "train")
    x = part.tensor("x").requires_grad_()
    outputs = network(x)
    torch.stack([(out * part.tensor(f"w_s{s}")).sum() for out, s in zip(outputs, (4, 8, 16))]).sum().backward()
    assert all(relative_error(out, part.arrays[f"out_s{s}"]) < 1e-4 for out, s in zip(outputs, (4, 8, 16)))
    assert relative_error(x.grad, part.arrays["grad_x"]) < (1e-3 if network.training else 1e-4)
    for key in (key for key in part.arrays if key.startswith("after_")):
        assert relative_error(network.state_dict()[key.removeprefix("after_")], part.arrays[key]) < 1e-5


@pytest.mark.parametrize("name", ["spvcnn_level0", "spvcnn_level1", "spvcnn_level2", "spvcnn_level2_train"])
def test_spvcnn(name: str, load_part: Load, relative_error: Error) -> None:
    part = load_part(f"neuralrecon/{name}")
    settings = part.manifest["settings"]
    # Gradients by the reference: where a ReLU's input is within rounding of 0, another order of sums has another gradient.
    network = SPVCNN(settings["in_channels"], settings["cr"], settings["vres"], settings["dropout"], backend="reference")
    network.load_state_dict(part.state)
    network.train(part.manifest["mode"] == "train")
    features = part.tensor("point_feats").requires_grad_()
    out = network(features, *points_of(part))
    (out * part.tensor("w")).sum().backward()
    bound = 1e-3 if network.training else 1e-4
    assert relative_error(out, part.arrays["out"]) < bound
    assert relative_error(features.grad, part.arrays["grad_point_feats"]) < bound
    for name, step in (("stem.0.kernel", 9), ("up1.0.net.0.kernel", 7)):
        gradient = network.get_parameter(name).grad
        expected = part.arrays[f"grad_{name}"]
        assert relative_error(gradient if len(gradient) == len(expected) else gradient[::step], expected) < bound


@pytest.mark.parametrize("name", ["spvcnn_level0", "spvcnn_level1", "spvcnn_level2"])
def test_spvcnn_by_the_fastest_backend(name: str, load_part: Load, relative_error: Error) -> None:
    part = load_part(f"neuralrecon/{name}")
    settings = part.manifest["settings"]
    network = SPVCNN(settings["in_channels"], settings["cr"], settings["vres"]).eval()
    network.load_state_dict(part.state)
    assert relative_error(network(part.tensor("point_feats"), *points_of(part)), part.arrays["out"]) < 1e-4


def test_sconv3d(load_part: Load, relative_error: Error) -> None:
    part = load_part("neuralrecon/sconv3d")
    settings = part.manifest["settings"]
    network = SConv3d(settings["inc"], settings["outc"], settings["vres"])
    network.load_state_dict(part.state)
    positions, batch = points_of(part)
    out = network(part.tensor("point_feats"), PointVoxels(positions / settings["vres"], batch))
    assert relative_error(out, part.arrays["out"]) < 1e-4


@pytest.mark.parametrize("reset_gate", ["intended", "upstream"])
@pytest.mark.parametrize("name", ["conv_gru_vres16", "conv_gru_vres04"])
def test_conv_gru(name: str, reset_gate: str, load_part: Load, relative_error: Error) -> None:
    part = load_part(f"neuralrecon/{name}")
    settings = part.manifest["settings"]
    network = ConvGRU(settings["hidden_dim"], settings["input_dim"], settings["vres"], reset_gate)
    network.load_state_dict(part.state)
    history, current = part.tensor("h").requires_grad_(), part.tensor("x").requires_grad_()
    out = network(history, current, *points_of(part))
    (out * part.tensor("w")).sum().backward()
    assert relative_error(out, part.arrays[f"out_{reset_gate}"]) < 1e-4
    assert relative_error(history.grad, part.arrays[f"grad_h_{reset_gate}"]) < 1e-4
    assert relative_error(current.grad, part.arrays[f"grad_x_{reset_gate}"]) < 1e-4


@pytest.mark.parametrize(("case", "pos_weight"), [("masked_pw15", 1.5), ("nomask_pw1", 1.0)])
def test_loss(case: str, pos_weight: float, load_part: Load, relative_error: Error) -> None:
    part = load_part("neuralrecon/tsdf_loss")
    tsdf, occupancy = part.tensor("tsdf").requires_grad_(), part.tensor("occ").requires_grad_()
    mask = part.tensor("mask") if case.startswith("masked") else None
    loss = level_loss(tsdf, occupancy, part.tensor("tsdf_target"), part.tensor("occ_target"), mask, pos_weight)
    loss.backward()
    assert relative_error(loss.reshape(1), part.arrays[f"loss_{case}"]) < 1e-5
    assert relative_error(tsdf.grad, part.arrays[f"grad_tsdf_{case}"]) < 1e-5
    assert relative_error(occupancy.grad, part.arrays[f"grad_occ_{case}"]) < 1e-5


def test_loss_without_an_occupied_voxel(load_part: Load) -> None:
    part = load_part("neuralrecon/tsdf_loss")
    tsdf = part.tensor("tsdf").requires_grad_()
    nothing = torch.zeros_like(part.tensor("occ_target"))
    loss = level_loss(tsdf, part.tensor("occ"), part.tensor("tsdf_target"), nothing)
    assert float(loss.detach()) == float(part.arrays["loss_no_positive"][0])
    loss.backward()
    assert tsdf.grad is not None
