"""Converts the saved files of a scene to panels of the viewer."""

import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from deep3dmap.core.mesh import Mesh
from deep3dmap.core.preview import PREDICTION, SIGNS, TRUTH, Preview
from deep3dmap.core.reconstruction import read_mesh
from deep3dmap.core.reconstruction_files import ABOUT_FILE, MESH_FILE, read_about
from deep3dmap.dashboard.viewer3d.payload import MOST_PANELS, Panel, payload
from deep3dmap.results.kept_scenes import SavedScene

TRUE_SURFACE = "truth"
PAYLOADS_KEPT = 16


def scene_payload(kept: Mapping[str, SavedScene]) -> dict[str, Any] | None:
    """Return the viewer's data for one scene from several entries, or None if none saved a surface.

    kept: {title: files}. The true surface is in the last panel if one is free. Scenes without simplified surfaces show full
    meshes, without the truth and errors. Raises UserError naming a damaged file.
    """
    return _payload(tuple(kept.items()))


@lru_cache(PAYLOADS_KEPT)
def _payload(items: tuple[tuple[str, SavedScene], ...]) -> dict[str, Any] | None:
    kept = dict(items)
    previews = {title: one.preview() for title, one in kept.items() if one.has_preview}
    panels = panels_of(previews)
    if not panels:
        meshes = {title: _whole_mesh(one) for title, one in kept.items() if one.has_mesh}
        panels = [Panel(title, mesh) for title, mesh in meshes.items()]
        return payload(panels[:MOST_PANELS]) if panels else None
    first = next(iter(previews.values()))
    return payload(panels, first.unit, first.eye, first.inside)


def panels_of(previews: Mapping[str, Preview]) -> list[Panel]:
    """Return a panel for each prediction, and one for the true surface if it is available and a panel is free."""
    found = [_panel(title, one, PREDICTION) for title, one in previews.items() if PREDICTION in one.parts][:MOST_PANELS]
    truths = [one for one in previews.values() if TRUTH in one.parts]
    if truths and 0 < len(found) < MOST_PANELS:
        found.append(_panel(TRUE_SURFACE, truths[0], TRUTH))
    return found


def _panel(title: str, preview: Preview, name: str) -> Panel:
    part = preview.parts[name]
    return Panel(title, part.mesh, part.errors, part.triangles, part.points)


def _whole_mesh(kept: SavedScene) -> Mesh:
    """Return the full reconstructed mesh, upright if its coordinate frame is known."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (MESH_FILE, ABOUT_FILE):
            Path(folder, name).write_bytes(kept.read(name))
        mesh, frame = read_mesh(Path(folder, MESH_FILE)), read_about(Path(folder))["frame"]
    signs = SIGNS.get(frame, (1.0, 1.0, 1.0))
    faces = mesh.faces if np.prod(signs) > 0 else mesh.faces[:, ::-1]
    return Mesh(mesh.vertices * np.array(signs, np.float32), faces, mesh.colors)


def scenes_to_choose(kept: Mapping[str, SavedScene]) -> Sequence[str]:
    """Return the scenes with a surface to show in 3D, those with simplified surfaces first."""
    available = [scene for scene, one in kept.items() if one.has_surface]
    return sorted(available, key=lambda scene: not kept[scene].has_preview)
