"""GAN2Shape's parts: initial shape, priors, latent offsets, masks, and depth from raw numbers."""

import pytest
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.ellipsoid_relief import ellipsoid_depth
from deep3dmap.methods.gan2shape.latent_offset import LatentOffset
from deep3dmap.methods.gan2shape.masks import background_color, center_crop, face_mask, resize
from deep3dmap.methods.gan2shape.networks import ShapeModel, ShapeNetworks
from deep3dmap.methods.gan2shape.samplers import LightRange, ViewPrior, between, draw_lights, widen_yaw
from deep3dmap.methods.gan2shape.steps import (
    Origin,
    Pseudo,
    Weights,
    canonical_mask,
    explanation_loss,
    pseudo_samples,
    step1,
    step3,
    view_start,
)
from deep3dmap.nn.relief_model import YAW, Canonical, Priors, ReliefSpace
from deep3dmap.nn.stylegan2 import Generator, StyleGAN2Size
from deep3dmap.nn.stylegan2.generator import normalize_latent
from deep3dmap.render.relief_shading import ReliefLight


def disc(side: int = 64, radius: float = 20) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return ((rows - side / 2) ** 2 + (columns - side / 2) ** 2 <= radius**2).float()


def test_the_ellipsoid_bulges_towards_the_camera() -> None:
    depth = ellipsoid_depth(disc(), "cat", 0.91, 1.02)
    assert float(depth[32, 32]) == pytest.approx(0.91, abs=1e-4)
    assert float(depth[0, 0]) == pytest.approx(1.02)
    assert float(depth.min()) >= 0.91 - 1e-6
    assert float(depth.max()) <= 1.02 + 1e-6
    line = depth[32, 32:53]
    assert (line.diff() > 0).all()
    torch.testing.assert_close(depth[32, 12:53], depth[32, 12:53].flip(0), atol=1e-6, rtol=0)
    for category in ("face", "synface", "car", "church"):
        assert not torch.equal(ellipsoid_depth(disc(), category), ellipsoid_depth(disc(), "cat"))  # type: ignore[arg-type]


def test_masks_that_say_nothing_are_refused() -> None:
    single = torch.zeros(8, 8)
    single[3, 3] = 1
    for mask, words in ((torch.zeros(8, 8), "empty"), (torch.ones(8, 8), "fills"), (single, "line")):
        with pytest.raises(UserError, match=words):
            ellipsoid_depth(mask, "cat")
    with pytest.raises(UserError, match="category"):
        ellipsoid_depth(disc(), "dog")  # type: ignore[arg-type]


def test_views_follow_their_prior() -> None:
    mean = torch.tensor([0.1, 0, 0, 0, 0, 0])
    root = torch.eye(6) * 0.2
    root[1, 0] = 0.1
    drawn = ViewPrior(mean, root @ root.T).draw(20000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), mean, atol=5e-3, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), root @ root.T, atol=2e-3, rtol=0)
    assert widen_yaw(drawn, 2.0)[0].tolist() == pytest.approx((drawn[0] * torch.tensor([1.0, 2, 1, 1, 1, 1])).tolist())
    for covariance, words in (
        (torch.zeros(6, 6), "all must be above 0"),
        (torch.triu(torch.ones(6, 6)), "all must be above 0"),
        (torch.eye(5), "covariance"),
    ):
        with pytest.raises(UserError, match=words):
            ViewPrior(mean, covariance)


def test_lights_stay_in_their_range() -> None:
    ranges = LightRange.of([-1, 1, -0.2, 0.8, -0.1, 0.6, -0.6])
    assert ranges == LightRange()
    draws = draw_lights(1000, torch.Generator().manual_seed(0))
    for ends, share in ((ranges.x, draws.x), (ranges.y, draws.y), (ranges.strength, draws.strength)):
        values = between(ends, share)
        assert ends[0] <= float(values.min()) < ends[0] + 0.05
        assert ends[1] - 0.05 < float(values.max()) < ends[1]
    with pytest.raises(UserError, match="7 numbers"):
        LightRange.of([1, 2])


