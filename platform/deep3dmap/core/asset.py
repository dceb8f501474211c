"""Files beside the code: official weights and pretrained networks from elsewhere, and what a method brings with it.

Nothing is ever downloaded.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from deep3dmap.core.errors import UserError

FOLDER = "DEEP3DMAP_ASSETS"
# The value of an option that names the weights that come with the method, and the files that hold and describe them.
SHIPPED = "shipped"
SHIPPED_FILE, SHIPPED_CARD = "shipped.pth", "shipped.json"
# Returns a file that lies beside a method's module, by its name, or None.
Beside = Callable[[str], Traversable | None]


@dataclass(frozen=True)
class Asset:
    """A file from elsewhere that a method or metric can use.

    name: what it is called in tables. option: the field of the method's configuration that names the file; of a metric, whose
    weights no configuration names, the file's name in the folder of assets. licence: of the file. meaning: what it is for.
    origin: who publishes it, and under which file name. embedded: values of the option that name no file but something that
    comes with the package. is_required: whether the method cannot be built without it.
    """

    name: str
    option: str
    licence: str
    meaning: str
    origin: str
    embedded: tuple[str, ...] = ()
    is_required: bool = False

    def names_file(self, value: object) -> bool:
        """Whether a value of the option names a file or folder."""
        return bool(value) and value not in self.embedded

    def check_named(self, value: object) -> None:
        """Raise UserError if a method that cannot do without it is given none. value: of the option."""
        if self.is_required and not value:
            raise UserError(
                f"method.{self.option} is empty; name a file or folder, or a run of this store (RUN_ID or METHOD/VARIANT): "
                f"{self.meaning}, published by {self.origin}"
            )


def find_asset(asset: Asset, named: str, beside: Beside = lambda _: None) -> Path:
    """Return the file or folder that a configuration names: a path, or a name in the folder $DEEP3DMAP_ASSETS.

    A TensorFlow checkpoint is named by the stem of its files; "shipped" is the file that lies beside the method. Raises
    UserError, with where it was looked for and who publishes it, where there is none.
    """
    if named == SHIPPED:
        shipped = beside(SHIPPED_FILE)
        if shipped is None:
            raise UserError(f"method.{asset.option}={named}: no weights come with this method; train it, or name a file")
        return Path(str(shipped))
    path = Path(named).expanduser()
    folder = os.environ.get(FOLDER)
    places = [path] if path.is_absolute() or not folder else [path, Path(folder).expanduser() / path]
    for place in places:
        if asset_files(place):
            return place.absolute()
    looked = " and ".join(str(place) for place in places)
    raise UserError(f"method.{asset.option}={named}: no such file ({looked}); {asset.meaning}, published by {asset.origin}")


def asset_in_folder(asset: Asset) -> Path | None:
    """Return the file `asset.option` in the folder $DEEP3DMAP_ASSETS, None where there is none: what a metric does without."""
    folder = os.environ.get(FOLDER)
    path = Path(folder).expanduser() / asset.option if folder else None
    return path.absolute() if path is not None and path.is_file() else None


def shipped_card(beside: Beside) -> dict[str, Any] | None:
    """Return what is said of the weights that come with a method, None where none do."""
    card = beside(SHIPPED_CARD)
    if card is None or beside(SHIPPED_FILE) is None:
        return None
    described: dict[str, Any] = json.loads(card.read_text())
    return described


def asset_files(path: Path) -> list[Path]:
    """Return the file, the files of the folder, or the files that share the stem `path`, sorted; none where there are none."""
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(entry for entry in path.rglob("*") if entry.is_file())
    return sorted(path.parent.glob(f"{path.name}.*")) if path.parent.is_dir() else []
