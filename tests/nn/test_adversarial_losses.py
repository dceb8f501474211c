"""The adversarial losses against binary cross-entropy and closed forms."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from deep3dmap.nn.adversarial_losses import discriminator_loss, generator_loss


def test_losses_equal_binary_cross_entropy() -> None:
    real, fake = torch.randn(2, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    assert generator_loss(fake).item() == pytest.approx(binary_cross_entropy_with_logits(fake, ones).item())
    expected = binary_cross_entropy_with_logits(real, ones) + binary_cross_entropy_with_logits(fake, zeros)
    assert discriminator_loss(real, fake).item() == pytest.approx(expected.item())