def test_latent_offsets() -> None:
    torch.manual_seed(0)
    mapping = Generator(StyleGAN2Size(16, 12, 4, 128, 8)).mapping
    code = torch.randn(3, 12)
    for depth in range(1, 5):
        offsets = LatentOffset(mapping, depth)
        torch.testing.assert_close(offsets(torch.zeros(1, 12)), torch.zeros(1, 12), atol=1e-6, rtol=0)
        torch.testing.assert_close(offsets.center, mapping(torch.zeros(1, 12)))
    whole = LatentOffset(mapping, 4)
    torch.testing.assert_close(whole(code), mapping(code) - mapping(torch.zeros(1, 12)))
    # The normalisation counts as a layer, so the last two linear layers remain.
    inner = mapping.layers[1](mapping.layers[0](normalize_latent(torch.zeros(1, 12)))) + code
    by_hand = mapping.layers[3](mapping.layers[2](inner)) - mapping(torch.zeros(1, 12))
    torch.testing.assert_close(LatentOffset(mapping, 1)(code), by_hand)
    for depth in (0, 5):
        with pytest.raises(UserError, match="1 to 4"):
            LatentOffset(mapping, depth)


def test_masks_of_faces() -> None:
    labels = torch.arange(19)[None, None]
    assert face_mask(labels)[0, 0, 0].tolist() == [0.0, *[1.0] * 13, 0.5, 0.5, 0.0, 0.5, 0.5]
    assert face_mask(labels, "synface")[0, 0, 0].tolist() == [0.0, *[1.0] * 14, 0.0, 0.0, 0.0, 0.0]
    images = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(resize(images, 4), images.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5)))
    assert torch.equal(center_crop(images, 4), images[:, :, 2:6, 2:6])


@pytest.fixture
def model() -> ShapeModel:
    torch.manual_seed(0)
    priors = Priors(torch.tensor([0.0, 0.1, 0, 0, 0, 0]), torch.tensor([0.0, 0, 0, 0.2]))
    return ShapeModel(ShapeNetworks(16, 8, width=16, code=8, offset_width=4), ReliefSpace(16), priors)


def test_depth_of_raw_numbers() -> None:
    space = ReliefSpace(16)
    raw = 5 * torch.randn(2, 1, 16, 16) + 100
    depth = space.to_depth(raw)
    assert float(depth.min()) >= 0.9 - 1e-6
    assert float(depth.max()) <= 1.1 + 1e-6
    assert float(space.to_depth(torch.full((1, 1, 16, 16), 7.0)).sub(1).abs().max()) < 1e-6
    border = space.with_border(depth)
    assert torch.equal(border[:, :, 2:-2], depth[:, :, 2:-2])
    torch.testing.assert_close(border[:, :, :2], 1.0608 - 0.02 * depth[:, :, :2])
    views = space.to_views(torch.ones(1, 6))
    torch.testing.assert_close(views, torch.tensor([[1.0472, 1.0472, 1.0472, 0.1, 0.1, 0.0]]), atol=1e-4, rtol=0)


def test_every_network_learns_from_its_step(model: ShapeModel) -> None:
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    loss, found = step1(model, images, model.canonical(images), Weights(), lambda a, b: (a - b).square().mean((1, 2, 3)), True)
    assert {"photometric", "photometric_mirrored", "perceptual", "perceptual_mirrored", "smoothness"} == set(loss.terms)
    loss.total.backward()
    for name in ("depth", "albedo", "view", "light"):
        parameters = list(getattr(model.networks, name).parameters())
        assert all(value.grad is not None and value.grad.isfinite().all() for value in parameters), name
    assert all(value.grad is None for value in model.networks.offset.parameters())
    assert found.relief.image.shape == (2, 3, 16, 16)


def test_a_symmetric_object_is_its_own_mirror_image(model: ShapeModel) -> None:
    half = Canonical(torch.rand(1, 16, 16) * 0.02 + 1, torch.rand(1, 3, 16, 16))
    whole = Canonical(half.depth + half.depth.flip(2), half.albedo + half.albedo.flip(3))
    both = whole.mirrored_too()
    assert torch.equal(both.depth[0], both.depth[1])
    assert torch.equal(both.albedo[0], both.albedo[1])


