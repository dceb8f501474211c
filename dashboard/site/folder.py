"""The output folder of a site: tracks the files written and removes those left over from an earlier export."""

import hashlib
import json
from pathlib import Path

from deep3dmap.core.errors import UserError

MARK = "deep3dmap-site.json"


class SiteFolder:
    """The files of a site. Only files of an earlier export are removed; any other files stay."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError if `folder` is a file, or if it is not empty and was not written by an export."""
        self.folder, self.size = folder, 0
        self._written: set[str] = set()
        self._before = _read_earlier_export(folder)
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, content: bytes | str) -> str:
        """Write a file and return its name, relative to the site."""
        data = content.encode() if isinstance(content, str) else content
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        self._written.add(name)
        self.size += len(data)
        return name

    def keep(self, folder: str, ending: str, data: bytes) -> str:
        """Write data once under a name derived from its content, and return the name."""
        return self.write_once(f"{folder}/{hashlib.sha256(data).hexdigest()[:20]}{ending}", data)

    def write_once(self, name: str, content: bytes | str) -> str:
        """Write a file unless this export has already written one with its name, and return the name."""
        return name if name in self._written else self.write(name, content)

    def pages(self) -> int:
        """Return the number of pages written."""
        return sum(name.endswith(".html") for name in self._written)

    def finish(self) -> None:
        """Remove files that only an earlier export wrote, and mark the folder as a site."""
        for name in self._before - self._written:
            (self.folder / name).unlink(missing_ok=True)
        about = {"made_by": "deep3dmap dashboard --export", "schema": 1, "files": sorted(self._written)}
        (self.folder / MARK).write_text(json.dumps(about, indent=0))


def _read_earlier_export(folder: Path) -> set[str]:
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise UserError(f"--export {folder}: is a file; choose a folder")
    if not any(folder.iterdir()):
        return set()
    refusal = f"--export {folder}: contains files that were not written by an export; choose a new or empty folder"
    try:
        files = json.loads((folder / MARK).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(refusal) from error
    root = folder.resolve()
    if not isinstance(files, list) or not all(isinstance(name, str) and _is_within(root, name) for name in files):
        raise UserError(refusal)
    return set(files)


def _is_within(root: Path, name: str) -> bool:
    return (root / name).resolve().is_relative_to(root) and (root / name).resolve() != root
