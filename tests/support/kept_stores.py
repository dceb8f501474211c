"""Stores with saved surfaces and pictures of the runs' scenes."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from stores import ENTRANTS, build_store, metric_rows, run_row, write_suites

from deep3dmap.core.mesh import Mesh
from deep3dmap.core.preview import PREDICTION, TRUTH, Part, Preview
from deep3dmap.core.scene_names import folder_name
from deep3dmap.results.store import ResultStore

HOSTILE = "<img src=x onerror=alert(1)>![x](https://example.org/p.png) \"'`=${1}&\u202e"


def ball(radius: float, subdivisions: int = 3) -> Mesh:
    """Return a sphere with colours."""
    found = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return Mesh(found.vertices, found.faces, np.abs(found.vertices) / radius)


def preview(radius: float) -> Preview:
    """Return the preview of a sphere with a given radius, whose true radius is 1."""
    mesh, truth = ball(radius), ball(1.0)
    errors = np.abs(np.linalg.norm(mesh.vertices, axis=1) - 1 + 0.02 * mesh.vertices[:, 0]).astype(np.float32)
    parts = {PREDICTION: Part(mesh, 412_003, 206_000, errors), TRUTH: Part(truth, len(truth.faces), len(truth.vertices))}
    return Preview("metre", (0.3, 0.2, 1.0), False, 0.07, parts)


def keep_scene(folder: Path, radius: float) -> None:
    """Write the files that a run saves for a scene."""
    place = folder / "preview"
    place.mkdir(parents=True, exist_ok=True)
    for name, content in preview(radius).files().items():
        (place / name).write_bytes(content)
    for number, name in enumerate(("input", "surface_prediction", "surface_truth", "surface_error")):
        stream = io.BytesIO()
        Image.fromarray(np.full((24, 32, 3), 40 + 50 * number, np.uint8)).save(stream, "JPEG")
        (place / f"{name}.jpg").write_bytes(stream.getvalue())


def build_kept_store(folder: Path, seeds: int = 2, scenes: int = 4) -> ResultStore:
    """Return the store of `build_store` with surfaces of the first two scenes of the face suite's finished runs."""
    store = build_store(folder, seeds=seeds, scenes=scenes)
    runs = store.runs()
    for run in runs[(runs.suite == "face") & (runs.status == "ok")].itertuples():
        radius = 1.1 if run.method == "prnet" else 1.4
        for scene in range(2):
            keep_scene(Path(store.artifacts_path(run.run_id, run.attempt), f"scene_{scene:02d}"), radius)
    return store


def build_hostile_store(folder: Path) -> ResultStore:
    """Return a store whose methods, datasets, metrics and scenes have markup in their names."""
    store = ResultStore(str(folder))
    write_suites(store)
    for number, name in enumerate((HOSTILE, "../" * 3 + "etc", "=cmd|' /C calc'!A0")):
        row = run_row(ENTRANTS[0], 0, run_id=f"{number}a" * 8, method=name, variant=HOSTILE, dataset=HOSTILE, suite="face")
        row = replace(row, artifacts_uri="kept")
        metrics = [
            replace(one, scene=f"{one.scene}{HOSTILE}", metric=f"{one.metric}{HOSTILE}" if kind else one.metric)
            for one in metric_rows(row, ENTRANTS[0], 3)
            if one.scene
            for kind in (0, 1)
        ]
        for scene in sorted({one.scene for one in metrics}):
            keep_scene(Path(store.artifacts_path(row.run_id, row.attempt), folder_name(scene)), 1.1 + 0.1 * number)
        store.write_attempt(row, metrics, [])
    return store
