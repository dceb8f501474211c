"""Mesh losses: closed forms, gradients, and empty, flat, open and non-manifold meshes."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.geometry.mesh_losses import chamfer_loss, edge_length_loss, laplacian_loss, normal_consistency_loss
from deep3dmap.geometry.mesh_topology import MeshTopology

Loss = Callable[[Tensor, MeshTopology], Tensor]
LOSSES: dict[str, Loss] = {
    "edge": lambda v, t: edge_length_loss(v, t, 0.3),
    "uniform": laplacian_loss,
    "normals": normal_consistency_loss,
}
CONSTANT_WEIGHTS: dict[str, Loss] = {
    "cot": lambda v, t: laplacian_loss(v, t, "cot"),
    "cotcurv": lambda v, t: laplacian_loss(v, t, "cotcurv"),
}


def sphere(level: int = 2, radius: float = 1.0) -> tuple[Tensor, MeshTopology]:
    vertices, faces = icosphere(level)
    return torch.from_numpy(vertices) * radius, MeshTopology.of(faces, len(vertices))


def rough(level: int = 0) -> tuple[Tensor, MeshTopology]:
    vertices, topology = sphere(level)
    return vertices + 0.1 * torch.randn(
        vertices.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ), topology


def test_topology_of_a_closed_mesh() -> None:
    topology = sphere(1)[1]
    assert topology.vertex_count - len(topology.edges) + len(topology.faces) == 2, "Euler"
    assert len(topology.hinges) == len(topology.edges)
    assert sorted(set(topology.degree.tolist())) == [5, 6]


def test_an_edge_of_three_faces_has_three_pairs() -> None:
    topology = MeshTopology.of([[0, 1, 2], [0, 1, 3], [1, 0, 4]], 5)
    assert len(topology.hinges) == 3
    assert {tuple(sorted(hinge)) for hinge in topology.hinges[:, 2:].tolist()} == {(2, 3), (2, 4), (3, 4)}


@pytest.mark.parametrize(("faces", "words"), [([[0, 1, 9]], "there are 3"), ([[0, 1]], "faces must be")])
def test_faces_that_do_not_fit_are_refused(faces: list[list[int]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MeshTopology.of(faces, 3)


def test_chamfer_of_shifted_points_is_twice_the_square_of_the_shift() -> None:
    grid = torch.cartesian_prod(*[torch.arange(4.0)] * 3)
    assert chamfer_loss(grid, grid + torch.tensor([0.1, 0, 0])) == pytest.approx(2 * 0.01, rel=1e-4)
    assert chamfer_loss(grid, grid) == 0


def test_chamfer_takes_sets_of_different_sizes_and_averages_over_the_batch() -> None:
    point, other = torch.zeros(1, 3), torch.tensor([[1.0, 0, 0], [2.0, 0, 0]])
    assert chamfer_loss(point, other) == pytest.approx(1 + 2.5)
    assert chamfer_loss([point, point], [other, point]) == pytest.approx(3.5 / 2)


def test_chamfer_gradients_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = (torch.randn(2, n, 3, dtype=torch.float64, generator=generator).requires_grad_() for n in (5, 4))
    assert torch.autograd.gradcheck(chamfer_loss, (first, second))


def test_chamfer_refuses_nothing_and_batches_that_differ() -> None:
    with pytest.raises(ValueError, match="empty"):
        chamfer_loss(torch.zeros(0, 3), torch.zeros(3, 3))
    with pytest.raises(ValueError, match="same number"):
        chamfer_loss(torch.zeros(2, 4, 3), torch.zeros(3, 4, 3))


def test_losses_of_a_flat_grid() -> None:
    x, y = torch.meshgrid(torch.arange(3.0), torch.arange(3.0), indexing="ij")
    vertices = torch.stack([x, y, torch.zeros_like(x)], -1).reshape(-1, 3)
    squares = [(i * 3 + j, i * 3 + j + 3, i * 3 + j + 4, i * 3 + j + 1) for i in (0, 1) for j in (0, 1)]
    topology = MeshTopology.of([face for a, b, c, d in squares for face in ((a, b, c), (a, c, d))], 9)
    assert normal_consistency_loss(vertices, topology) == pytest.approx(0, abs=1e-6)
    assert edge_length_loss(vertices, topology) == pytest.approx((12 * 1 + 4 * 2) / 16)
    gradient = torch.autograd.grad(laplacian_loss(vertices.requires_grad_(), topology, "cotcurv"), vertices)[0]
    assert torch.isfinite(gradient).all(), "the inner vertex has L v = 0, where the length has a kink"


def test_two_faces_at_right_angles_have_the_loss_one() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert normal_consistency_loss(vertices, MeshTopology.of([[0, 1, 2], [0, 1, 3]], 4)) == pytest.approx(1)
    assert normal_consistency_loss(vertices, MeshTopology.of([[0, 1, 2], [1, 0, 3]], 4)) == pytest.approx(1)


@pytest.mark.parametrize("radius", [0.001, 1.0, 50.0])
def test_the_cotangent_laplacian_of_a_sphere_is_its_curvature(radius: float) -> None:
    vertices, topology = sphere(3, radius)
    # (1 / 4A) of the cotangent sum, with A the whole area of the faces around a vertex, is a third of the mean curvature 1 / r.
    assert laplacian_loss(vertices, topology, "cotcurv") == pytest.approx(1 / 3 / radius, rel=0.02)


def test_the_laplacian_pulls_a_spike_in() -> None:
    vertices, topology = sphere(1)
    spiked = vertices.clone()
    spiked[0] *= 2
    for method in ("uniform", "cot"):
        moving = spiked.clone().requires_grad_()
        laplacian_loss(moving, topology, method).backward()  # type: ignore[arg-type]
        assert moving.grad is not None
        assert (moving.grad[0] * vertices[0]).sum() > 0


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    vertices, topology = rough()
    assert torch.autograd.gradcheck(lambda v: LOSSES[name](v, topology), (vertices.requires_grad_(),))


@pytest.mark.parametrize("name", [*LOSSES, *CONSTANT_WEIGHTS])
def test_a_batch_has_the_mean_of_its_meshes(name: str) -> None:
    loss = (LOSSES | CONSTANT_WEIGHTS)[name]
    vertices, topology = rough()
    other = vertices * torch.tensor([1.0, 2.0, 0.5])
    apart = (loss(vertices, topology) + loss(other, topology)) / 2
    assert loss(torch.stack([vertices, other]), topology).item() == pytest.approx(apart.item())


@pytest.mark.parametrize("name", [*LOSSES, *CONSTANT_WEIGHTS])
@pytest.mark.parametrize(
    "faces",
    [[], [[0, 1, 2]], [[0, 1, 1]], [[0, 1, 3]], [[0, 1, 2], [0, 1, 3], [0, 1, 4], [2, 1, 0]]],
    ids=["no faces", "one", "repeated vertex", "no area", "not manifold"],
)
def test_odd_meshes_have_finite_losses_and_gradients(name: str, faces: list[list[int]]) -> None:
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0], [0, 0, 1], [5, 5, 5]], requires_grad=True)
    topology = MeshTopology.of(torch.tensor(faces, dtype=torch.int64).reshape(-1, 3), len(vertices))
    loss = (LOSSES | CONSTANT_WEIGHTS)[name](vertices, topology)
    (gradient,) = torch.autograd.grad(loss, vertices)
    assert math.isfinite(loss.detach())
    assert torch.isfinite(gradient).all()
    if not faces:
        assert loss == 0


def test_collapsed_meshes_have_finite_gradients() -> None:
    _, topology = sphere(0)
    for loss in (LOSSES | CONSTANT_WEIGHTS).values():
        vertices = torch.zeros(topology.vertex_count, 3, requires_grad=True)
        (gradient,) = torch.autograd.grad(loss(vertices, topology), vertices)
        assert torch.isfinite(gradient).all()


def test_wrong_arguments_are_refused() -> None:
    vertices, topology = sphere(0)
    with pytest.raises(ValueError, match="vertices must be"):
        edge_length_loss(vertices[:-1], topology)
    with pytest.raises(ValueError, match="uniform, cot or cotcurv"):
        laplacian_loss(vertices, topology, "cotan")  # type: ignore[arg-type]


def test_faces_may_stand_for_their_topology() -> None:
    vertices, topology = rough()
    for loss in (LOSSES | CONSTANT_WEIGHTS).values():
        assert loss(vertices, topology.faces) == loss(vertices, topology)  # type: ignore[arg-type]
