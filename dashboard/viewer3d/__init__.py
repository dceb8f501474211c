"""3D viewer for meshes and point clouds side by side with a shared camera, used by the app and the static site."""

from deep3dmap.dashboard.viewer3d.component import show
from deep3dmap.dashboard.viewer3d.payload import Panel, payload
from deep3dmap.dashboard.viewer3d.scene_panels import panels_of, scene_payload

__all__ = ["Panel", "panels_of", "payload", "scene_payload", "show"]
