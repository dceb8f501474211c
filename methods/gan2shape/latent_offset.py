"""Offsets of latent codes that stay within the generator's distribution (Pan et al., ICLR 2021, section 3.3).

The encoder's output is not added to a code directly. It is added to the mapping network's intermediate activation for the mean
input and passed through the last layers. The offset is the resulting change of the network's output.
"""

from typing import cast

import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.nn.stylegan2.generator import MappingNetwork, normalize_latent


class LatentOffset:
    """Maps the encoder's outputs (N, D) to offsets of w (N, D) through the last `depth` layers of a mapping network.

    All layers together include the normalisation of z. Raises UserError for a depth that the network does not have.
    """

    def __init__(self, mapping: MappingNetwork, depth: int) -> None:
        layers = len(mapping.layers)
        if not 1 <= depth <= layers:
            raise UserError(f"method.offset_layers must be 1 to {layers} for this generator, got {depth}")
        self._mapping = mapping
        # The published code counts the normalisation as a layer, and a depth of 2 keeps the last three layers.
        self._first = layers - depth
        with torch.no_grad():
            zero = torch.zeros(1, cast(Tensor, next(mapping.parameters())).shape[1], device=next(mapping.parameters()).device)
            self.center_inner = self._run(zero, 0, self._first)
            self.center = self._run(zero, 0, layers + 1)

    def _run(self, values: Tensor, start: int, stop: int) -> Tensor:
        for step in range(start, stop):
            values = normalize_latent(values) if step == 0 else self._mapping.layers[step - 1](values)
        return values

    def __call__(self, code: Tensor) -> Tensor:
        """Return the offsets of the encoder's outputs (N, D)."""
        return self._run(code + self.center_inner, self._first, len(self._mapping.layers) + 1) - self.center
