"""A scene in 3D, as shown on the pages of runs and scenes."""

from collections.abc import Mapping
from typing import Any

from deep3dmap.core.errors import UserError
from deep3dmap.dashboard import markup, viewer3d
from deep3dmap.dashboard.look import one_line
from deep3dmap.results.kept_scenes import SavedScene


def show_in_3d(kept: Mapping[str, SavedScene], key: str) -> dict[str, Any] | None:
    """Show one scene from several entries in 3D and return the viewer's data; None if there is nothing to show.

    kept: {title: files}. key: Streamlit key of the viewer. If a file is damaged, an error is shown instead of the viewer.
    """
    try:
        data = viewer3d.scene_payload({one_line(title): one for title, one in kept.items()})
    except UserError as error:
        markup.show(markup.note(markup.text(error)))
        return None
    if data is not None:
        viewer3d.show(data, key=key)
    return data
