"""Resolution of the user's `dataset.root` for datasets that are read from disk."""

from pathlib import Path

from deep3dmap.core.errors import UserError


def given_root(root: str, description: str) -> Path:
    """Return the folder `dataset.root`; raises UserError with `description` if it is unset or does not exist."""
    if not root:
        raise UserError(f"dataset.root is empty; pass dataset.root=FOLDER, {description}")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; pass dataset.root=FOLDER, {description}")
    return folder
