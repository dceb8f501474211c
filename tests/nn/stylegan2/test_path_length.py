"""The path length of linear generators with known Jacobians."""

import math

import pytest
import torch
from torch import Tensor

from deep3dmap.nn.stylegan2.losses import path_length_penalty

COUNT, LATENTS, STYLE, SIDE = 5, 3, 4, 6


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


JACOBIAN = normal(LATENTS * STYLE, 3 * SIDE * SIDE)


def pictures(w: Tensor, jacobian: Tensor = JACOBIAN) -> Tensor:
    return (w.flatten(1) @ jacobian).view(len(w), 3, SIDE, SIDE)


def test_lengths_are_those_of_the_transposed_jacobian() -> None:
    w, noise = normal(COUNT, LATENTS, STYLE).requires_grad_(), normal(COUNT, 3, SIDE, SIDE, seed=1)
    found = path_length_penalty(pictures(w), w, noise, torch.tensor(2.0))
    back = (noise.flatten(1) / SIDE @ JACOBIAN.T).view(COUNT, LATENTS, STYLE)
    lengths = back.square().sum(2).mean(1).sqrt().float()
    torch.testing.assert_close(found.lengths, lengths)
    mean = 2.0 + 0.01 * (float(lengths.mean()) - 2.0)
    assert float(found.mean) == pytest.approx(mean)
    assert float(found.penalty) == pytest.approx(float((lengths - mean).square().mean()))


def test_an_orthogonal_generator_pays_nothing_once_its_length_is_known() -> None:
    # Every direction of w changes the image by the same amount; the noise is scaled for a path length of 1.
    rows = torch.linalg.qr(normal(3 * SIDE * SIDE, LATENTS * STYLE)).Q.T
    w, noise = normal(COUNT, LATENTS, STYLE).requires_grad_(), normal(COUNT, 3, SIDE, SIDE, seed=1)
    noise = (noise.flatten(1) @ rows.T @ rows).view_as(noise)
    noise = noise * (SIDE * math.sqrt(LATENTS) / noise.flatten(1).norm(dim=1))[:, None, None, None]
    found = path_length_penalty(pictures(w, rows), w, noise, torch.tensor(1.0))
    torch.testing.assert_close(found.lengths, torch.ones(COUNT))
    assert float(found.penalty) == pytest.approx(0, abs=1e-10)


def test_the_mean_follows_at_its_rate_and_takes_no_gradient_with_it() -> None:
    w, noise = normal(COUNT, LATENTS, STYLE).requires_grad_(), normal(COUNT, 3, SIDE, SIDE, seed=1)
    mean, lengths = torch.tensor(0.0), torch.zeros(())
    for _ in range(300):
        found = path_length_penalty(pictures(w), w, noise, mean, decay=0.1)
        mean, lengths = found.mean, found.lengths.mean()
        assert not mean.requires_grad
    torch.testing.assert_close(mean, lengths.detach())


def test_it_has_the_gradient_of_the_closed_form_to_the_weights_of_the_generator() -> None:
    jacobian = JACOBIAN.clone().requires_grad_()
    w, noise = normal(COUNT, LATENTS, STYLE).requires_grad_(), normal(COUNT, 3, SIDE, SIDE, seed=1)
    penalty = path_length_penalty(pictures(w, jacobian), w, noise, torch.tensor(0.0)).penalty
    lengths = (noise.flatten(1) / SIDE @ jacobian.T).view(COUNT, LATENTS, STYLE).square().sum(2).mean(1).sqrt()
    expected = (lengths - 0.01 * lengths.mean()).square().mean()
    ours, theirs = (torch.autograd.grad(value, jacobian)[0] for value in (penalty, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
