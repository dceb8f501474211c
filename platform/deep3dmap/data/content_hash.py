"""Dataset versions: a hash of the files that are read, or of the configuration and source code that generate them."""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from deep3dmap.data.cache import write_file

LENGTH = 16  # hexadecimal digits; 64 bits are enough to distinguish datasets


def hash_files(folder: Path, files: Iterable[Path], cache: Path | None = None) -> str:
    """Return a hash of the names (relative to `folder`), sizes and contents of `files`, independent of their order.

    With `cache`, the result is cached there by names, sizes and modification times, so a large dataset is read only once.
    """
    found = sorted({os.path.relpath(file, folder): file for file in files}.items())
    stamps = [(name, file.stat().st_size, file.stat().st_mtime_ns) for name, file in found]
    remembered = None
    if cache is not None:
        remembered = cache / "content_hashes" / hash_data([str(folder.resolve()), stamps])
        if remembered.is_file():
            return remembered.read_text()
    digest = hashlib.sha256()
    for (name, file), (_, size, _) in zip(found, stamps):
        digest.update(f"{name}\0{size}\0".encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    result = digest.hexdigest()[:LENGTH]
    if remembered is not None:
        write_file(remembered, result.encode())
    return result


def hash_folder(folder: Path, cache: Path | None = None) -> str:
    """Return `hash_files` of every file below `folder`, skipping hidden files and folders."""
    files = (file for file in folder.rglob("*") if file.is_file())
    visible = [file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)]
    return hash_files(folder, visible, cache)


def hash_generator(config: Any, modules: Iterable[ModuleType]) -> str:
    """Return a hash of a generator: the fields of its config dataclass and the source code of `modules`."""
    sources = {module.__name__: hashlib.sha256(_source(module)).hexdigest() for module in modules}
    return hash_data([asdict(config), sources])


def hash_data(data: Any) -> str:
    """Return a hash of JSON-serialisable data; tuples hash like lists."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:LENGTH]


def _source(module: ModuleType) -> bytes:
    file = getattr(module, "__file__", None)
    if file is None:
        raise ValueError(f"{module.__name__} is not a file, so its source cannot be hashed")
    return Path(file).read_bytes()
