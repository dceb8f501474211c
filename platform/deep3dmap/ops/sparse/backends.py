"""Which implementation of the sparse ops runs."""

from typing import Literal

SparseBackend = Literal["auto", "native", "reference", "spconv", "torchsparse"]
