"""Ops without a deterministic gradient on CUDA refuse or warn as torch's own do; the platform's default only warns."""

import warnings
from collections.abc import Iterator
from typing import Any, cast

import pytest
import torch

from deep3dmap.ops import _determinism
from deep3dmap.ops._determinism import tell_nondeterminism
from deep3dmap.train.job import be_deterministic


class OnCuda:
    """Stands for a gradient on a GPU, which need not be there to ask what would be said of it."""

    is_cuda = True


GRADIENT = cast(Any, OnCuda())


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    _determinism._warn.cache_clear()
    yield
    torch.use_deterministic_algorithms(False)


def test_no_default_leads_into_a_refused_op() -> None:
    be_deterministic(wanted=True)
    with pytest.warns(UserWarning, match="hash_grid has no deterministic gradient on CUDA"):
        tell_nondeterminism("hash_grid", GRADIENT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell_nondeterminism("hash_grid", GRADIENT)  # once, and no more
        be_deterministic(wanted=False)
        tell_nondeterminism("back_project", GRADIENT)


def test_who_asks_for_determinism_or_nothing_gets_nothing() -> None:
    torch.use_deterministic_algorithms(True)
    with pytest.raises(RuntimeError, match="back_project has no deterministic gradient"):
        tell_nondeterminism("back_project", GRADIENT)
    tell_nondeterminism("back_project", torch.zeros(1))  # on the CPU it has one
