"""The older multi-view face method: its encoder, and what its coefficients mean."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from deep3dmap.geometry.weak_perspective import texture_coordinates
from deep3dmap.nn.shape3dmm_encoder import LegacyShapeModel, Shape3dmmEncoder, decode, from_legacy_encoder


def test_outputs_equal_those_of_the_older_network(load_part: Callable[[str], Any], relative_error: Any) -> None:
    part = load_part("multiview_face/shape3dmm_encoder")
    network = Shape3dmmEncoder().eval()
    network.load_state_dict(from_legacy_encoder(part.state))
    seen: list[torch.Tensor] = []
    network.shape_head.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    with torch.no_grad():
        assert relative_error(network(part.tensor("x")), part.arrays["out"]) < 1e-4
    assert relative_error(seen[0], part.arrays["feat"]) < 1e-4


def test_a_foreign_tensor_is_refused() -> None:
    with pytest.raises(ValueError, match="no tensor of the older encoder"):
        from_legacy_encoder({"feat_net.layer2.conv1.weight": torch.zeros(1)})


def test_coefficients_become_vertices_pixels_and_texture_coordinates(
    load_part: Callable[[str], Any], relative_error: Any
) -> None:
    part = load_part("multiview_face/imgs2mesh_core")
    names = ("mu_shape", "w", "sigma", "w_exp", "sigma_exp")
    mean, identity, sigma, expression, sigma_expression = (part.tensor(name) for name in names)
    model = LegacyShapeModel(mean.ravel(), identity, sigma.ravel(), expression, sigma_expression.ravel())
    face = decode(part.tensor("params"), model)
    assert relative_error(face.vertices, part.arrays["points"]) < 1e-4
    assert relative_error(face.rotation, part.arrays["R"]) < 1e-4
    assert relative_error(face.projected, part.arrays["projected"]) < 1e-4
    assert relative_error(texture_coordinates(face.projected, 256, 256), part.arrays["sample_uv"]) < 1e-4


def test_gradients_reach_the_coefficients() -> None:
    generator = torch.Generator().manual_seed(0)
    numbers = [torch.rand(*shape, dtype=torch.float64, generator=generator) + 0.5 for shape in ((12,), (12, 199), (199,))]
    numbers += [torch.rand(*shape, dtype=torch.float64, generator=generator) + 0.5 for shape in ((12, 29), (29,))]
    parameters = torch.rand(1, 235, dtype=torch.float64, generator=generator).requires_grad_()
    model = LegacyShapeModel(*numbers)
    (gradient,) = torch.autograd.grad(decode(parameters, model).projected.sum(), parameters)
    direction = torch.randn(1, 235, dtype=torch.float64, generator=generator)
    ahead, behind = (decode(parameters + step * direction, model).projected.sum() for step in (1e-6, -1e-6))
    assert ((ahead - behind) / 2e-6).item() == pytest.approx((gradient * direction).sum().item(), rel=1e-5)
    with pytest.raises(ValueError, match="235"):
        decode(parameters[:, 1:], model)
