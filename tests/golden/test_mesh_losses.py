"""Mesh losses and their gradients against pytorch3d."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from deep3dmap.geometry.mesh_losses import chamfer_loss, edge_length_loss, laplacian_loss, normal_consistency_loss
from deep3dmap.geometry.mesh_topology import MeshTopology

LOSSES: dict[str, Callable[[Tensor, MeshTopology], Tensor]] = {
    "edge0": edge_length_loss,
    "edge05": lambda vertices, topology: edge_length_loss(vertices, topology, 0.5),
    "lap_uniform": laplacian_loss,
    "lap_cot": lambda vertices, topology: laplacian_loss(vertices, topology, "cot"),
    "lap_cotcurv": lambda vertices, topology: laplacian_loss(vertices, topology, "cotcurv"),
    "normal_consistency": normal_consistency_loss,
}


@pytest.fixture(scope="module")
def part(load_part: Callable[[str], Any]) -> Any:
    return load_part("multiview_face/mesh_losses")


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_equal_the_official_ones(part: Any, relative_error: Any, name: str) -> None:
    vertices = part.tensor("verts").clone().requires_grad_()
    loss = LOSSES[name](vertices, MeshTopology.of(part.tensor("faces"), len(vertices)))
    assert relative_error(loss, part.arrays[name]) < 1e-4
    (gradient,) = torch.autograd.grad(loss, vertices)
    assert relative_error(gradient, part.arrays[f"grad_{name}"]) < 1e-3


def test_chamfer_and_its_gradient_equal_the_official_ones(part: Any, relative_error: Any) -> None:
    points = part.tensor("p").clone().requires_grad_()
    loss = chamfer_loss(points, part.tensor("q"))
    assert relative_error(loss, part.arrays["chamfer"]) < 1e-4
    (gradient,) = torch.autograd.grad(loss, points)
    assert relative_error(gradient, part.arrays["grad_p_chamfer"]) < 1e-3
