"""The losses of unsup3d against closed forms."""

import math

import pytest
import torch
from torch.distributions import Normal

from deep3dmap.methods.unsup3d.losses import COPIES, explanation_terms, feature_loss
from deep3dmap.methods.unsup3d.networks import Deviations
from deep3dmap.nn.lpips import LPIPS
from deep3dmap.nn.relief_model import Canonical, Explanation, Priors, ReliefModel, ReliefSpace
from deep3dmap.render.relief_shading import ReliefLight

SIDE = 16
ONES = torch.ones(1, 1, SIDE, SIDE)


def test_features_are_compared_by_a_gaussian() -> None:
    generator = torch.Generator().manual_seed(0)
    shown, target = torch.randn(2, 2, 5, 4, 4, generator=generator).double()
    deviation = torch.rand(2, 1, 4, 4, generator=generator).double() + 0.5
    loss = feature_loss(shown, target, torch.ones(2, 1, 16, 16).double(), deviation)
    likelihood = Normal(target, deviation.expand_as(target)).log_prob(shown).mean()
    assert float(loss) == pytest.approx(float(-likelihood - 0.5 * math.log(2 * math.pi)), abs=1e-6)


def test_features_count_as_much_as_the_mask_covers_of_them() -> None:
    mask = ONES.clone()
    mask[..., :2] = 0  # half of the first column of features
    shown = torch.zeros(1, 1, 4, 4)
    shown[..., 0] = 3.0
    assert float(feature_loss(shown, torch.zeros_like(shown), mask, None)) == pytest.approx(9 * 0.5 / 3.5)
    assert float(feature_loss(shown, torch.zeros_like(shown), 0 * mask, None)) == 0


@pytest.fixture
def explained() -> tuple[torch.Tensor, Explanation]:
    """A flat board with a different left half, seen from the front, and the picture of it."""
    model = ReliefModel(None, ReliefSpace(SIDE, pull=0.0), Priors())  # type: ignore[type-var]
    albedo = torch.zeros(1, 3, SIDE, SIDE)
    albedo[..., : SIDE // 2] = 0.5
    board = Canonical(torch.ones(1, SIDE, SIDE), albedo).mirrored_too()
    light = ReliefLight(torch.full((2,), 1.0), torch.zeros(2), torch.tensor([[0.0, 0, 1]]).repeat(2, 1))
    found = model.show(board, torch.zeros(2, 6), light)
    return found.relief.image[:1], found


def test_a_picture_that_is_explained_costs_nothing_and_its_mirror_image_does(
    explained: tuple[torch.Tensor, Explanation],
) -> None:
    picture, found = explained
    terms = explanation_terms(picture, found, None, None)
    assert set(terms) == {f"photometric{copy}" for copy in COPIES}
    assert float(terms["photometric"]) == pytest.approx(0, abs=1e-6)
    assert float(terms["photometric_mirrored"]) == pytest.approx(0.5, rel=0.1)


def test_where_the_mirror_image_is_not_trusted_it_costs_less(explained: tuple[torch.Tensor, Explanation]) -> None:
    picture, found = explained

    def mirrored(deviation: float) -> float:
        sure = Deviations(torch.cat([ONES, deviation * ONES], 1), torch.ones(1, 2, 4, 4))
        return float(explanation_terms(picture, found, sure, None)["photometric_mirrored"])

    # The minimum is where the deviation is sqrt(2) times the difference (equation 3).
    best = math.sqrt(2) * 0.5
    assert mirrored(best) < min(mirrored(best / 2), mirrored(best * 2))


def test_pixels_outside_the_mask_do_not_count(explained: tuple[torch.Tensor, Explanation]) -> None:
    picture, found = explained
    mask = ONES.clone()
    mask[..., :8] = 0
    spoilt = torch.where(mask > 0, picture, picture + 1)
    assert float(explanation_terms(spoilt, found, None, None, mask)["photometric"]) == pytest.approx(0, abs=1e-6)
    assert float(explanation_terms(spoilt, found, None, None)["photometric"]) > 0.3


def test_the_perceptual_term_sees_the_mirror_image_too(explained: tuple[torch.Tensor, Explanation]) -> None:
    torch.manual_seed(0)
    picture, found = explained
    terms = explanation_terms(picture, found, None, LPIPS())
    assert float(terms["perceptual_mirrored"]) > 10 * float(terms["perceptual"])
