"""Sparse convolution and coordinates: against dense convolution and plain Python, gradients, agreement of all backends."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from deep3dmap.core import UserError
from deep3dmap.ops.sparse import (
    KernelMap,
    available_sparse_backends,
    downsample,
    kernel_map,
    kernel_offsets,
    lookup,
    native_features,
    native_maps,
    sparse_conv3d,
    unique_coordinates,
)

BACKENDS = ("native", "reference", "spconv", "torchsparse")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    if request.param not in available_sparse_backends():
        pytest.skip(f"{request.param} is not there")
    return str(request.param)


def some_coordinates(rng: np.random.Generator, most: int = 150) -> Tensor:
    """Distinct rows in no particular order, some negative, in up to three batch elements."""
    rows = rng.integers(-5, 6, (int(rng.integers(0, most)), 4))
    rows[:, 0] = rng.integers(0, 3, len(rows))
    rows[:, 1:] += rng.integers(-1000, 1000, 3)
    distinct = np.unique(rows, axis=0)
    return torch.from_numpy(rng.permutation(distinct)).int()


@dataclass
class Problem:
    features: Tensor
    weight: Tensor
    inputs: Tensor
    outputs: Tensor
    offsets: Tensor
    transposed: bool

    def map(self, backend: str) -> KernelMap:
        pairs = kernel_map(self.inputs, self.outputs, self.offsets, backend)  # type: ignore[arg-type]
        return pairs.reversed() if self.transposed else pairs


def problem(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    kernel_size, stride = [(3, 1), (2, 2), (3, 2), (1, 2), (5, 1)][int(rng.integers(5))]
    scale = int(rng.choice([1, 2, 4]))
    inputs = some_coordinates(rng) * torch.tensor([1, scale, scale, scale], dtype=torch.int32)
    outputs = inputs if stride == 1 else downsample(inputs, scale * stride)
    transposed = bool(rng.random() < 0.4)
    channels_in, channels_out = (int(value) for value in rng.integers(1, 40, 2))
    features = torch.randn(len(outputs if transposed else inputs), channels_in)
    weight = torch.randn(kernel_size**3, channels_in, channels_out)
    return Problem(features, weight, inputs, outputs, kernel_offsets(kernel_size, scale), transposed)


def convolve(given: Problem, backend: str) -> tuple[Tensor, Tensor, Tensor]:
    features, weight = given.features.clone().requires_grad_(), given.weight.clone().requires_grad_()
    result = sparse_conv3d(features, weight, given.map(backend), backend)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    loss = (result * torch.randn(result.shape, generator=generator).to(result.device)).sum()
    return (result.detach(), *torch.autograd.grad(loss, (features, weight)))


@pytest.mark.parametrize("block", range(4))
def test_a_backend_computes_what_the_reference_does_in_random_problems(block: int, backend: str) -> None:
    if backend == "reference":
        pytest.skip("it is the reference")
    step = 1 if backend == "native" else 5
    for seed in range(50 * block, 50 * (block + 1), step):
        given = problem(seed)
        ours, theirs = given.map(backend), given.map("reference")
        assert torch.equal(ours.splits, theirs.splits), seed
        assert torch.equal(ours.in_rows, theirs.in_rows), seed
        assert torch.equal(ours.out_rows, theirs.out_rows), seed
        for one, other in zip(convolve(given, backend), convolve(given, "reference"), strict=True):
            torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-4, msg=lambda text, seed=seed: f"{seed}: {text}")


@pytest.mark.parametrize("seed", range(20))
def test_coordinates_are_those_of_plain_python(seed: int) -> None:
    rng = np.random.default_rng(seed)
    coordinates = some_coordinates(rng)
    doubled = coordinates[torch.from_numpy(rng.integers(0, len(coordinates), 300 if len(coordinates) else 0))]
    unique, inverse = unique_coordinates(doubled)
    assert [tuple(row) for row in unique.tolist()] == sorted({tuple(row) for row in doubled.tolist()})
    assert torch.equal(unique[inverse], doubled)
    rows = {tuple(row): index for index, row in enumerate(coordinates.tolist())}
    queries = coordinates + torch.from_numpy(rng.integers(-2, 3, coordinates.shape)).int()
    found = [rows.get(tuple(row), -1) for row in queries.tolist()]
    assert lookup(coordinates, queries).tolist() == lookup(coordinates, queries, "reference").tolist() == found
    coarse = {(b, *(axis // 4 * 4 for axis in axes)) for b, *axes in coordinates.tolist()}
    assert [tuple(row) for row in downsample(coordinates, 4).tolist()] == sorted(coarse)


def test_pairs_are_those_of_plain_python() -> None:
    given = problem(3)
    pairs = kernel_map(given.inputs, given.outputs, given.offsets)
    rows = {tuple(row): index for index, row in enumerate(given.inputs.tolist())}
    expected = [
        (rows[b, x + dx, y + dy, z + dz], o, k)
        for k, (dx, dy, dz) in enumerate(given.offsets.tolist())
        for o, (b, x, y, z) in enumerate(given.outputs.tolist())
        if (b, x + dx, y + dy, z + dz) in rows
    ]
    groups = torch.repeat_interleave(torch.arange(len(given.offsets)), pairs.splits.diff())
    assert list(zip(pairs.in_rows.tolist(), pairs.out_rows.tolist(), groups.tolist(), strict=True)) == expected


def test_offsets_have_the_order_of_torchsparse() -> None:
    assert kernel_offsets(3, 2)[[0, 1, 3, 9, 13]].tolist() == [[-2, -2, -2], [0, -2, -2], [-2, 0, -2], [-2, -2, 0], [0, 0, 0]]
    assert kernel_offsets(2, 1)[[1, 2, 4]].tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]


def full_grid(size: int, batch: int, start: int = 0) -> Tensor:
    axis = torch.arange(start, start + size)
    return torch.stack(torch.meshgrid(torch.arange(batch), axis, axis, axis, indexing="ij"), -1).reshape(-1, 4).int()


def dense(features: Tensor, size: int, batch: int) -> Tensor:
    return features.reshape(batch, size, size, size, -1).permute(0, 4, 1, 2, 3)


def rows_of(volume: Tensor) -> Tensor:
    return volume.permute(0, 2, 3, 4, 1).reshape(-1, volume.shape[1])


def dense_weight(weight: Tensor) -> Tensor:
    """(K, Cin, Cout) in the order of the offsets -> (Cout, Cin, x, y, z)."""
    size = round(len(weight) ** (1 / 3))
    grid = weight.reshape(size, size, size, *weight.shape[1:])
    return grid.permute(4, 3, 2, 1, 0) if size % 2 else grid.permute(4, 3, 0, 1, 2)


@pytest.mark.parametrize("start", [0, -4])
def test_a_full_grid_convolves_as_a_dense_one(start: int, backend: str) -> None:
    torch.manual_seed(0)
    grid = full_grid(6, 2, start)
    features, weight = torch.randn(len(grid), 4), torch.randn(27, 4, 5)
    pairs = kernel_map(grid, grid, kernel_offsets(3, 1))
    expected = functional.conv3d(dense(features, 6, 2), dense_weight(weight), padding=1)
    result = sparse_conv3d(features, weight, pairs, backend)  # type: ignore[arg-type]
    torch.testing.assert_close(result, rows_of(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_strides_and_their_transposition_are_the_dense_ones(kernel_size: int, backend: str) -> None:
    torch.manual_seed(0)
    grid = full_grid(6, 2, start=-2)
    coarse = downsample(grid, 2)
    weight = torch.randn(kernel_size**3, 4, 5)
    down = kernel_map(grid, coarse, kernel_offsets(kernel_size, 1))
    padding = kernel_size // 2 if kernel_size % 2 else 0
    features = torch.randn(len(grid), 4)
    expected = functional.conv3d(dense(features, 6, 2), dense_weight(weight), stride=2, padding=padding)
    result = sparse_conv3d(features, weight, down, backend)  # type: ignore[arg-type]
    torch.testing.assert_close(result, rows_of(expected), atol=1e-4, rtol=1e-4)
    features = torch.randn(len(coarse), 4)
    flipped = dense_weight(weight).transpose(0, 1)
    more = {"output_padding": 1, "padding": 1} if kernel_size == 3 else {}
    expected = functional.conv_transpose3d(dense(features, 3, 2), flipped, stride=2, **more)  # type: ignore[arg-type]
    result = sparse_conv3d(features, weight, down.reversed(), backend)  # type: ignore[arg-type]
    torch.testing.assert_close(result, rows_of(expected), atol=1e-4, rtol=1e-4)


def test_a_map_is_turned_round_without_looking_at_its_pairs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """This happens in every forward pass of a transposed convolution, and on CUDA the check would synchronise."""
    grid = full_grid(4, 1, 0)
    down = kernel_map(grid, downsample(grid, 2), kernel_offsets(2, 1))
    monkeypatch.setattr(KernelMap, "__post_init__", lambda _: pytest.fail("checked again"))
    up = down.reversed()
    assert (up.inputs, up.outputs) == (down.outputs, down.inputs) == (8, 64)
    assert up.in_rows is down.out_rows
    assert up.out_rows is down.in_rows
    assert up.splits is down.splits
    assert up.reversed() == down


@pytest.mark.parametrize("seed", range(4))
def test_gradients_of_the_reference(seed: int) -> None:
    given = problem(seed)
    features = given.features[:, :2].double().requires_grad_()
    weight = given.weight[:, : features.shape[1], :2].double().requires_grad_()
    pairs = given.map("reference")
    check = torch.autograd.gradcheck
    assert check(lambda f, w: sparse_conv3d(f, w, pairs, "reference"), (features, weight), fast_mode=True)


def test_nothing_and_one_voxel(backend: str) -> None:
    none, one = torch.empty(0, 4, dtype=torch.int32), torch.tensor([[2, -7, 3, 1]], dtype=torch.int32)
    weight = torch.randn(27, 3, 2)
    for inputs, outputs in ((none, none), (none, one), (one, none), (one, one)):
        pairs = kernel_map(inputs, outputs, kernel_offsets(3, 1))
        features = torch.randn(len(inputs), 3, requires_grad=True)
        result = sparse_conv3d(features, weight, pairs, backend)  # type: ignore[arg-type]
        expected = features @ weight[13] if len(inputs) and len(outputs) else torch.zeros(len(outputs), 2)
        torch.testing.assert_close(result, expected)
        result.sum().backward()
        assert features.grad is not None
    assert downsample(none, 2).shape == (0, 4)
    assert lookup(none, one).tolist() == [-1]
    assert [len(part) for part in unique_coordinates(none)] == [0, 0]


def test_batch_elements_do_not_meet() -> None:
    coordinates = torch.tensor([[0, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0]], dtype=torch.int32)
    pairs = kernel_map(coordinates, coordinates, kernel_offsets(3, 1))
    met = set(zip(pairs.in_rows.tolist(), pairs.out_rows.tolist(), strict=True))
    assert met == {(0, 0), (1, 1), (2, 2), (0, 2), (2, 0)}


def test_the_range_of_coordinates_ends_without_wrapping_round() -> None:
    low, high = -(1 << 17), (1 << 17) - 1
    edge = torch.tensor([[0, low, low, low], [511, high, high, high], [0, high, 0, 0]], dtype=torch.int32)
    assert unique_coordinates(edge)[0].tolist() == sorted(edge.tolist())
    beyond = edge + torch.tensor([[0, -1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]], dtype=torch.int32)
    assert lookup(edge, beyond).tolist() == [-1, -1, -1]
    for row in beyond:
        with pytest.raises(ValueError, match="must lie from -131072 to 131071"):
            unique_coordinates(row[None])
    assert kernel_map(edge, edge, kernel_offsets(3, 1)).splits[-1] == 3


def test_wrong_arguments_are_named() -> None:
    one = torch.tensor([[0, 0, 0, 0]], dtype=torch.int32)
    pairs = kernel_map(one, one, kernel_offsets(3, 1))
    with pytest.raises(ValueError, match="coordinates must be int32"):
        unique_coordinates(one.long())
    with pytest.raises(ValueError, match=r"features must be \(1, Cin\)"):
        sparse_conv3d(torch.zeros(2, 3), torch.zeros(27, 3, 2), pairs)
    with pytest.raises(ValueError, match=r"weight must be \(27, 3, Cout\)"):
        sparse_conv3d(torch.zeros(1, 3), torch.zeros(8, 3, 2), pairs)
    with pytest.raises(ValueError, match="one floating-point type"):
        sparse_conv3d(torch.zeros(1, 3), torch.zeros(27, 3, 2, dtype=torch.float64), pairs)
    with pytest.raises(ValueError, match="positive"):
        kernel_offsets(0, 1)
    with pytest.raises(ValueError, match="stride must be positive"):
        downsample(one, 0)
    with pytest.raises(ValueError, match="offsets must be int32"):
        kernel_map(one, one, torch.zeros(3, 2, dtype=torch.int32))
    with pytest.raises(ValueError, match="backend must be auto"):
        sparse_conv3d(torch.zeros(1, 3), torch.zeros(27, 3, 2), pairs, "best")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_that_is_not_there_is_named(name: str) -> None:
    if name in available_sparse_backends():
        pytest.skip(f"{name} is there")
    one = torch.tensor([[0, 0, 0, 0]], dtype=torch.int32)
    pairs = kernel_map(one, one, kernel_offsets(1, 1))
    with pytest.raises(UserError, match=f"backend={name}"):
        sparse_conv3d(torch.zeros(1, 3), torch.zeros(1, 3, 2), pairs, name)  # type: ignore[arg-type]


def test_the_native_operators_pass_the_checks_of_torch() -> None:
    given = problem(1)
    pairs = given.map("native")
    rows = (pairs.in_rows, pairs.out_rows, pairs.splits)
    features, weight = given.features.requires_grad_(), given.weight.requires_grad_()
    gradient = torch.randn(pairs.outputs, weight.shape[2])
    check = torch.library.opcheck
    check(native_features.convolve, (features, weight, *rows, pairs.outputs))
    check(native_features.weight_gradient, (features.detach(), gradient, *rows))
    check(native_maps.table, (given.inputs, given.outputs.clone(), given.offsets))
    check(native_maps.lookup, (given.inputs, given.outputs))


def test_threads_do_not_change_the_native_result() -> None:
    results, before = [], torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        results.append([convolve(problem(seed), "native") for seed in range(8)])
    torch.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.gpu
@pytest.mark.parametrize("name", BACKENDS)
def test_cuda_computes_what_the_cpu_does(name: str) -> None:
    if name not in available_sparse_backends("cuda"):
        pytest.skip(f"{name} is not there")
    for seed in range(20):
        given = problem(seed)
        there = Problem(
            *(value.cuda() for value in (given.features, given.weight, given.inputs, given.outputs)),
            given.offsets,
            given.transposed,
        )
        ours, theirs = there.map(name), given.map("reference")
        assert torch.equal(ours.in_rows.cpu(), theirs.in_rows)
        assert torch.equal(ours.out_rows.cpu(), theirs.out_rows)
        for one, other in zip(convolve(there, name), convolve(given, "reference"), strict=True):
            torch.testing.assert_close(one.cpu(), other, atol=1e-2, rtol=1e-3)
