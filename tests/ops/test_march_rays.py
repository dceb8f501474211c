"""Ray marching: native against reference, closed forms, and invalid arguments."""

import numpy as np
import pytest
import torch

from deep3dmap.ops.march_rays import _native_count, _native_fill, march_rays
from deep3dmap.ops.march_rays_reference import contract


def problem(seed: int) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    rays, cells = int(rng.integers(0, 60)), int(rng.choice([4, 8, 16]))
    directions = rng.standard_normal((rays, 3)) * (rng.random((rays, 3)) < 0.9)
    near = rng.uniform(0, 1, rays)
    given = (rng.uniform(-2, 2, (rays, 3)), directions, near, near + rng.uniform(-0.2, 4, rays), rng.random(rays))
    names = ("origins", "directions", "near", "far", "jitter")
    return {
        **{name: torch.tensor(value, dtype=torch.float32) for name, value in zip(names, given)},
        "occupied": torch.tensor(rng.random((cells,) * 3) < rng.choice([0.05, 0.3, 1.0])),
        "step": float(rng.uniform(0.01, 0.2)),
        "cone": float(rng.choice([0.0, 0.02])),
        "contracted": bool(rng.random() < 0.5),
    }


@pytest.mark.parametrize("seed", range(60))
def test_native_equals_reference(seed: int) -> None:
    given = problem(seed)
    ours, theirs = (march_rays(**given, backend=backend) for backend in ("native", "reference"))  # type: ignore[arg-type]
    # A sample on the border of two cells may be assigned to either; everything else must be equal.
    missing = 0
    for ray in range(len(ours.offsets) - 1):
        mine, other = (set(_of(found, ray)) for found in (ours, theirs))
        missing += len(mine ^ other)
    assert missing <= 2 + 0.002 * len(theirs.distances)
    assert torch.equal(ours.rays, torch.repeat_interleave(torch.arange(len(ours.offsets) - 1), ours.offsets.diff()))


def _of(found: object, ray: int) -> list[float]:
    begin, end = found.offsets[ray], found.offsets[ray + 1]  # type: ignore[attr-defined]
    return [round(float(value), 4) for value in found.distances[begin:end]]  # type: ignore[attr-defined]


def test_a_full_grid_keeps_every_step_and_an_empty_one_none() -> None:
    origins, directions = torch.tensor([[-1.0, 0.1, 0.1]]), torch.tensor([[1.0, 0, 0]])
    near, far = torch.zeros(1), torch.full((1,), 2.0)
    full = march_rays(origins, directions, near, far, torch.ones(8, 8, 8, dtype=torch.bool), 0.125)
    torch.testing.assert_close(full.distances, torch.arange(16) * 0.125 + 0.0625)
    assert full.lengths.tolist() == [0.125] * 16
    assert len(march_rays(origins, directions, near, far, torch.zeros(8, 8, 8, dtype=torch.bool), 0.125).distances) == 0


def test_a_sphere_is_sampled_where_the_ray_cuts_it() -> None:
    cells = torch.stack(torch.meshgrid(*[(torch.arange(64) + 0.5) / 32 - 1] * 3, indexing="ij"))
    occupied = cells.square().sum(0) < 0.5**2
    found = march_rays(
        torch.tensor([[-2.0, 0.01, 0.01]]), torch.tensor([[1.0, 0, 0]]), torch.ones(1), torch.full((1,), 3.0), occupied, 0.01
    )
    assert found.distances[0].item() == pytest.approx(1.5, abs=0.04)
    assert found.distances[-1].item() == pytest.approx(2.5, abs=0.04)
    assert len(found.distances) == pytest.approx(100, abs=6)


def test_contraction_is_continuous_and_stays_within_two() -> None:
    points = torch.randn(500, 3, dtype=torch.float64) * 10 ** torch.linspace(-2, 4, 500, dtype=torch.float64)[:, None]
    contracted = contract(points)
    assert (contracted.abs() < 2).all()
    inside = points.abs().amax(1) <= 1
    assert torch.equal(contracted[inside], points[inside])
    border = torch.tensor([[1.0, 0.3, -0.2]], dtype=torch.float64)
    torch.testing.assert_close(contract(border * (1 + 1e-9)), contract(border))


