"""Local cache of tables, so that thousands of small files are opened only once."""

import json
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa

from deep3dmap.results.digest import bytes_digest
from deep3dmap.results.schema import SCHEMA_VERSION
from deep3dmap.results.storage import Storage
from deep3dmap.results.table_files import TableFiles

_ABOUT = b"deep3dmap.remembered"


def remember(files: TableFiles, storage: Storage, folder: Path) -> None:
    """Write a table that was read to a local folder, with the size and modification time of each source file."""
    table, names, covered = files.state()
    now = _stamps(storage, files.folder)
    if not names <= set(now):
        # The store was compacted in the meantime.
        return
    about = json.dumps({"stamps": {name: now[name] for name in sorted(names)}, "covered": sorted(covered)})
    target = _file(files, storage, folder)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        marked = table.replace_schema_metadata({_ABOUT: about.encode()})
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, marked.schema) as writer:
            writer.write_table(marked)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def recall(files: TableFiles, storage: Storage, folder: Path) -> bool:
    """Restore a table from the cache; returns False if it is not cached or if a source file is missing or has changed."""
    try:
        with pa.memory_map(str(_file(files, storage, folder))) as source:
            table = pa.ipc.open_file(source).read_all()
        about: dict[str, Any] = json.loads(table.schema.metadata[_ABOUT])
        now = _stamps(storage, files.folder)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        return False
    if any(now.get(name) != stamp for name, stamp in about["stamps"].items()):
        return False
    files.start_from(table.replace_schema_metadata(None), set(about["stamps"]), set(about["covered"]))
    return True


def _file(files: TableFiles, storage: Storage, folder: Path) -> Path:
    return folder / f"{bytes_digest(storage.uri.encode())[:16]}-{files.name}-{SCHEMA_VERSION}.arrow"


def _stamps(storage: Storage, folder: str) -> dict[str, list[int]]:
    """Return {name: [size, modification time]} for the files in a folder."""
    # Lists rather than tuples, to compare with values from JSON.
    return {name: list(stamp) for name, stamp in storage.stamps(folder).items()}
