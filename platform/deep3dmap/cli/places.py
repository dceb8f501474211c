"""Where a command reads and writes: absolute paths, decided once, before anything is handed to Ray."""

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
    """Raise UserError if a folder of results cannot be there: a file is in its place, or it may not be written.

    Nothing is left behind. named: how it was given, such as `-o`.
    """
    there = require_folder(folder, f"{named} {folder}")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise UserError(f"{named} {folder}: cannot write there: {error.strerror}; choose another folder") from error


def open_store(uri: str, make: bool = True) -> tuple["ResultStore", str, Path]:
    """Return the store, its absolute URI, and the folder for checkpoints and Ray's bookkeeping.

    The latter lies beside the store, for a remote one in the cache of the machine. make: make the store's folder. Raises
    UserError for a store that cannot be reached or made.
    """
    # Imported now: who only checks a folder need not wait for the tables' libraries.
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
        raise UserError(f"results={uri}: cannot make the folder: {error.strerror}") from error
    store = ResultStore(str(root))
    return store, str(root), work_folder(store)


def work_folder(store: "ResultStore") -> Path:
    """Return the folder for the checkpoints of a store."""
    if store.storage.local:
        return store.storage.local / "work"
    return default_cache() / "work" / re.sub(r"[^\w.-]+", "_", store.uri)
