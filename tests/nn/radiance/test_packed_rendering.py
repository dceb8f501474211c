"""Packed samples against rays with equally many samples: two ways to render one medium."""

import pytest
import torch
from torch import Tensor

from deep3dmap.nn.radiance.occupancy import OccupancyGrid
from deep3dmap.nn.radiance.packed_rendering import drop_hidden, march_and_render, render_packed
from deep3dmap.nn.radiance.sampling import importance_distances, sample_pdf
from deep3dmap.nn.radiance.scene_box import SceneBox
from deep3dmap.nn.radiance.volume_rendering import interval_lengths, render_rays
from deep3dmap.ops.march_rays import PackedSamples
from deep3dmap.render.quadrature import laplace_density, quadrature
from deep3dmap.render.renderer import FieldSamples
from deep3dmap.render.volume import Rays

COUNT, STEPS = 6, 10


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Cloud:
    """Smoothly varying density and colour; the colour also depends on the direction."""

    def density(self, positions: Tensor) -> Tensor:
        return 1 + (2 * positions).sin().prod(1)

    def __call__(self, positions: Tensor, directions: Tensor) -> FieldSamples:
        return FieldSamples(self.density(positions), (positions + directions).sin() / 2 + 0.5)


def rays() -> Rays:
    directions = torch.nn.functional.normalize(torch.randn(COUNT, 3, generator=generator(1)), dim=1)
    return Rays(torch.randn(COUNT, 3, generator=generator(2)), directions)


def samples() -> tuple[Tensor, Tensor, PackedSamples]:
    distances = torch.rand(COUNT, STEPS, generator=generator(3)).cumsum(1)
    lengths = interval_lengths(distances, distances[:, -1] + 0.3)
    offsets = torch.arange(COUNT + 1) * STEPS
    owner = torch.arange(COUNT).repeat_interleave(STEPS)
    return distances, lengths, PackedSamples(offsets, owner, distances.flatten(), lengths.flatten())


def test_packed_and_even_rays_gather_the_same_light() -> None:
    field, lines, (distances, lengths, packed) = Cloud(), rays(), samples()
    found = render_packed(field, lines, packed, stop=0.0)
    points = lines.origins[:, None] + distances[..., None] * lines.directions[:, None]
    looked = field(points.view(-1, 3), lines.directions[:, None].expand_as(points).reshape(-1, 3))
    expected = render_rays(looked.density.view(COUNT, STEPS), looked.color.view(COUNT, STEPS, 3), distances, lengths)
    torch.testing.assert_close(found.color, expected.color, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.depth, expected.depth, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.opacity, expected.opacity, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.weights.view(COUNT, STEPS), expected.weights, atol=1e-5, rtol=1e-4)


def test_samples_that_are_left_out_add_next_to_nothing() -> None:
    class Dense(Cloud):
        def density(self, positions: Tensor) -> Tensor:
            return 30 * super().density(positions)

    field, lines, (_, _, packed) = Dense(), rays(), samples()
    fewer = drop_hidden(field, lines, packed)
    assert len(fewer.distances) < len(packed.distances)
    assert fewer.offsets[-1] == len(fewer.rays)
    counts = torch.bincount(fewer.rays, minlength=COUNT)
    assert torch.equal(fewer.offsets.diff(), counts)
    whole, part = (render_packed(field, lines, some) for some in (packed, fewer))
    torch.testing.assert_close(part.opacity, whole.opacity, atol=1e-3, rtol=0)


def test_chunks_and_a_ray_that_meets_nothing_change_no_other() -> None:
    grid = OccupancyGrid(SceneBox([[-1.0] * 3, [1.0] * 3]), 8, step=0.05)
    lines = rays()
    lines = Rays(torch.cat([lines.origins, torch.full((1, 3), 9.0)]), torch.cat([lines.directions, torch.ones(1, 3) / 3**0.5]))
    whole, pieces = (march_and_render(Cloud(), grid, lines, 0.0, 8.0, chunk=chunk) for chunk in (100, 2))
    torch.testing.assert_close(whole.color, pieces.color)
    assert (whole.color[-1] == 0).all()
    assert whole.opacity[-1] == 0


def test_weights_of_a_ray_sum_to_what_it_does_not_let_through() -> None:
    density, steps = (torch.rand(4, 9, dtype=torch.float64, generator=generator(seed)) for seed in (4, 5))
    weights = quadrature(density, steps)
    torch.testing.assert_close(weights.sum(1), 1 - torch.exp(-(density * steps).sum(1)))
    # Halving every step at constant density changes nothing.
    halves = quadrature(density.repeat_interleave(2, 1), steps.repeat_interleave(2, 1) / 2)
    torch.testing.assert_close(halves.unflatten(1, (-1, 2)).sum(2), weights)
    assert torch.autograd.gradcheck(quadrature, (density.requires_grad_(), steps.requires_grad_()))


def test_a_wall_behind_a_wall_is_not_seen_however_thick() -> None:
    weights = quadrature(torch.tensor([[1e30, 1e30, 5.0]]), torch.ones(1, 3))
    assert weights.tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("beta", [0.5, 0.1])
def test_the_density_of_a_surface_is_that_of_laplaces_law(beta: float) -> None:
    distance = torch.linspace(-3, 3, 13, dtype=torch.float64)
    law = torch.distributions.Laplace(torch.zeros((), dtype=torch.float64), beta)
    torch.testing.assert_close(laplace_density(distance, beta), law.cdf(-distance) / beta)


def test_a_ray_without_weight_is_sampled_evenly() -> None:
    edges = torch.linspace(2, 6, 5)[None]
    found = sample_pdf(edges, torch.zeros(1, 4), torch.linspace(0, 1, 9)[None])
    torch.testing.assert_close(found[0], torch.linspace(2, 6, 9))


def test_where_a_ray_is_looked_at_more_closely_takes_no_gradient() -> None:
    distances = torch.linspace(1, 2, 6)[None].requires_grad_()
    weights = torch.rand(1, 6, generator=generator(6)).requires_grad_()
    assert not importance_distances(distances, weights, 4, generator(7)).requires_grad