def test_far_away_space_is_reached_with_steps_that_grow() -> None:
    cells = torch.ones(16, 16, 16, dtype=torch.bool)
    found = march_rays(
        torch.zeros(1, 3), torch.tensor([[0.3, 0.1, 1.0]]), torch.full((1,), 0.1), torch.full((1,), 1000.0), cells, 0.05,
        cone=0.1, contracted=True,
    )  # fmt: skip
    assert len(found.distances) < 120
    assert found.distances[-1] > 800
    torch.testing.assert_close(found.lengths, (0.1 * (found.distances - found.lengths / 2)).clamp(min=0.05))


def test_opcheck() -> None:
    given = problem(4)
    tensors = [given[name] for name in ("origins", "directions", "near", "far", "jitter")]
    cells = given["occupied"].to(torch.uint8)  # type: ignore[attr-defined]
    torch.library.opcheck(_native_count, (*tensors, cells, False, 0.1, 0.0))
    counts = _native_count(*tensors, cells, False, 0.1, 0.0)
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    torch.library.opcheck(_native_fill, (*tensors, cells, offsets, int(offsets[-1]), False, 0.1, 0.0))


def test_wrong_arguments_are_named() -> None:
    given = problem(1)
    for name, value, words in (
        ("origins", torch.zeros(3), "origins must be"),
        ("far", torch.zeros(1), "far must be"),
        ("near", given["near"].double(), "near must be float32"),  # type: ignore[attr-defined]
        ("occupied", torch.ones(2, 3, 2, dtype=torch.bool), "occupied must be"),
        ("occupied", torch.ones(2, 2, 2), "occupied must be bool"),
        ("step", 0.0, "step must be positive"),
        ("step", 1e-8, "bound the rays"),
        ("far", given["far"] + 1e9, "far reaches"),  # type: ignore[operator]
        ("near", given["near"] - 1e9, "near reaches"),  # type: ignore[operator]
        ("near", torch.full_like(given["near"], -float("inf")), "near reaches"),  # type: ignore[call-overload]
        ("jitter", torch.zeros(0), "jitter must be"),
        ("jitter", torch.ones_like(given["near"]), "jitter must lie in"),  # type: ignore[call-overload]
        ("jitter", torch.full(given["near"].shape, 1 - 1e-12, dtype=torch.float64), "jitter must lie in"),  # type: ignore[attr-defined]
        ("jitter", -given["jitter"], "jitter must lie in"),  # type: ignore[operator]
        ("jitter", given["jitter"] * float("nan"), "jitter must lie in"),  # type: ignore[operator]
    ):
        with pytest.raises(ValueError, match=words):
            march_rays(**{**given, name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_where_a_ray_without_samples_begins_does_not_matter(backend: str) -> None:
    eyes, towards = torch.zeros(2, 3), torch.tensor([[1.0, 0, 0]] * 2)
    near, far = torch.tensor([-1e30, 0.0]), torch.tensor([-2e30, 0.5])
    found = march_rays(eyes, towards, near, far, torch.ones(4, 4, 4, dtype=torch.bool), 0.25, backend=backend)  # type: ignore[arg-type]
    assert found.offsets.tolist() == [0, 0, 2]


@pytest.mark.gpu
def test_cuda_equals_cpu() -> None:
    given = problem(5)
    here = march_rays(**given)  # type: ignore[arg-type]
    there = march_rays(**{name: value.cuda() if isinstance(value, torch.Tensor) else value for name, value in given.items()})  # type: ignore[arg-type]
    counts, others = here.offsets.diff(), there.offsets.diff().cpu()
    # A sample on the border of two cells may be assigned to either.
    assert int((counts - others).abs().sum()) <= 2 + 0.002 * len(here.distances)
    same = counts == others
    mine, theirs = here.distances[same[here.rays]], there.distances.cpu()[same[there.rays.cpu()]]
    torch.testing.assert_close(theirs, mine, atol=1e-5, rtol=1e-5)
