"""Files that come from elsewhere: official weights and pretrained networks. Nothing is ever downloaded."""

import os
from dataclasses import dataclass
from pathlib import Path

from deep3dmap.core.errors import UserError

FOLDER = "DEEP3DMAP_ASSETS"


@dataclass(frozen=True)
class Asset:
    """A file from elsewhere that a method or metric can use.

    name: what it is called in tables. option: the field of the method's configuration that names the file. licence: of the
    file. meaning: what it is for. origin: who publishes it, and under which file name.
    """

    name: str
    option: str
    licence: str
    meaning: str
    origin: str


def find_asset(asset: Asset, named: str) -> Path:
    """Return the file or folder that a configuration names: a path, or a name in the folder $DEEP3DMAP_ASSETS.

    Raises UserError, with where it was looked for and who publishes it, where there is none.
    """
    path = Path(named).expanduser()
    folder = os.environ.get(FOLDER)
    places = [path] if path.is_absolute() or not folder else [path, Path(folder).expanduser() / path]
    for place in places:
        if place.exists():
            return place.resolve()
    looked = " and ".join(str(place) for place in places)
    raise UserError(f"method.{asset.option}={named}: no such file ({looked}); {asset.meaning}, published by {asset.origin}")
