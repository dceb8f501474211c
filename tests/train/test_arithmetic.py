"""The numerical settings of torch in a run."""

from collections.abc import Iterator

import pytest
import torch

from deep3dmap.config.schema import TrainerConfig
from deep3dmap.train.arithmetic import set_arithmetic


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    precision = torch.get_float32_matmul_precision()
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision(precision)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_products_are_rounded_on_request_alone_and_the_next_run_undoes_it(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    set_arithmetic(TrainerConfig(precision="tf32"))
    assert torch.get_float32_matmul_precision() == "high"
    set_arithmetic(TrainerConfig(precision=precision))
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_machine_without_a_gpu_computes_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    torch.set_float32_matmul_precision("highest")
    set_arithmetic(TrainerConfig(precision="tf32"))
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("wanted", [True, False])
def test_determinism_follows_the_run(wanted: bool) -> None:
    torch.use_deterministic_algorithms(not wanted)
    set_arithmetic(TrainerConfig(deterministic=wanted))
    assert torch.are_deterministic_algorithms_enabled() == wanted


@pytest.mark.gpu
def test_tf32_rounds_products_and_fp32_does_not() -> None:
    given = torch.randn(2, 256, 256, dtype=torch.float64)
    exact = given[0] @ given[1]
    errors = {}
    for precision in ("tf32", "fp32"):
        set_arithmetic(TrainerConfig(precision=precision))
        left, right = given.float().cuda()
        errors[precision] = float(((left @ right).cpu() - exact).norm() / exact.norm())
    assert errors["fp32"] < 1e-6 < 1e-4 < errors["tf32"] < 1e-3
