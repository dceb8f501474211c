"""From what an attempt kept of a scene to the panels of the viewer."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deep3dmap.core.preview import PREDICTION, TRUTH, Preview
from deep3dmap.core.reconstruction import read_mesh
from deep3dmap.dashboard.viewer3d.payload import MOST_PANELS, Panel, payload
from deep3dmap.results.kept_scenes import MESH, KeptScene

TRUE_SURFACE = "truth"


def scene_payload(kept: Mapping[str, KeptScene], with_truth: bool = True) -> dict[str, Any] | None:
    """Return the viewer's data of one scene as several entries made it, or None where none kept a surface.

    kept: {title: files}. The truth has the last panel, if a panel is left. Scenes that have no small surfaces show their whole
    mesh, without truth and errors. Raises UserError naming a file that is damaged.
    """
    previews = {title: one.preview() for title, one in kept.items() if one.has_preview}
    panels = panels_of(previews, with_truth)
    if not panels:
        meshes = {title: _whole_mesh(one) for title, one in kept.items() if one.has_mesh}
        panels = [Panel(title, mesh) for title, mesh in meshes.items()]
        return payload(panels[:MOST_PANELS]) if panels else None
    first = next(iter(previews.values()))
    return payload(panels, first.unit, first.eye, first.inside)


def panels_of(previews: Mapping[str, Preview], with_truth: bool = True) -> list[Panel]:
    """Return a panel for each prediction, and one for the truth where there is one and a panel is left."""
    found = [_panel(title, one, PREDICTION) for title, one in previews.items() if PREDICTION in one.parts][:MOST_PANELS]
    truths = [one for one in previews.values() if TRUTH in one.parts]
    if with_truth and truths and 0 < len(found) < MOST_PANELS:
        found.append(_panel(TRUE_SURFACE, truths[0], TRUTH))
    return found


def _panel(title: str, preview: Preview, name: str) -> Panel:
    part = preview.parts[name]
    return Panel(title, part.mesh, part.errors, part.triangles, part.points)


def _whole_mesh(kept: KeptScene) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, MESH)
        file.write_bytes(kept.read(MESH))
        return read_mesh(file)


def scenes_to_choose(kept: Mapping[str, KeptScene]) -> Sequence[str]:
    """Return the scenes that have something to show in 3D, those with small surfaces first."""
    there = [scene for scene, one in kept.items() if one.has_preview or one.has_mesh]
    return sorted(there, key=lambda scene: not kept[scene].has_preview)
