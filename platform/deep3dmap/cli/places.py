"""Resolves the locations a command reads and writes to absolute paths, once, before anything is passed to Ray."""

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import require_folder
from deep3dmap.data.cache import default_cache

if TYPE_CHECKING:
    from deep3dmap.results.store import ResultStore


def check_folder(folder: Path, named: str) -> None:
    """Raise UserError if an output folder cannot be created or written to, or if the path is a file.

    Leaves nothing behind. named: the option that the folder was given with, such as `-o`.
    """
    existing = require_folder(folder, f"{named} {folder}")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(f"{named} {folder}: cannot write there: {error.strerror}; choose another folder") from error


def open_store(uri: str, make: bool = True) -> tuple["ResultStore", str, Path]:
    """Return the store, its absolute URI, and the folder for checkpoints and Ray's files.

    That folder is inside a local store, and in this machine's cache for a remote one. make: create the store's folder. Raises
    UserError if the store cannot be reached or created.
    """
    # Imported here so that `check_folder` does not load the table libraries.
    from deep3dmap.results.store import ResultStore

    if "://" in uri and not uri.startswith("file://"):
        store = ResultStore(uri)
        store.storage.check_bucket()
        return store, store.uri, work_folder(store)
    root = Path(uri.removeprefix("file://")).expanduser().resolve()
    try:
        if make:
            root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"results={uri}: cannot create the folder: {error.strerror}") from error
    store = ResultStore(str(root))
    return store, str(root), work_folder(store)


def work_folder(store: "ResultStore") -> Path:
    """Return the folder for the checkpoints of a store."""
    if store.storage.local:
        return store.storage.local / "work"
    return default_cache() / "work" / re.sub(r"[^\w.-]+", "_", store.uri)
