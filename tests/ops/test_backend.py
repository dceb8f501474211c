"""Backend selection: native if built, else the reference with one warning, and never another one silently."""

import warnings

import pytest
import torch

from deep3dmap import ops
from deep3dmap.core import UserError
from deep3dmap.ops import _backend

VERTICES = torch.tensor([[1.0, 1.0, 2.0], [9.0, 1.0, 2.0], [1.0, 9.0, 2.0]])
FACES = torch.tensor([[0, 1, 2]])


def draw(backend: str = "auto", device: str = "cpu") -> ops.Fragments:
    return ops.rasterize(VERTICES.to(device), FACES.to(device), 10, 10, backend=backend)  # type: ignore[arg-type]


def test_native_was_built() -> None:
    assert ops.available_backends() == ("native", "reference")
    build = ops.native_build_hash()
    assert build is not None
    assert len(build) == 12


def test_auto_takes_the_reference_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    native = draw("native")
    monkeypatch.setattr(_backend, "native", lambda: None)
    _backend._warn_once.cache_clear()
    assert ops.available_backends() == ("reference",)
    with pytest.warns(UserWarning, match="slower torch reference"):
        reference = draw()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw()
        draw("reference")
    assert all(torch.equal(a, b) for a, b in zip(native, reference))
    with pytest.raises(UserError, match="backend=reference"):
        draw("native")


def test_unknown_backends_and_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="not 'fast'"):
        draw("fast")
    with pytest.raises(UserError, match=r"no native kernel was built for meta tensors; use backend=reference"):
        _backend.choose("auto", "meta")


@pytest.mark.gpu
@pytest.mark.parametrize("perspective", [True, False])
def test_cuda_equals_cpu(perspective: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.rand(300, 3, generator=generator) * torch.tensor([64.0, 64.0, 1.0]) + torch.tensor([0, 0, 1.0])
    faces = torch.randint(0, 300, (500, 3), generator=generator)
    here = ops.rasterize(vertices, faces, 64, 64, perspective=perspective)
    there = ops.rasterize(vertices.cuda(), faces.cuda(), 64, 64, perspective=perspective)
    assert torch.equal(here.face_id, there.face_id.cpu())
    torch.testing.assert_close(here.depth, there.depth.cpu())
    torch.testing.assert_close(here.barycentrics, there.barycentrics.cpu(), atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
def test_cuda_volumes_equal_cpu_volumes() -> None:
    depth, image = torch.full((48, 64), 1.5), torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(0))
    intrinsics = torch.tensor([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]])
    volumes = []
    for device in ("cpu", "cuda"):
        tsdf, weight, color = (torch.full(shape, value, device=device) for shape, value in
                               (((32, 32, 32), 1.0), ((32, 32, 32), 0.0), ((3, 32, 32, 32), 0.0)))  # fmt: skip
        camera = (intrinsics, torch.eye(4), torch.tensor([-0.8, -0.8, 0.5]))
        ops.integrate(tsdf, weight, depth.to(device), *camera, 0.05, 0.2, color=color, image=image.to(device))
        volumes.append([value.cpu() for value in (tsdf, weight, color)])
    differing = (volumes[0][1] != volumes[1][1]).float().mean()
    assert differing <= 0.001
    assert ((volumes[0][0] - volumes[1][0]).abs() > 1e-4).float().mean() <= 0.001
    assert ((volumes[0][2] - volumes[1][2]).abs() > 1e-3).float().mean() <= 0.001
