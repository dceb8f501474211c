"""Compositing: native against reference on random problems and edge cases, gradients, and invalid arguments."""

import numpy as np
import pytest
import torch

from deep3dmap.nn.radiance.volume_rendering import render_rays
from deep3dmap.ops.composite import _native_backward, _native_composite, composite

Problem = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def problem(seed: int, dtype: torch.dtype = torch.float32) -> Problem:
    """Rays with no, one or many samples in thin and dense media, some of them opaque."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 40, rng.integers(0, 30)) * (rng.random(1) < 0.95)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    samples = int(offsets[-1])
    density = np.abs(rng.standard_normal(samples)) * 10.0 ** rng.uniform(-3, 2, samples) * (rng.random(samples) < 0.8)
    given = (density, rng.random((samples, 3)), np.sort(rng.uniform(1, 5, samples)), rng.uniform(0.01, 0.2, samples))
    density, color, distances, lengths = (torch.tensor(value, dtype=dtype) for value in given)
    return density, color, distances, lengths, torch.tensor(offsets)


def with_gradients(given: Problem, backend: str, stop: float) -> list[torch.Tensor]:
    density, color = (value.clone().requires_grad_() for value in given[:2])
    results = composite(density, color, *given[2:], stop=stop, backend=backend)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    worth = [torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value) for value in results]
    sum((value * weight).sum() for value, weight in zip(results, worth)).backward()  # type: ignore[union-attr]
    assert density.grad is not None
    assert color.grad is not None
    return [value.detach() for value in results] + [density.grad, color.grad]


@pytest.mark.parametrize("stop", [0.0, 1e-4])
@pytest.mark.parametrize("seed", range(40))
def test_native_equals_reference(seed: int, stop: float) -> None:
    given = problem(seed)
    ours = with_gradients(given, "native", stop)
    exact = tuple(value.double() if value.is_floating_point() else value for value in given)
    theirs = with_gradients(exact, "reference", stop)  # type: ignore[arg-type]
    # If the transmittance is at the threshold, rounding may end a ray one sample earlier, a difference of 1e-4.
    tolerance = 1e-5 if stop == 0 else 3e-3
    for mine, other in zip(ours, theirs):
        torch.testing.assert_close(mine, other.float(), atol=tolerance, rtol=1e-3)


def test_packed_rays_equal_rays_of_one_length() -> None:
    rng = torch.Generator().manual_seed(0)
    density, color = torch.rand(20, 16, generator=rng), torch.rand(20, 16, 3, generator=rng)
    distances, lengths = torch.rand(20, 16, generator=rng), torch.rand(20, 16, generator=rng)
    dense = render_rays(density, color, distances, lengths)
    offsets = torch.arange(21) * 16
    packed = composite(density.flatten(), color.flatten(0, 1), distances.flatten(), lengths.flatten(), offsets, stop=0)
    for mine, other in zip(packed, dense):
        torch.testing.assert_close(mine, other.reshape(mine.shape), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_what_lies_behind_an_opaque_sample_has_no_weight_and_no_gradient(backend: str) -> None:
    density = torch.tensor([0.5, 1e6, 3.0, 3.0]).requires_grad_()
    color = torch.rand(4, 3).requires_grad_()
    places = torch.arange(4.0)
    drawn = composite(density, color, places, torch.ones(4), torch.tensor([0, 4]), backend=backend)  # type: ignore[arg-type]
    assert drawn.weights[2:].tolist() == [0, 0]
    assert drawn.opacity.item() == pytest.approx(1)
    (drawn.color.sum() + drawn.depth.sum() + drawn.weights.sum()).backward()
    assert density.grad is not None
    assert color.grad is not None
    assert density.grad[2:].tolist() == [0, 0]
    assert not color.grad[2:].any()


@pytest.mark.parametrize("seed", [0, 3])
def test_gradcheck_of_the_reference(seed: int) -> None:
    density, color, *rest = problem(seed, torch.float64)
    smooth = density.clamp(max=5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda d, c: composite(d, c, *rest, stop=0, backend="reference"), (smooth, color.requires_grad_())
    )


def test_thin_media_keep_their_digits() -> None:
    """A medium of optical thickness 1e-6 per sample absorbs 1e-6 of the light, without cancellation."""
    drawn = composite(
        torch.full((1,), 1e-6), torch.ones(1, 3), torch.ones(1), torch.ones(1), torch.tensor([0, 1]), backend="native"
    )
    assert drawn.opacity.item() == pytest.approx(1e-6, rel=1e-5)


def test_threads_do_not_change_the_result() -> None:
    results, before = [], torch.get_num_threads()
    for threads in (1, 5):
        torch.set_num_threads(threads)
        results.append(with_gradients(problem(8), "native", 1e-4))
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results))


def test_opcheck() -> None:
    density, color, *rest = problem(4)
    torch.library.opcheck(_native_composite, (density.requires_grad_(), color.requires_grad_(), *rest, 1e-4))
    results = _native_composite(density.detach(), color.detach(), *rest, 1e-4)
    torch.library.opcheck(_native_backward, (density.detach(), color.detach(), *rest, *results, 1e-4))


def test_wrong_arguments_are_named() -> None:
    density, color, distances, lengths, offsets = problem(0)
    wrong = [
        ("density must be", (density[None], color, distances, lengths, offsets)),
        ("color must be", (density, color[:, :2], distances, lengths, offsets)),
        ("distances must be", (density, color, distances[1:], lengths, offsets)),
        ("lengths must be", (density, color, distances, lengths[1:], offsets)),
        ("offsets must be int64", (density, color, distances, lengths, offsets.int())),
        ("offsets must run from 0", (density, color, distances, lengths, offsets + 1)),
        ("offsets must run from 0", (density, color, distances, lengths, offsets.flip(0))),
        ("color is on meta", (density, color.to("meta"), distances, lengths, offsets)),
    ]
    for words, given in wrong:
        with pytest.raises(ValueError, match=words):
            composite(*given)
    with pytest.raises(ValueError, match="float64"):
        composite(density.double(), color, distances, lengths, offsets, backend="native")


@pytest.mark.gpu
def test_cuda_equals_cpu() -> None:
    given = problem(5)
    here = with_gradients(given, "native", 0.0)
    there = with_gradients(tuple(value.cuda() for value in given), "native", 0.0)  # type: ignore[arg-type]
    for mine, other in zip(there, here):
        torch.testing.assert_close(mine.cpu(), other, atol=1e-5, rtol=1e-4)
