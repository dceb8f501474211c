"""Assets: official weights and pretrained networks from third parties, and files shipped with a method.

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
# The option value that selects the weights shipped with a method, and the names of the weight file and its description.
SHIPPED = "shipped"
SHIPPED_FILE, SHIPPED_CARD = "shipped.pth", "shipped.json"
# Returns the file with the given name next to a method's module, or None.
SiblingFinder = Callable[[str], Traversable | None]


@dataclass(frozen=True)
class Asset:
    """A third-party file that a method or metric can use.

    name: display name in tables. option: the method's configuration field that specifies the file; for a metric, whose
    weights are not configurable, the file name in the asset folder. licence: licence of the file. meaning: its purpose.
    origin: its publisher and original file name. embedded: option values that refer to something included in the package
    instead of a file. is_required: whether the method cannot be built without it.
    """

    name: str
    option: str
    licence: str
    meaning: str
    origin: str
    embedded: tuple[str, ...] = ()
    is_required: bool = False

    def names_file(self, value: object) -> bool:
        """Return whether a value of the option refers to a file or folder."""
        return bool(value) and value not in self.embedded

    def check_named(self, value: object) -> None:
        """Raise UserError if the asset is required and `value`, the value of the option, is empty."""
        if self.is_required and not value:
            raise UserError(
                f"method.{self.option} is empty; name a file or folder, or a run of this store (RUN_ID or METHOD/VARIANT): "
                f"{self.meaning}, published by {self.origin}"
            )


def find_asset(asset: Asset, named: str, find_sibling: SiblingFinder = lambda _: None) -> Path:
    """Return the file or folder for a configured name: a path, or a name in the folder $DEEP3DMAP_ASSETS.

    A TensorFlow checkpoint is named by the stem of its files; "shipped" selects the file next to the method's module. Raises
    UserError with the searched locations and the publisher if the file does not exist.
    """
    if named == SHIPPED:
        shipped = find_sibling(SHIPPED_FILE)
        if shipped is None:
            raise UserError(f"method.{asset.option}={named}: this method ships no weights; train it, or name a file")
        return Path(str(shipped))
    path = Path(named).expanduser()
    folder = os.environ.get(FOLDER)
    candidates = [path] if path.is_absolute() or not folder else [path, Path(folder).expanduser() / path]
    for candidate in candidates:
        if asset_files(candidate):
            return candidate.absolute()
    searched = " and ".join(str(candidate) for candidate in candidates)
    raise UserError(f"method.{asset.option}={named}: no such file ({searched}); {asset.meaning}, published by {asset.origin}")


def asset_in_folder(asset: Asset) -> Path | None:
    """Return the file `asset.option` in the folder $DEEP3DMAP_ASSETS, or None if it does not exist."""
    folder = os.environ.get(FOLDER)
    path = Path(folder).expanduser() / asset.option if folder else None
    return path.absolute() if path is not None and path.is_file() else None


def shipped_card(find_sibling: SiblingFinder) -> dict[str, Any] | None:
    """Return the description of the weights shipped with a method, or None if there are none."""
    card = find_sibling(SHIPPED_CARD)
    if card is None or find_sibling(SHIPPED_FILE) is None:
        return None
    described: dict[str, Any] = json.loads(card.read_text())
    return described


def asset_files(path: Path) -> list[Path]:
    """Return, sorted, the file `path`, all files in the folder `path`, or the files whose stem is `path`; may be empty."""
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(entry for entry in path.rglob("*") if entry.is_file())
    return sorted(path.parent.glob(f"{path.name}.*")) if path.parent.is_dir() else []
