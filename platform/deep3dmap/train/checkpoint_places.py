"""Checkpoints in a store that is no folder: copied there when a run has ended, and to the cache when one is used."""

import hashlib
from pathlib import Path

from deep3dmap.core.errors import UserError
from deep3dmap.data.cache import build_folder, default_cache
from deep3dmap.results.storage import Storage
from deep3dmap.results.store import ResultStore


def keep_checkpoint(folder: Path, store: ResultStore, run_id: str) -> str:
    """Return where a checkpoint can be found: its own folder, or that of the copy that a store without folders is given."""
    return str(folder) if store.storage.local else store.storage.upload(folder, f"checkpoints/{run_id}/{folder.name}")


def local_checkpoint(place: str) -> Path:
    """Return the folder of a checkpoint; of one at a URI (s3://, gs://) a copy in the cache. Raises UserError if it is none."""
    if "://" not in place:
        return Path(place)
    storage = Storage(place)
    try:
        about = storage.read("checkpoint.json")
    except OSError as error:
        raise UserError(f"{place}/checkpoint.json: cannot read: {str(error).splitlines()[0]}") from error
    # Named by what it holds: a run that was begun anew may have left another one at the same place.
    return build_folder(default_cache() / "checkpoints" / hashlib.sha256(about).hexdigest()[:16], storage.download)
