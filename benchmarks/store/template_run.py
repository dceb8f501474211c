"""Template row of a synthetic run."""

import json
from datetime import UTC, datetime

from deep3dmap.results.schema import RunRow

TEMPLATE = RunRow(
    run_id="",
    attempt=1,
    suite="",
    protocol_version=1,
    tier="quick",
    task="task",
    method="",
    variant="mini",
    method_version="v1",
    dataset="data",
    dataset_variant="quick",
    dataset_version="d1",
    seed=0,
    config="{}",
    inputs=["image"],
    git_commit="0" * 40,
    git_dirty=False,
    packages=json.dumps({"torch": "2.13.0", "numpy": "2.4.6"}),
    hardware=json.dumps({"cpu": "a processor"}),
    engine="auto",
    backends="{}",
    status="ok",
    error="",
    started_at=datetime(2026, 1, 1, tzinfo=UTC),
    train_s=100.0,
    reconstruct_s=5.0,
    evaluate_s=1.0,
    peak_ram_mb=800.0,
    peak_gpu_mb=0.0,
    parameters=1_000_000,
    steps=400,
    checkpoint_uri="",
    artifacts_uri="",
    command="deep3dmap benchmark",
)
