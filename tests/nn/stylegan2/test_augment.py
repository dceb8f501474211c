"""Non-leaking augmentation: identity at p = 0, exact shifts, grey-preserving colours, two derivatives; and its controller."""

import pytest
import torch

from deep3dmap.nn.stylegan2.augment import Augmentation, _Draw
from deep3dmap.nn.stylegan2.augment_controller import AugmentController
from deep3dmap.nn.stylegan2.warp import SYM6, warp_pictures

COLOR_ONLY = {"flip": False, "quarter_turns": False, "shift": 0, "scale": 0, "turn": False, "stretch": 0, "move": 0}
GEOMETRY_ONLY = {"brightness": 0, "contrast": 0, "invert_luma": False, "hue": False, "saturation": 0}


def pictures(count: int = 3, side: int = 16, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1), dtype=dtype) * 2 - 1


def move(x: float, y: float) -> torch.Tensor:
    return torch.tensor([[[1.0, 0, x], [0, 1, y], [0, 0, 1]]])


def test_the_wavelet_is_orthonormal_to_its_even_shifts() -> None:
    taps = torch.tensor(SYM6, dtype=torch.float64)
    for shift in range(0, len(SYM6), 2):
        product = (taps[shift:] * taps[: len(SYM6) - shift]).sum()
        assert float(product) == pytest.approx(1.0 if shift == 0 else 0.0, abs=1e-9)
    assert float(taps.sum()) == pytest.approx(2**0.5)


def test_no_warp_changes_nothing_and_whole_pixels_move_exactly() -> None:
    images = pictures(2)
    torch.testing.assert_close(warp_pictures(images, move(0, 0).expand(2, 3, 3)), images, atol=2e-6, rtol=0)
    moved = warp_pictures(images, move(3, -2).expand(2, 3, 3))
    torch.testing.assert_close(moved[..., :-2, 3:], images[..., 2:, :-3], atol=1e-5, rtol=0)
    # Mirrored at the border: the image enters reversed from the left.
    torch.testing.assert_close(moved[..., :-2, :3], images[..., 2:, 1:4].flip(3), atol=1e-5, rtol=0)


def test_a_quarter_turn_and_a_mirror() -> None:
    """The wavelet is not exactly symmetric, so the result is accurate for smooth images but not for noise."""
    images = torch.nn.functional.interpolate(pictures(1, 4), size=(16, 16), mode="bicubic")
    turn = torch.tensor([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]])
    # x right becomes y down: clockwise in the image.
    torch.testing.assert_close(warp_pictures(images, turn), images.rot90(-1, (2, 3)), atol=0.06, rtol=0)
    mirror = torch.diag(torch.tensor([-1.0, 1, 1]))[None]
    torch.testing.assert_close(warp_pictures(images, mirror), images.flip(3), atol=0.06, rtol=0)


def test_probability_zero_is_the_identity_and_one_is_not() -> None:
    images = pictures()
    assert Augmentation()(images, 0.0) is images
    one, other, again = (Augmentation()(images, 1.0, torch.Generator().manual_seed(seed)) for seed in (0, 1, 0))
    assert one.shape == images.shape
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    assert not torch.allclose(one, images)


def test_about_as_many_pictures_change_as_probability_says() -> None:
    images = pictures(1).expand(400, -1, -1, -1)
    brighter = Augmentation(**{**COLOR_ONLY, **GEOMETRY_ONLY, "brightness": 0.2})(images, 0.3, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    share = float(((brighter - images).abs().amax((1, 2, 3)) > 1e-4).float().mean())
    assert 0.22 < share < 0.38


def test_both_sides_move_or_neither() -> None:
    only = {**COLOR_ONLY, "move": 0.125}
    geometry = Augmentation(**only)._geometry(_Draw(400, 0.5, torch.Generator().manual_seed(0)), 16, 16)  # type: ignore[arg-type]
    moved = geometry[:, :2, 2] != 0
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert 0.4 < float(moved[:, 0].float().mean()) < 0.6
    assert float(geometry[moved[:, 0], :2, 2].std()) == pytest.approx(0.125 * 16, rel=0.15)


def test_hue_saturation_and_luma_keep_what_they_shall() -> None:
    grey = torch.linspace(-1, 1, 8).expand(64, 3, 4, 8)
    none = {**COLOR_ONLY, **GEOMETRY_ONLY}
    colored = Augmentation(**{**none, "hue": True, "saturation": 1.0})(grey, 1.0, torch.Generator().manual_seed(3))  # type: ignore[arg-type]
    torch.testing.assert_close(colored, grey, atol=1e-5, rtol=0)
    images = pictures(64)
    turned = Augmentation(**{**none, "hue": True})(images, 1.0, torch.Generator().manual_seed(3))  # type: ignore[arg-type]
    torch.testing.assert_close(turned.mean(1), images.mean(1), atol=1e-5, rtol=0)
    torch.testing.assert_close(turned.square().sum(1), images.square().sum(1), atol=1e-4, rtol=1e-4)
    inverted = Augmentation(**{**none, "invert_luma": True})(images, 1.0, torch.Generator().manual_seed(3))  # type: ignore[arg-type]
    flipped = torch.isclose(inverted.mean(1), -images.mean(1), atol=1e-5).flatten(1).all(1)
    kept = torch.isclose(inverted.mean(1), images.mean(1), atol=1e-5).flatten(1).all(1)
    assert bool((flipped ^ kept).all())
    assert 0 < int(flipped.sum()) < 64


def test_two_derivatives() -> None:
    images = pictures(1, 9, torch.float64)[:, :1].clone().requires_grad_()
    angle = torch.tensor(0.4)
    turn = torch.tensor([[[angle.cos(), -angle.sin(), 1.3], [angle.sin(), angle.cos(), 0.2], [0, 0, 1]]])

    def call(x: torch.Tensor) -> torch.Tensor:
        return warp_pictures(x, turn)[..., ::3, ::3]

    assert torch.autograd.gradcheck(call, images)
    assert torch.autograd.gradgradcheck(call, images)


def test_controller_rises_falls_and_resumes() -> None:
    controller = AugmentController(target=0.6, interval=2, ramp=1000)
    sure, unsure = torch.ones(10, 1), torch.tensor([[1.0], [-1.0]]).repeat(5, 1)
    for _ in range(4):
        controller.update(sure)
    assert controller.probability == pytest.approx(40 / 1000)
    assert controller.overfitting == 1.0
    controller.update(unsure)
    resumed = AugmentController(target=0.6, interval=2, ramp=1000)
    resumed.load_state_dict(controller.state_dict())
    for one in (controller, resumed):
        one.update(unsure)
        assert one.probability == pytest.approx(20 / 1000)
    for _ in range(20):
        controller.update(unsure)
    assert controller.probability == 0.0
