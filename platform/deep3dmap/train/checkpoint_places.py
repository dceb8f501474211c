"""Checkpoints in remote stores: uploaded when a run has ended, and downloaded to the cache when used."""

import hashlib
from pathlib import Path

from deep3dmap.core.errors import UserError
from deep3dmap.data.cache import build_folder, default_cache
from deep3dmap.results.storage import Storage
from deep3dmap.results.store import ResultStore


def store_checkpoint(folder: Path, store: ResultStore, run_id: str) -> str:
    """Return the location of a checkpoint: its own folder for a local store, else the URI of a copy uploaded to the store."""
    return str(folder) if store.storage.local else store.storage.upload(folder, f"checkpoints/{run_id}/{folder.name}")


def local_checkpoint(location: str) -> Path:
    """Return the folder of a checkpoint; one at a URI (s3://, gs://) is copied to the cache. Raises UserError if unreadable."""
    if "://" not in location:
        return Path(location)
    storage = Storage(location)
    try:
        about = storage.read("checkpoint.json")
    except OSError as error:
        raise UserError(f"{location}/checkpoint.json: cannot read: {str(error).splitlines()[0]}") from error
    # Named by its content, because a run that was started over may store a different checkpoint at the same URI.
    return build_folder(default_cache() / "checkpoints" / hashlib.sha256(about).hexdigest()[:16], storage.download)
