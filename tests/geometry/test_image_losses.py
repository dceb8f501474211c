"""Losses between images and renderings: closed forms, gradients, and empty masks."""

import math

import pytest
import torch

from deep3dmap.geometry.image_losses import (
    geman_mcclure,
    landmark_loss,
    mask_chamfer_loss,
    photometric_loss,
    silhouette_iou_loss,
    silhouette_l2_loss,
)


def double(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_geman_mcclure_is_square_near_and_flat_far() -> None:
    assert geman_mcclure(torch.tensor(0.01), 100.0) == pytest.approx(1e-4, rel=1e-6)
    assert geman_mcclure(torch.tensor(100.0), 100.0) == pytest.approx(5000)
    assert geman_mcclure(torch.tensor(1e6), 100.0) == pytest.approx(1e4, rel=1e-4)
    with pytest.raises(ValueError, match="positive"):
        geman_mcclure(torch.tensor(1.0), 0)


def test_landmarks_are_weighted_by_confidence_and_measured_in_the_unit() -> None:
    predicted, target = torch.zeros(3, 2), torch.tensor([[3.0, 4.0], [0, 1], [100, 100]])
    assert landmark_loss(predicted, target, torch.tensor([1.0, 1, 0])) == pytest.approx(3)
    assert landmark_loss(predicted, target, torch.tensor([1.0, 0.5, 0]), unit=5) == pytest.approx((1 + 0.1) / 1.5)


def test_hidden_landmarks_may_be_unknown() -> None:
    predicted = torch.ones(2, 2, requires_grad=True)
    target = torch.tensor([[1.0, 3.0], [math.nan, math.nan]])
    loss = landmark_loss(predicted, target, torch.tensor([1.0, 0.0]))
    loss.backward()
    assert loss.item() == pytest.approx(2)
    assert predicted.grad is not None
    torch.testing.assert_close(predicted.grad, torch.tensor([[0.0, -1.0], [0.0, 0.0]]))


def test_one_outlier_does_not_rule_a_robust_fit() -> None:
    target = torch.zeros(10, 2)
    target[0] = 1000
    place = torch.full((1, 2), 1.0, requires_grad=True)
    landmark_loss(place.expand(10, 2), target, robust=5).backward()
    assert place.grad is not None
    assert (place.grad > 0).all(), "it is drawn to the nine, not to the one"


def test_vertices_off_the_mask_are_drawn_to_it_from_afar_and_it_draws_them() -> None:
    mask = torch.zeros(8, 16)
    mask[4, 2] = 1
    # One vertex on the pixel, one ten pixels to its right; within half a pixel diagonal counts as inside.
    pixels = torch.tensor([[2.5, 4.5], [12.5, 4.5]], requires_grad=True)
    loss = mask_chamfer_loss(pixels, mask, unit=16)
    loss.backward()
    assert loss.item() == pytest.approx((10 - 0.5**0.5) / 2 / 16)
    assert pixels.grad is not None
    torch.testing.assert_close(pixels.grad, torch.tensor([[0.0, 0.0], [1 / 32, 0.0]]))
    mask[4, 15] = 1
    # The new pixel is three columns from the second vertex: both directions of the sum are affected.
    assert mask_chamfer_loss(pixels.detach(), mask) == pytest.approx((3 - 0.5**0.5) / 2 + 3 / 2)


def test_the_distance_to_a_mask_has_the_gradient_of_its_differences() -> None:
    mask = (double(9, 7, seed=1) > 0.7).float()
    pixels = (9 * double(12, 2, seed=2)).requires_grad_()
    assert torch.autograd.gradcheck(lambda points: mask_chamfer_loss(points, mask, unit=9), (pixels,))
    nothing = mask_chamfer_loss(pixels, torch.zeros(4, 4))
    nothing.backward()
    assert nothing == 0
    assert pixels.grad is not None
    assert not pixels.grad.any()


def test_silhouettes() -> None:
    mask = torch.zeros(8, 8)
    mask[:, :4] = 1
    shifted = mask.roll(2, 1)
    assert silhouette_iou_loss(mask, mask) == 0
    assert silhouette_iou_loss(shifted, mask) == pytest.approx(1 - 2 / 6)
    assert silhouette_iou_loss(torch.stack([mask, shifted]), torch.stack([mask, mask])) == pytest.approx((1 - 2 / 6) / 2)
    assert silhouette_l2_loss(shifted, mask) == pytest.approx(0.5)
    assert silhouette_iou_loss(1 - mask, mask) == 1


def test_two_empty_silhouettes_agree() -> None:
    nothing = torch.zeros(4, 4, requires_grad=True)
    loss = silhouette_iou_loss(nothing, torch.zeros(4, 4))
    loss.backward()
    assert loss == 0
    assert nothing.grad is not None
    assert torch.isfinite(nothing.grad).all()


def test_photometric_losses() -> None:
    image = torch.zeros(3, 2, 2)
    rendered = torch.tensor([0.3, 0.0, 0.4])[:, None, None].expand(3, 2, 2).clone()
    rendered[:, 1] = math.inf
    mask = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    assert photometric_loss(rendered, image, mask) == pytest.approx(0.7 / 3)
    assert photometric_loss(rendered, image, mask, "l21") == pytest.approx(0.5)
    assert photometric_loss(rendered, image, torch.zeros(2, 2)) == 0


def test_gradients_are_those_of_finite_differences() -> None:
    points, coverage, picture = double(4, 2), double(2, 3, 3), double(3, 3, 3)
    mask, weight = double(2, 3, 3, seed=1), double(4, seed=2)
    for tensor in (points, coverage, picture):
        tensor.requires_grad_()
    check = torch.autograd.gradcheck
    assert check(lambda p: landmark_loss(p, 1 + double(4, 2, seed=3), weight, robust=0.5), (points,))
    assert check(lambda a: silhouette_iou_loss(a, mask), (coverage,))
    assert check(lambda a: silhouette_l2_loss(a, mask), (coverage,))
    for norm in ("l1", "l21"):
        assert check(lambda i, norm=norm: photometric_loss(i, double(3, 3, 3, seed=4), mask[0], norm), (picture,))


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        landmark_loss(torch.zeros(3, 2), torch.zeros(4, 2))
    with pytest.raises(ValueError, match="confidence"):
        landmark_loss(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(2))
    with pytest.raises(ValueError, match="same shape"):
        silhouette_iou_loss(torch.zeros(2, 2), torch.zeros(3, 3))
    with pytest.raises(ValueError, match="mask"):
        photometric_loss(torch.zeros(3, 2, 2), torch.zeros(3, 2, 2), torch.zeros(4, 4))
    with pytest.raises(ValueError, match="l1 or l21"):
        photometric_loss(torch.zeros(3, 2, 2), torch.zeros(3, 2, 2), norm="l2")  # type: ignore[arg-type]
