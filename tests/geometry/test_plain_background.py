"""Masks of objects in front of a plain background."""

import torch

from deep3dmap.geometry.plain_background import plain_background_mask


def scene() -> tuple[torch.Tensor, torch.Tensor]:
    image, mask = torch.full((3, 32, 32), 0.8), torch.zeros(32, 32)
    mask[8:32, 10:22] = 1
    return torch.where(mask > 0, torch.tensor([0.5, 0.3, 0.2])[:, None, None], image), mask


def test_the_object_may_reach_down_to_the_border() -> None:
    image, mask = scene()
    torch.testing.assert_close(plain_background_mask(image), mask)


def test_holes_are_filled_and_crumbs_left_out() -> None:
    image, mask = scene()
    image[:, 15:18, 14:18] = 0.8
    image[:, 2, 2] = 0.0
    torch.testing.assert_close(plain_background_mask(image + 0.01 * torch.rand(3, 32, 32)), mask)


def test_a_bare_wall_has_no_object() -> None:
    assert not plain_background_mask(torch.full((3, 16, 16), 0.4)).any()
