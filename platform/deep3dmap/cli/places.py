"""Where a command reads and writes: absolute paths, decided once, before anything is handed to Ray."""

from pathlib import Path

from deep3dmap.core.errors import UserError
from deep3dmap.results.store import ResultStore


def open_store(uri: str) -> tuple[ResultStore, str, Path]:
    """Return the store, its absolute URI, and the folder for checkpoints and Ray's bookkeeping beside it.

    Raises UserError for a remote store, which has no folder that training processes could write checkpoints to.
    """
    absolute = uri if "://" in uri else str(Path(uri).expanduser().resolve())
    if "://" in absolute and not absolute.startswith("file://"):
        raise UserError(
            f"results={uri}: runs write checkpoints beside the store, so it has to be a folder, local or on shared storage"
        )
    root = Path(absolute.removeprefix("file://"))
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"results={uri}: cannot make the folder: {error.strerror}") from error
    return ResultStore(str(root)), str(root), root / "work"
