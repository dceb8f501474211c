"""Contenders timed side by side compute the same results, and the problems match their titles in the tables."""

import math
import os
from collections.abc import Callable, Iterable
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv3d

from deep3dmap.ops import upfirdn2d
from deep3dmap.ops.rasterize import rasterize
from deep3dmap.render.volume import box_interval

# The modules set the number of threads of the process in which they measure.
with mock.patch.dict(os.environ):
    from deep3dmap.benchmarks.kernels import (
        back_project,
        neighbour_search,
        radiance,
        rasterize_soft,
        sparse_conv,
        stylegan_ops,
    )
    from deep3dmap.benchmarks.kernels import rasterize as rasterizing


def same(results: Iterable[Any], atol: float = 1e-5, rtol: float = 1e-5) -> None:
    """Compare all results, tensors or tuples of them, with the first."""
    first, *others = ([result] if isinstance(result, Tensor) else list(result) for result in results)
    assert others
    for other in others:
        for mine, theirs in zip(first, other, strict=True):
            torch.testing.assert_close(theirs, mine, atol=atol, rtol=rtol)


def test_nearest_neighbours_and_the_gradient_of_the_chamfer_distance() -> None:
    points, targets = neighbour_search.surfaces(400)
    assert torch.allclose(points.norm(dim=1), torch.ones(400))
    assert 1.0 < float(targets.norm(dim=1).mean()) < 1.04
    calls, absent = neighbour_search.searches(points, targets)
    same([call() for call in calls.values()])
    calls, more_absent = neighbour_search.chamfers(points, targets)
    same([call() for call in calls.values()])
    assert all("pytorch3d" in name for name in absent | more_absent)


def test_back_projection() -> None:
    given = back_project.fragment(24)
    few = back_project.Fragment(given.features[:, :3], given.projection, given.positions[::97], given.gradient[::97, :3])
    same([back_project.call(name, few, backward=False)() for name in back_project.MEANS], atol=1e-4)  # type: ignore[misc]
    same([back_project.call(name, few, backward=True)() for name in back_project.MEANS], atol=1e-4)  # type: ignore[misc]


def test_the_voxels_are_a_sheet_of_three_layers_in_order() -> None:
    coordinates = sparse_conv.surface(1200)
    assert len(coordinates) == 3 * 20**2
    assert torch.equal(coordinates, torch.unique(coordinates, dim=0))
    columns = coordinates[:, 1] * 20 + coordinates[:, 2]
    heights = [coordinates[columns == column, 3] for column in range(400)]
    assert all(torch.equal(height.diff(), torch.ones(2, dtype=torch.int32)) for height in heights)


def test_sparse_convolutions_and_their_gradients() -> None:
    given = sparse_conv.problem(300, 4)
    found, _ = sparse_conv.contenders(given)
    sparse_conv.agree(given, found)
    ours = {name: pair for name, pair in found.items() if name != "spconv"}
    same([sparse_conv.forward_and_backward(given, *pair)() for pair in ours.values()], atol=1e-4)  # type: ignore[misc]
    assert given.operations == 2 * int(given.pairs.splits[-1]) * 4 * 4
    assert [len(block) for block in sparse_conv.product(given)()] == given.pairs.splits.diff().tolist()  # type: ignore[attr-defined]
    wrong = {**found, "wrong": (lambda features, weight: 2 * found["native"][0](features, weight), given.weight)}
    with pytest.raises(ValueError, match="wrong differs from the result of native"):
        sparse_conv.agree(given, wrong)


def test_the_weights_for_spconv_are_those_of_a_dense_convolution() -> None:
    """Tested on a grid without holes; x, y, z are its axes."""
    line = torch.arange(5)
    grid = torch.stack(torch.meshgrid(torch.zeros(1).long(), line, line, line, indexing="ij"), -1).reshape(-1, 4).int()
    features, weight = torch.randn(125, 2), torch.randn(27, 2, 3)
    given = sparse_conv.Problem(grid, features, weight, features, sparse_conv.our_map(grid))
    sparse = sparse_conv.forward(given, *sparse_conv.contenders(given)[0]["native"])()
    volume = features.reshape(1, 5, 5, 5, 2).permute(0, 4, 1, 2, 3)
    filters = sparse_conv.spconv_filters(weight).permute(0, 4, 1, 2, 3)
    dense = conv3d(volume, filters, padding=1)[0].permute(1, 2, 3, 0).reshape(125, 3)
    torch.testing.assert_close(sparse, dense, atol=1e-4, rtol=1e-4)


