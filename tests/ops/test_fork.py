"""Native kernels run in forked data-loading workers, even after the parent has used several threads."""

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from deep3dmap.ops import integrate, rasterize

INTRINSICS = torch.tensor([[20.0, 0, 10], [0, 20, 10], [0, 0, 1]])


def _results() -> torch.Tensor:
    vertices = torch.tensor([[0.0, 0, 1], [50, 0, 1], [0, 50, 2]])
    seen = rasterize(vertices, torch.tensor([[0, 1, 2]]), 64, 64, backend="native")
    tsdf, weight = torch.ones(8, 8, 40), torch.zeros(8, 8, 40)
    origin = torch.tensor([-0.1, -0.1, 1.0])
    integrate(tsdf, weight, torch.full((20, 20), 2.0), INTRINSICS, torch.eye(4), origin, 0.05, 0.2, backend="native")
    return torch.stack([seen.depth.sum(), tsdf.sum(), weight.sum()])


class _Kernels(Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        return _results()


@pytest.mark.timeout(120)
def test_forked_workers_do_not_hang() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        here = _results()
        loader = DataLoader(_Kernels(), batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=60)
        there = list(loader)
    finally:
        torch.set_num_threads(before)
    assert here[1] < 8 * 8 * 40
    assert len(there) == 4
    assert all(torch.equal(here, result) for result in there)
