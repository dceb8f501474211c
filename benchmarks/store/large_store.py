"""A large store for the dashboard: runs of suites with curves, trials of a sweep, cards, and scenes."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deep3dmap.benchmarks.store.speed import SEEDS, SUITES, synthetic_run, without_fsync
from deep3dmap.core.mesh import Mesh
from deep3dmap.core.preview import PREDICTION, TRUTH, Part, Preview
from deep3dmap.results.kept_scenes import PREVIEW
from deep3dmap.results.leaderboard import boards
from deep3dmap.results.schema import SWEEPS, CurveRow, MetricRow, RunRow
from deep3dmap.results.store import ResultStore

# As in real runs: small surfaces of up to 12,000 triangles for 24 scenes, and a sheet for 8.
PREVIEWED, SHEETS, TRIANGLES = 24, 8, 12_000
PICTURED_ENTRIES, TRIALS, FIRST_TRIAL = 2, 100, 10**7
PICTURES = ("input", *(f"surface_{part}" for part in ("prediction", "truth", "error")))


def write_store(uri: str, runs: int, scenes: int, metrics: int, points: int) -> ResultStore:
    """Write runs, each with values, a curve and the state of its trial, and the other contents shown on the pages."""
    store = ResultStore(uri)
    with without_fsync():
        for run, rows in (*_trials(min(TRIALS, runs)), *(synthetic_run(number, scenes, metrics) for number in range(runs))):
            curve = [CurveRow(run.run_id, 1, step, step / 10, "loss", 1 / (1 + step)) for step in range(points)]
            kept = replace(run, artifacts_uri=store.artifacts_path(run.run_id, 1))
            store.write_attempt(kept, rows, curve)
            store.write_trial_state(run.run_id, "ok", f"{run.method} on {run.dataset}")
        _write_cards(store, runs, metrics)
        _write_scenes(store)
    return store


def _trials(count: int) -> Iterator[tuple[RunRow, list[MetricRow]]]:
    for number in range(count):
        run, _ = synthetic_run(FIRST_TRIAL + number, 1, 1)
        config = json.loads(run.config) | {"seed": 0, "optimizer": {"lr": 10 ** (-1 - 3 * number / count)}}
        config["method"]["option_0"] = number % 7
        row = replace(run, suite=f"{SWEEPS}search", tier="", method="method_0000", seed=0, config=json.dumps(config))
        yield row, [MetricRow(run.run_id, 1, "", "metric_0", 1.0 + (number * 37 % count) / count, "mm", "down")]


def _write_cards(store: ResultStore, runs: int, metrics: int) -> None:
    names = [{"name": f"metric_{number}", "unit": "mm", "better": "down", "meaning": "made up"} for number in range(metrics)]
    for number in range(SUITES):
        card = {"title": f"Suite {number}", "metrics": names, "headline": "metric_0", "version": 1, "datasets": ["data"]}
        store.write_card("suite", f"suite_{number}", "1", {"card": card})
    for number in range(-(-runs // (SEEDS * SUITES))):
        store.write_card("method", f"method_{number:04d}", "v1", {"card": {"title": "made up"}, "readme": "# Made up"})


def _write_scenes(store: ResultStore) -> None:
    """Save scenes for the best entries of the suite with the newest run, as many as the first view of Compare shows."""
    surfaces = _surfaces()
    shades = {name: _picture(number, "JPEG") for number, name in enumerate(PICTURES)}
    runs = store.runs()
    newest = runs[~runs.suite.str.startswith(SWEEPS)].sort_values("started_at").suite.iloc[-1]
    board = boards(store, str(newest), metric="metric_0")[0]
    for run_id in (run_id for row in board.rows[:PICTURED_ENTRIES] for run_id in row.run_ids):
        for place, scene in enumerate(board.scenes[:PREVIEWED]):
            folder = f"{store.artifacts_name(run_id, 1)}/{scene}"
            for name, content in (*surfaces.items(), *((f"{name}.jpg", shade) for name, shade in shades.items())):
                store.storage.write(f"{folder}/{PREVIEW}/{name}", content)
            if place < SHEETS:
                store.storage.write(f"{folder}/sheet.png", _picture(0, "PNG"))


def _surfaces() -> dict[str, bytes]:
    near, true = _globe(1.05), _globe(1.0)
    errors = np.abs(np.linalg.norm(near.vertices, axis=1) - 1.0).astype(np.float32)
    parts = {PREDICTION: Part(near, TRIANGLES, len(near.vertices), errors), TRUTH: Part(true, TRIANGLES, len(true.vertices))}
    return Preview("metre", worst=0.07, parts=parts).files()


def _globe(radius: float) -> Mesh:
    """Return a bumpy sphere with as many triangles as real runs save."""
    rows = cols = int((TRIANGLES / 2) ** 0.5)
    polar, around = np.meshgrid(np.linspace(0, np.pi, rows + 1), np.linspace(0, 2 * np.pi, cols + 1), indexing="ij")
    reach = radius + 0.02 * np.sin(5 * polar) * np.cos(7 * around)
    places = [reach * np.sin(polar) * np.cos(around), reach * np.cos(polar), reach * np.sin(polar) * np.sin(around)]
    number = np.arange((rows + 1) * (cols + 1)).reshape(rows + 1, cols + 1)
    corners = [number[:-1, :-1], number[1:, :-1], number[:-1, 1:], number[1:, 1:]]
    faces = np.concatenate([np.stack([corners[place] for place in half], -1).reshape(-1, 3) for half in ((0, 2, 1), (1, 2, 3))])
    vertices = np.stack(places, -1).reshape(-1, 3).astype(np.float32)
    return Mesh(vertices, faces, np.abs(vertices / np.abs(vertices).max()))


def _picture(number: int, kind: str) -> bytes:
    """Return a noisy picture with the height of saved pictures."""
    noise: NDArray[np.uint8] = np.random.default_rng(number).integers(0, 60, (240, 320, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.uint8(40 + 30 * number) + noise).save(stream, kind)
    return stream.getvalue()