def test_rays_meet_the_box_and_the_shell_has_its_volume() -> None:
    rays = radiance.rays_into_the_box(500, "cpu")
    near, far = box_interval(rays, torch.tensor([[-1.0] * 3, [1.0] * 3]))
    assert (near < far).all()
    torch.testing.assert_close(rays.origins.norm(dim=1), torch.full((500,), 3.0))
    occupied = radiance.shell(128, "cpu")
    inner, outer = radiance.SHELL
    assert float(occupied.double().mean()) == pytest.approx(4 / 3 * math.pi * (outer**3 - inner**3) / 8, rel=0.01)


def test_marching() -> None:
    rays, occupied = radiance.rays_into_the_box(40, "cpu"), radiance.shell(16, "cpu")
    found = [radiance.samples_of(rays, occupied, one, steps=64) for one in ("native", "reference")]
    same(found)
    # All steps have the same length, whatever the rays meet.
    assert torch.allclose(found[0].lengths, torch.tensor(2 * 3**0.5 / 64))


def test_the_loss_of_a_training_step_and_what_it_keeps() -> None:
    rays, occupied = radiance.rays_into_the_box(40, "cpu"), radiance.shell(16, "cpu")
    steps = {one: radiance.FieldUpdate(radiance.Size(2, 8, 8), rays, occupied, one) for one in ("native", "reference")}
    found = radiance.samples_of(rays, occupied, "native")
    same([step._loss(found) for step in steps.values()])
    for step in steps.values():
        before = step._loss(found).item()
        for _ in range(20):
            step()
        assert step._loss(found).item() < before
        assert step.samples == len(found.distances)
    # For its gradient, the reference keeps the corners of every level, whereas the kernel keeps the positions.
    assert 0 < steps["native"].bytes_kept < steps["reference"].bytes_kept


def test_filters_and_rectifiers_up_to_the_double_backward() -> None:
    torch.manual_seed(0)
    values = torch.randn(2, stylegan_ops.CHANNELS, 9, 9)
    ops = dict(stylegan_ops._ops("cpu"))
    assert len(ops) == 4
    for call in ops.values():
        for order in stylegan_ops.ORDERS:
            results = []
            for backend in ("native", "reference"):
                torch.manual_seed(1)
                results.append(stylegan_ops._differentiate(lambda x, b=backend, c=call: c(x, b), values, order, "cpu")())  # type: ignore[misc]
            same(results, atol=1e-4)


def test_a_generator_in_plain_torch_calls_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = stylegan_ops.Generator(stylegan_ops.StyleGAN2Size(16, 8, 2, 32, 16))
    z = torch.randn(2, 8)
    asked: list[Any] = []

    def watched(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(*given: Any, **settings: Any) -> Tensor:
            asked.append(settings.get("backend", "auto"))
            return op(*given, **settings)

        return call

    monkeypatch.setattr(stylegan_ops, "upfirdn2d", watched(upfirdn2d))
    monkeypatch.setattr(stylegan_ops, "fused_leaky_relu", watched(stylegan_ops.fused_leaky_relu))
    form = stylegan_ops.modulated.ModulatedConvolution.form
    with torch.no_grad():
        plain = stylegan_ops._plain_torch(lambda: network(z))()
        assert asked
        assert set(asked) == {"reference"}
        count = len(asked)
        torch.testing.assert_close(network(z), plain, atol=1e-4, rtol=1e-4)
    assert len(asked) == count
    assert stylegan_ops.modulated.ModulatedConvolution.form == form


def test_the_bumpy_sphere_and_the_renderer_that_draws_it(capsys: pytest.CaptureFixture[str]) -> None:
    size = 64
    given = rasterizing.scene(400, size)
    assert len(given.faces) == pytest.approx(400, rel=0.1)
    points = rasterizing.in_camera(given, size)
    away = (points - torch.tensor([0.0, 0, 3])).norm(dim=1)
    assert 0.94 < float(away.min()) <= float(away.max()) < 1.06
    seen = rasterizing.hard_renderer(given, size, gradients=True)()
    depth = rasterize(given.vertices, given.faces, size, size).depth
    torch.testing.assert_close(seen.depth.detach(), depth, atol=1e-4, rtol=1e-4)  # type: ignore[attr-defined]
    calls, absent = rasterizing.contenders(given, size)
    assert all(absent.values())
    for line in capsys.readouterr().out.splitlines():
        assert line.endswith("differs by more than 5 mm: 0.00 %")
    assert len(calls) >= 3


def test_the_blur_of_a_soft_face_ends_where_its_sigmoid_does() -> None:
    for size in (256, 512):
        in_ndc = rasterize_soft.blur_radius(size) * 2 / size
        assert 1 / (1 + math.exp(in_ndc**2 / rasterize_soft.SIGMA)) == pytest.approx(1e-4)
    given = rasterizing.scene(200)
    half = rasterize_soft.resized(given, rasterizing.SIZE // 2)
    torch.testing.assert_close(half.vertices[:, :2], given.vertices[:, :2] / 2)
    assert torch.equal(half.vertices[:, 2], given.vertices[:, 2])
