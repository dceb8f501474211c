"""StyleGAN2's two ops against the official code's, with gradients and a second derivative."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.ops.fused_leaky_relu import fused_leaky_relu
from deep3dmap.ops.upfirdn2d import upfirdn2d

Load = Callable[[str], Any]
Error = Callable[[Tensor, np.ndarray], float]
TOLERANCE = 1e-5


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_upfirdn2d(load_part: Load, relative_error: Error, backend: str) -> None:
    part = load_part("stylegan2/upfirdn2d")
    for case in part.manifest["settings"]["cases"]:
        name = case["name"]
        images = part.tensor(f"{name}/x").clone().requires_grad_()
        settings = {"up": case["up_xy"], "down": case["down_xy"], "padding": case["pad_x0_x1_y0_y1"]}
        out = upfirdn2d(images, part.tensor(f"{name}/kernel"), **settings, backend=backend)  # type: ignore[arg-type]
        assert relative_error(out, part.arrays[f"{name}/y"]) < TOLERANCE, name
        (gradient,) = torch.autograd.grad((out * part.tensor(f"{name}/cot")).sum(), images)
        assert relative_error(gradient, part.arrays[f"{name}/grad_x"]) < TOLERANCE, name


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("case", ["nc", "nchw", "ncl", "nobias"])
def test_fused_leaky_relu(load_part: Load, relative_error: Error, backend: str, case: str) -> None:
    part = load_part("stylegan2/fused_leaky_relu")
    settings = part.manifest["settings"]
    values = part.tensor(f"{case}/x").clone().requires_grad_()
    bias = part.tensor(f"{case}/bias").clone().requires_grad_() if f"{case}/bias" in part.arrays else None
    out = fused_leaky_relu(values, bias, settings["negative_slope"], settings["scale"], backend)  # type: ignore[arg-type]
    assert relative_error(out, part.arrays[f"{case}/y"]) < TOLERANCE
    if bias is None:
        return
    cotangent = part.tensor(f"{case}/cot").clone().requires_grad_()
    gradients = torch.autograd.grad((out * cotangent).sum(), (values, bias), create_graph=True)
    for gradient, name in zip(gradients, ("grad_x", "grad_bias")):
        assert relative_error(gradient, part.arrays[f"{case}/{name}"]) < TOLERANCE
    (second,) = torch.autograd.grad((gradients[0] * part.tensor(f"{case}/v")).sum(), cotangent)
    assert relative_error(second, part.arrays[f"{case}/grad_cot_of_sum_gradx_v"]) < TOLERANCE
