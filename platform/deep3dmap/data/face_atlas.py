"""UV atlases by name: the built-in atlas of the procedural head, or one supplied by the user."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from deep3dmap.core.errors import UserError, nearest
from deep3dmap.data.scenes.head_model import head_atlas, head_model
from deep3dmap.geometry.uv_atlas import UVAtlas
from deep3dmap.render.position_map import PositionMapper

GRID_HEAD = "grid_head"


def face_atlas(name: str, size: int) -> UVAtlas:
    """Return an atlas of `size` x `size` texels.

    name: "grid_head" for the procedural head, or the path of an .npz file written by `UVAtlas.save` or of a PRNet uv-data
    folder. Raises UserError if the atlas does not exist.
    """
    if name == GRID_HEAD:
        return _grid_head(size)
    place = Path(name)
    if place.is_dir():
        atlas = UVAtlas.from_prnet_folder(place)
    elif place.is_file():
        atlas = UVAtlas.load(place)
    else:
        hint = nearest(name, [GRID_HEAD])
        raise UserError(f"atlas '{name}' is neither a file (.npz) nor a folder (PRNet's uv-data){hint}")
    return atlas if atlas.size == size else atlas.resized(size)


@cache
def _grid_head(size: int) -> UVAtlas:
    model = head_model()
    mapper = PositionMapper(model.faces, model.uv, size, model.faces_uv)
    return replace(head_atlas(size), canonical=mapper(model.mean * np.array([1, -1, 1])))
