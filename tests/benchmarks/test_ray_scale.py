"""The measurement of the overhead of Ray and the platform: plausible rows, and summaries that follow from them."""

import subprocess
import sys

import pytest

from deep3dmap.benchmarks.kernels import ray_scale, ray_scale_parts


def test_the_driver_and_the_store_are_timed_at_three_sizes() -> None:
    driver = ray_scale_parts.driver(4)
    assert [(row["what"], row["n"]) for row in driver] == [("driver of a sweep", n) for n in (1, 2, 4)]
    store = ray_scale_parts.store(8)
    assert {row["what"] for row in store} == {"write into the store", "read the runs", "leaderboard"}
    assert [row["n"] for row in store] == [2, 2, 2, 4, 4, 4, 8, 8, 8]
    assert all(0 < row["seconds"] < 30 and row["ratio"] is None for row in (*driver, *store))
    assert "10,000 runs" in ray_scale.verdict("store", store)


def test_growth_and_ratio_are_of_one_at_the_largest_over_the_smallest() -> None:
    rows = [ray_scale_parts.row("task", n, seconds, "task") for n, seconds in ((4, 6.0), (1, 2.0), (2, 1.0))]
    assert ray_scale.growth(rows, "task") == 3.0
    assert ray_scale.growth(rows[:1], "task") is None
    assert ray_scale_parts.row("ours", 1, 3.0, "run", base=2.0)["ratio"] == 1.5


def test_a_sweep_of_a_thousand_trials_at_a_known_rate_is_summarised_right() -> None:
    rows = [ray_scale_parts.row("driver of a sweep", n, 0.36, "trial") for n in (250, 1000)]
    said = ray_scale.verdict("driver", rows)
    assert "10,000 trials an hour" in said
    assert "takes 1.0 h" in said
    assert "grew by 1.00" in said
    pair = [ray_scale_parts.row("bare", 4, 2.0, "trial", 2.0), ray_scale_parts.row("ours", 4, 2.5, "trial", 2.0)]
    assert "+25 % of bare Ray's time" in ray_scale.verdict("trials", pair)


def test_a_part_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)part 'nonsense' of size 1 failed:.*invalid choice: 'nonsense'"):
        ray_scale.measure("nonsense", (1,))


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(("part", "names"), [("trials", 3), ("start", 2), ("raylets", 4)])
def test_the_parts_on_ray(part: str, names: int) -> None:
    rows = ray_scale.measure(part, (2,))
    assert len({row["what"] for row in rows}) == names
    assert all(0 < row["seconds"] < 300 for row in rows)
    assert ray_scale.verdict(part, rows)


def test_help() -> None:
    command = [sys.executable, "-m", "deep3dmap.benchmarks.kernels.ray_scale", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "--quick" in done.stdout
    assert "--part" in done.stdout
