"""The native sparse kernels as torch operators, with fake kernels and gradients.

Called for a device as `<name>_cpu` or `<name>_cuda`; everything is contiguous, outputs are allocated here:

    sparse_lookup(coordinates (N, 4) int32, queries (Q, 4) int32, rows (Q,) int64)
        rows of the queries, -1 = absent
    sparse_neighbours(inputs (N, 4) int32, outputs (M, 4) int32, offsets (K, 3) int32, table (K, M) int32)
        table[k, o] = row of outputs[o] + offsets[k] among the inputs, -1 = absent
    sparse_conv_forward(features (N, Cin), weight (K, Cin, Cout), in_rows (P,) int32, out_rows (P,) int32,
                        splits (K + 1,) int64 on the CPU, result (M, Cout), all zeros)
    sparse_conv_weight_gradient(features (N, Cin), gradient (M, Cout), in_rows, out_rows, splits, result (K, Cin, Cout))
"""

from typing import Any

import torch
from torch import Tensor

from deep3dmap.ops._backend import run_native

DEVICES = ("cpu", "cuda")


@torch.library.custom_op("deep3dmap::sparse_lookup", mutates_args=(), device_types=DEVICES)
def lookup(coordinates: Tensor, queries: Tensor) -> Tensor:
    """See `deep3dmap.ops.sparse.lookup`; both within the range of a key."""
    rows = torch.empty(len(queries), dtype=torch.int64, device=queries.device)
    run_native("sparse_lookup", coordinates.device, coordinates.contiguous(), queries.contiguous(), rows)
    return rows


@lookup.register_fake
def _(coordinates: Tensor, queries: Tensor) -> Tensor:
    return queries.new_empty(queries.shape[0], dtype=torch.int64)


@torch.library.custom_op("deep3dmap::sparse_neighbours", mutates_args=(), device_types=DEVICES)
def neighbours(inputs: Tensor, outputs: Tensor, offsets: Tensor) -> Tensor:
    """Return (K, M) int32: the row of each output + offset among the inputs, -1 = absent."""
    table = torch.empty(len(offsets), len(outputs), dtype=torch.int32, device=outputs.device)
    given = (inputs.contiguous(), outputs.contiguous(), offsets.to(inputs.device).contiguous())
    run_native("sparse_neighbours", inputs.device, *given, table)
    return table


@neighbours.register_fake
def _(inputs: Tensor, outputs: Tensor, offsets: Tensor) -> Tensor:
    return outputs.new_empty(offsets.shape[0], outputs.shape[0])


def kernel_pairs(inputs: Tensor, outputs: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """Return what `reference.kernel_pairs` does."""
    table = neighbours(inputs, outputs, offsets)
    met = table >= 0
    out_rows = met.nonzero()[:, 1].to(torch.int32)
    return table[met], out_rows, met.sum(1).tolist()


@torch.library.custom_op("deep3dmap::sparse_convolve", mutates_args=(), device_types=DEVICES)
def convolve(features: Tensor, weight: Tensor, in_rows: Tensor, out_rows: Tensor, splits: Tensor, outputs: int) -> Tensor:
    """Return what `reference.convolve` does, float32."""
    result = features.new_zeros(outputs, weight.shape[2])
    given = [value.contiguous() for value in (features, weight, in_rows, out_rows, splits)]
    run_native("sparse_conv_forward", features.device, *given, result)
    return result


@convolve.register_fake
def _(features: Tensor, weight: Tensor, in_rows: Tensor, out_rows: Tensor, splits: Tensor, outputs: int) -> Tensor:
    return features.new_empty(outputs, weight.shape[2])


@torch.library.custom_op("deep3dmap::sparse_weight_gradient", mutates_args=(), device_types=DEVICES)
def weight_gradient(features: Tensor, gradient: Tensor, in_rows: Tensor, out_rows: Tensor, splits: Tensor) -> Tensor:
    """Return (K, Cin, Cout): for each offset the sum over its pairs of features[i] times gradient[o]."""
    result = features.new_zeros(len(splits) - 1, features.shape[1], gradient.shape[1])
    given = [value.contiguous() for value in (features, gradient, in_rows, out_rows, splits)]
    run_native("sparse_conv_weight_gradient", features.device, *given, result)
    return result


@weight_gradient.register_fake
def _(features: Tensor, gradient: Tensor, in_rows: Tensor, out_rows: Tensor, splits: Tensor) -> Tensor:
    return features.new_empty(splits.shape[0] - 1, features.shape[1], gradient.shape[1])


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:5])


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    features, weight, in_rows, out_rows, splits = ctx.saved_tensors
    of_features = of_weight = None
    if ctx.needs_input_grad[0]:
        of_features = convolve(gradient, weight.transpose(1, 2), out_rows, in_rows, splits, features.shape[0])
    if ctx.needs_input_grad[1]:
        of_weight = weight_gradient(features, gradient, in_rows, out_rows, splits)
    return of_features, of_weight, None, None, None, None


convolve.register_autograd(_backward, setup_context=_setup)
