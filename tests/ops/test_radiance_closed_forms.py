"""Ops of radiance fields against closed forms: homogeneous media, partitions of unity, growing steps."""

import math
from typing import Any

import pytest
import torch

from deep3dmap.ops import HashGridLevels, composite, hash_grid, march_rays

BACKENDS = ["native", "reference"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_homogeneous_medium_absorbs_as_beer_and_lambert_say(backend: Any) -> None:
    """Rays of 1, 7 and 30 steps of length 0.1 through density 2; each step transmits exp(-0.2)."""
    counts = torch.tensor([1, 7, 30])
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    number = torch.cat([torch.arange(int(count)) for count in counts])
    density = torch.full((38,), 2.0).requires_grad_()
    lengths = torch.full((38,), 0.1)
    drawn = composite(density, torch.ones(38, 3), 1 + 0.1 * number, lengths, offsets, stop=0, backend=backend)
    through = torch.exp(-0.2 * counts)
    torch.testing.assert_close(drawn.opacity, 1 - through)
    torch.testing.assert_close(drawn.color, (1 - through)[:, None].expand(3, 3))
    torch.testing.assert_close(drawn.weights, (1 - math.exp(-0.2)) * torch.exp(-0.2 * number))
    # sum over k < n of q^k (1 - q) (1 + 0.1 k), q = exp(-0.2)
    q, n = math.exp(-0.2), counts
    mean_step = q * (1 - q ** (n - 1.0)) / (1 - q) - (n - 1) * q**n
    torch.testing.assert_close(drawn.depth, 1 - through + 0.1 * mean_step)
    drawn.opacity.sum().backward()
    # Increasing the density of any step reduces the total transmittance equally.
    torch.testing.assert_close(density.grad, (0.1 * through).repeat_interleave(counts))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_ray_ends_after_the_sample_that_lets_too_little_through(backend: Any) -> None:
    """If every step halves the light, less than 0.1 remains after four: the fifth step has no weight."""
    density = torch.full((8,), math.log(2.0)).requires_grad_()
    given = (torch.ones(8, 3), torch.arange(8.0), torch.ones(8), torch.tensor([0, 8]))
    drawn = composite(density, *given, stop=0.1, backend=backend)
    torch.testing.assert_close(drawn.weights, torch.tensor([0.5, 0.25, 0.125, 0.0625, 0, 0, 0, 0]))
    assert drawn.opacity.item() == pytest.approx(0.9375)
    drawn.opacity.sum().backward()
    assert density.grad is not None
    torch.testing.assert_close(density.grad, torch.tensor([0.0625] * 4 + [0.0] * 4))


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_of_corners_add_up_to_one(backend: Any) -> None:
    """The gradients of a level's entries therefore sum to those of its features, hashed or not."""
    torch.manual_seed(0)
    levels = HashGridLevels((3, 9, 40), (64, 1000, 256))
    table = torch.randn(levels.entries, 2).requires_grad_()
    positions, worth = torch.rand(300, 3), torch.randn(300, 6)
    (hash_grid(positions, table, levels, backend) * worth).sum().backward()
    assert table.grad is not None
    sums = torch.stack([part.sum(0) for part in table.grad.split(levels.sizes)])
    torch.testing.assert_close(sums.flatten(), worth.sum(0), atol=1e-4, rtol=1e-4)
    constant = hash_grid(positions, torch.full((levels.entries, 2), 3.0), levels, backend)
    torch.testing.assert_close(constant, torch.full((300, 6), 3.0))


@pytest.mark.parametrize("backend", BACKENDS)
def test_features_of_an_affine_table_have_its_slope(backend: Any) -> None:
    levels = HashGridLevels((8,), (729,))
    z, y, x = torch.meshgrid(*[torch.arange(9.0) / 8] * 3, indexing="ij")
    positions = (torch.rand(50, 3) * 0.98 + 0.01).requires_grad_()
    hash_grid(positions, (2 * x - 3 * y + 0.5 * z).reshape(-1, 1), levels, backend).sum().backward()
    assert positions.grad is not None
    torch.testing.assert_close(positions.grad, torch.tensor([[2.0, -3.0, 0.5]]).expand(50, 3), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("jitter", [0.0, 0.5])
def test_steps_in_proportion_to_the_distance_grow_geometrically(backend: Any, jitter: float) -> None:
    """The minimum step 0.001 is irrelevant from distance 1, where a step is a tenth of the distance."""
    found = march_rays(
        torch.zeros(1, 3),
        torch.tensor([[0.0, 0.0, 1.0]]),
        torch.ones(1),
        torch.full((1,), 50.0),
        torch.ones(4, 4, 4, dtype=torch.bool),
        0.001,
        cone=0.1,
        contracted=True,
        jitter=torch.full((1,), jitter),
        backend=backend,
    )
    begins = (1 + 0.1 * jitter) * 1.1 ** torch.arange(60.0)
    middles = 1.05 * begins
    expected = middles[middles < 50]
    torch.testing.assert_close(found.distances, expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(found.lengths, 0.1 * begins[: len(expected)], rtol=1e-4, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_diagonal_ray_meets_the_occupied_corner_alone(backend: Any) -> None:
    """Only the last cell of a 2 x 2 x 2 grid is occupied: the second half of the ray, regardless of the first."""
    occupied = torch.zeros(2, 2, 2, dtype=torch.bool)
    occupied[1, 1, 1] = True
    towards = torch.ones(1, 3) / math.sqrt(3)
    length = 2 * math.sqrt(3)
    found = march_rays(
        -torch.ones(1, 3), towards, torch.zeros(1), torch.full((1,), length), occupied, length / 20, backend=backend
    )
    torch.testing.assert_close(found.distances, (torch.arange(10, 20) + 0.5) * length / 20)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_ray_and_no_sample_give_nothing(backend: Any) -> None:
    none, ray = torch.zeros(0), torch.zeros(0, 3)
    found = march_rays(ray, ray, none, none, torch.ones(2, 2, 2, dtype=torch.bool), 0.1, backend=backend)
    assert found.offsets.tolist() == [0]
    assert len(found.rays) == len(found.distances) == 0
    density, color = none.clone().requires_grad_(), ray.clone().requires_grad_()
    drawn = composite(density, color, none, none, torch.zeros(4, dtype=torch.int64), backend=backend)
    assert drawn.color.tolist() == [[0.0] * 3] * 3
    assert drawn.opacity.tolist() == [0.0] * 3
    (drawn.color.sum() + drawn.opacity.sum()).backward()
    assert density.grad is not None
    assert density.grad.shape == (0,)
    features = hash_grid(ray, torch.zeros(8, 2), HashGridLevels((1,), (8,)), backend)
    assert features.shape == (0, 2)


def test_strides_do_not_matter() -> None:
    """Every op gives the same results for strided and transposed views as for their contiguous copies."""
    torch.manual_seed(0)
    wide = torch.rand(40, 8)
    offsets = torch.tensor([0, 15, 15, 40])
    samples = (wide[:, 0], wide[:, 1:4], wide[:, 4], wide[:, 5], offsets.repeat_interleave(2)[::2])
    copies = tuple(value.contiguous() for value in samples)
    for mine, other in zip(composite(*samples), composite(*copies)):
        assert torch.equal(mine, other)
    levels = HashGridLevels((2, 30), (27, 64))
    table = torch.rand(2, levels.entries).T
    assert torch.equal(hash_grid(wide[:, 1:4], table, levels), hash_grid(wide[:, 1:4].contiguous(), table.contiguous(), levels))
    occupied = torch.rand(6, 6, 6).permute(2, 0, 1) < 0.4
    rays = (2 * wide[:, 1:4] - 1, wide[:, 3:6] - 0.5, wide[:, 6], 2 + wide[:, 7])
    found = march_rays(*rays, occupied, 0.05, jitter=wide[:, 0])
    same = march_rays(*(one.contiguous() for one in rays), occupied.contiguous(), 0.05, jitter=wide[:, 0].contiguous())
    assert len(found.distances) > 50
    for mine, other in zip(found, same):
        assert torch.equal(mine, other)
