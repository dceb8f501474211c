"""The adversarial losses against binary cross-entropy and closed forms."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from deep3dmap.nn.adversarial_losses import discriminator_loss, generator_loss, gradient_penalty


def test_losses_equal_binary_cross_entropy() -> None:
    real, fake = torch.randn(2, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    assert generator_loss(fake).item() == pytest.approx(binary_cross_entropy_with_logits(fake, ones).item())
    expected = binary_cross_entropy_with_logits(real, ones) + binary_cross_entropy_with_logits(fake, zeros)
    assert discriminator_loss(real, fake).item() == pytest.approx(expected.item())


def test_penalty_of_a_quadratic_and_its_gradient() -> None:
    images = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    penalty = gradient_penalty(weight * images.square().sum((1, 2, 3)), images)
    # d(w x^2)/dx = 2 w x.
    expected = 4 * weight.item() ** 2 * images.detach().square().sum((1, 2, 3))
    torch.testing.assert_close(penalty.detach(), expected)
    (slope,) = torch.autograd.grad(penalty.sum(), weight)
    assert slope.item() == pytest.approx(2 * expected.sum().item() / weight.item())