def test_pseudo_samples_show_one_object_under_many_lights(model: ShapeModel) -> None:
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    canonical = model.canonical(images)
    found = model.explain(images, canonical)
    mask = canonical_mask(model, canonical, found.views, torch.ones(1, 1, 16, 16))
    same_view = torch.zeros(3, 6)
    lights = draw_lights(3, torch.Generator().manual_seed(0))
    drawn, origin = pseudo_samples(model, found, mask, same_view, lights, LightRange())
    assert drawn.images.shape == (3, 3, 16, 16)
    assert not drawn.images.requires_grad
    assert torch.equal(drawn.mask[0], drawn.mask[1])
    assert not torch.allclose(drawn.images[0], drawn.images[1])
    loss, explained = step3(model, Pseudo(drawn.images, drawn.mask), canonical, Weights(), None, False)
    assert explained.views.shape == (3, 6)
    assert bool(loss.total.isfinite())
    assert torch.equal(origin.views, same_view)
    # The stored light is the one under which the picture was rendered.
    light = ReliefLight(origin.lights[:, 0], origin.lights[:, 1], origin.lights[:, 2:])
    again = model.show(canonical.repeated(3), model.space.to_views(same_view), light)
    torch.testing.assert_close(again.relief.image, drawn.images)


def test_a_plain_background_replaces_what_is_rendered_outside_the_mask(model: ShapeModel) -> None:
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    canonical = model.canonical(images)
    found = model.explain(images, canonical)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    views = torch.zeros(2, 6)
    views[1, YAW] = 0.3
    lights = draw_lights(2, torch.Generator().manual_seed(0))
    blue = torch.tensor([-1.0, -1.0, 1.0])[None, :, None, None]
    rendered, plain = (
        pseudo_samples(model, found, mask, views, lights, LightRange(), behind).pseudo for behind in (None, blue)
    )
    assert 0 < float(plain.mask.mean()) < 0.5
    torch.testing.assert_close(plain.images * plain.mask, rendered.images * plain.mask)
    torch.testing.assert_close(plain.images * (1 - plain.mask), blue * (1 - plain.mask))
    assert float((rendered.images * (1 - plain.mask) - blue * (1 - plain.mask)).abs().max()) > 0.1


def test_the_background_is_the_mean_colour_outside_the_object() -> None:
    picture = torch.zeros(1, 3, 4, 4)
    picture[..., :2] = torch.tensor([0.5, -0.5, 1.0])[:, None, None]
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 2:] = 1
    assert background_color(picture, mask).flatten().tolist() == [0.5, -0.5, 1.0]
    assert background_color(picture, torch.ones(1, 1, 4, 4)).flatten().tolist() == [0.0, 0.0, 0.0]


def test_views_and_lights_are_learnt_where_they_are_known(model: ShapeModel) -> None:
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    views = torch.tensor([0.1, 0.3, 0.0, 0.05, -0.1, 0.0]) * torch.tensor([[-1.0], [1], [0.5], [0]])
    lights = torch.tensor([[0.4, 0.6, 0.0, 0.0, 1.0]]).expand(4, -1)
    photograph, own_view = -images[1:2], torch.tensor([[0.0, -0.2, 0.1, 0.0, 0.0, 0.0]])
    readers = [*model.networks.view.parameters(), *model.networks.light.parameters()]
    adam, losses = torch.optim.Adam(readers, 1e-3), []
    for _ in range(60):
        loss = view_start(model, images, Origin(views, lights), photograph, own_view)
        adam.zero_grad()
        loss.total.backward()
        adam.step()
        losses.append(float(loss.total.detach()))
    assert losses[-1] < 0.2 * losses[0]
    assert all(value.grad is None for value in model.networks.depth.parameters())
    read = model.unit_views(images)
    assert read[1, 1] > read[2, 1] > read[0, 1]
    assert float((model.unit_views(photograph) - own_view).detach().abs().max()) < 0.1


def test_the_photograph_counts_on_the_object_only_where_a_mask_says_so(model: ShapeModel) -> None:
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = model.explain(images, model.canonical(images))
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    other = torch.where(mask > 0, images, -images)
    losses = [
        explanation_loss(given, found, Weights(), None, where).total for given in (images, other) for where in (None, mask)
    ]
    assert losses[1] == losses[3]
    assert losses[0] != losses[2]
