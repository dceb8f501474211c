"""GPUs reserved per worker: as configured, or one if GPUs are available and the method can use it."""

from pathlib import Path

import pytest

from deep3dmap.testing import Subject
from deep3dmap.train import placement
from deep3dmap.train.placement import gpus_per_worker, worker_bundle


def test_this_machine_does_not_speak_for_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Subject("toys:Regression/mini", tmp_path, "toys:Dots", ("device=auto",)).job("a", max_steps=1)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(RuntimeError, match="until it is joined"):
        gpus_per_worker(job)
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 2.0, "GPU": 4.0})
    assert gpus_per_worker(job) == 1.0


@pytest.mark.parametrize(
    ("method", "there", "trainer", "device", "expected"),
    [
        ("toys:Regression/mini", True, {}, "auto", 1.0),
        ("toys:Regression/mini", False, {}, "auto", 0.0),
        ("toys:Regression/mini", True, {}, "cpu", 0.0),
        ("toys:Regression/mini", True, {"gpus_per_worker": 0.25}, "auto", 0.25),
        ("toys:Regression/mini", True, {"gpus_per_worker": 0}, "auto", 0.0),
        ("toys:Regression/mini", False, {"gpus_per_worker": 1}, "cpu", 1.0),
        ("mean_face/mini", True, {}, "auto", 0.0),
    ],
)
def test_gpus_per_worker(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    there: bool,
    trainer: dict[str, float],
    device: str,
    expected: float,
) -> None:
    monkeypatch.setattr(placement, "_has_gpus", lambda: there)
    dataset = "toys:Dots" if method.startswith("toys") else "heads/smoke"
    job = Subject(method, tmp_path, dataset, (f"device={device}",)).job("a", max_steps=1, **trainer)
    assert gpus_per_worker(job) == expected
    assert worker_bundle(job).get("GPU", 0.0) == expected
