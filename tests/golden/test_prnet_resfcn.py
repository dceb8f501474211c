"""ResFCN256 against the official network under TensorFlow, and against the older port."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.nn import ResFCN256, from_legacy_names, from_tensorflow_names, from_tensorflow_variables

Error = Callable[[torch.Tensor, np.ndarray], float]


@pytest.fixture(scope="module")
def part(load_part: Callable[[str], Any]) -> Any:
    return load_part("prnet/resfcn256")


@pytest.fixture
def network(part: Any) -> ResFCN256:
    network = ResFCN256()
    network.load_state_dict(from_tensorflow_names(part.state))
    return network.eval()


def test_every_official_variable_has_its_place(part: Any) -> None:
    ours = {name: tuple(value.shape) for name, value in ResFCN256().state_dict().items() if "num_batches" not in name}
    assert {name: tuple(value.shape) for name, value in from_tensorflow_names(part.state).items()} == ours


def test_variables_in_tensorflow_axes_become_the_same_state(part: Any) -> None:
    entries = [entry for entry in part.manifest["state"] if len(entry["shape"]) == 4]
    variables = {entry["tf_name"]: part.state[entry["name"]].permute(2, 3, 1, 0) for entry in entries}
    assert all(list(variables[entry["tf_name"]].shape) == entry["tf_shape"] for entry in entries)
    variables |= {"beta1_power": torch.zeros(()), f"{entries[0]['tf_name']}/Adam_1": torch.zeros(1)}
    state = from_tensorflow_variables(variables)
    expected = from_tensorflow_names({entry["name"]: part.state[entry["name"]] for entry in entries})
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_output_equals_the_official_one(part: Any, network: ResFCN256, relative_error: Error) -> None:
    with torch.no_grad():
        assert relative_error(network.logits(part.tensor("x_a")), part.arrays["logit_a"]) < 1e-4
        assert relative_error(network(part.tensor("x_a")), part.arrays["y_a"]) < 1e-4


def test_output_equals_the_official_one_where_the_picture_is_not_square(
    part: Any, network: ResFCN256, relative_error: Error
) -> None:
    with torch.no_grad():
        assert relative_error(network(part.tensor("x_b")), part.arrays["y_b"]) < 1e-4


def test_inner_activations_equal_the_official_ones(part: Any, network: ResFCN256, relative_error: Error) -> None:
    seen: dict[str, torch.Tensor] = {}
    for name in ("stem", "encoder.0", "encoder.9", "decoder.0", "decoder.1", "decoder.15"):
        network.get_submodule(name).register_forward_hook(lambda _, __, output, name=name: seen.update({name: output}))
    with torch.no_grad():
        network(part.tensor("x_a"))
        stem = network.stem_norm(seen["stem"]).relu()
    checked = {
        "conv_a": stem[:1, :2],
        "block0_a": seen["encoder.0"][:1, ::8],
        "enc_a": seen["encoder.9"],
        "deconv0_a": seen["decoder.0"].relu()[:1, ::8],
        "deconv1_a": seen["decoder.1"].relu()[:1, ::8],
        "deconv15_a": seen["decoder.15"].relu()[:1],
    }
    assert {name: relative_error(value, part.arrays[name]) for name, value in checked.items()} == pytest.approx(
        dict.fromkeys(checked, 0), abs=1e-4
    )


def test_output_at_full_resolution_equals_the_official_one(part: Any, network: ResFCN256, relative_error: Error) -> None:
    generator = np.random.default_rng(int(part.arrays["c_seed"][0]))
    for shape in ((2, 64, 64, 3), (1, 64, 96, 3), (1, 256, 256, 3)):
        images = generator.random(shape, np.float32)
    with torch.no_grad():
        positions = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    assert relative_error(positions[:, :, ::4, ::4], part.arrays["y_c_sub4"]) < 1e-4


def test_gradient_equals_the_official_one(part: Any, network: ResFCN256, relative_error: Error) -> None:
    images = part.tensor("x_a").clone().requires_grad_()
    (network(images) * part.tensor("R_a")).sum().backward()
    assert images.grad is not None
    assert relative_error(images.grad, part.arrays["grad_x_a"]) < 2e-3


def test_training_mode_uses_the_batch_and_moves_the_statistics_as_the_official_one(
    part: Any, network: ResFCN256, relative_error: Error
) -> None:
    network.train()
    with torch.no_grad():
        assert relative_error(network(part.tensor("x_a")), part.arrays["y_a_train"]) < 2e-3
    assert relative_error(network.stem_norm.running_mean, part.arrays["after_update_moving_mean"]) < 1e-4
    assert relative_error(network.stem_norm.running_var, part.arrays["after_update_moving_variance"]) < 1e-4


def test_legacy_padding_equals_the_older_port(load_part: Callable[[str], Any], relative_error: Error) -> None:
    part = load_part("prnet/resfcn256_std_legacy")
    network = ResFCN256(padding="legacy")
    network.load_state_dict(from_legacy_names(part.state))
    network.eval()
    images = part.tensor("x").clone().requires_grad_()
    logits = network.logits(images)
    assert relative_error(logits, part.arrays["logit"]) < 1e-4
    (logits.sigmoid() * part.tensor("R")).sum().backward()
    assert images.grad is not None
    assert relative_error(images.grad, part.arrays["grad_x"]) < 2e-3
