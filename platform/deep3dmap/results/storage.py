"""Files of a store on any filesystem supported by pyarrow, written atomically."""

import os
import re
import time
import uuid
from pathlib import Path

from pyarrow import ArrowInvalid, fs

from deep3dmap.core.errors import UserError
from deep3dmap.results.place import local_folder

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")
# Longer than any write takes.
STALE_TEMPORARY_S = 24 * 3600.0


class Storage:
    """A folder or a URI (s3://, gs://). Paths are relative and use `/`."""

    def __init__(self, uri: str) -> None:
        self.local = local_folder(uri)
        self.uri = str(self.local) if self.local else uri.rstrip("/")
        self.filesystem: fs.FileSystem = fs.LocalFileSystem()
        self.root: str = self.uri
        try:
            if not self.local:
                self.filesystem, self.root = fs.FileSystem.from_uri(self.uri)
        except (ArrowInvalid, OSError) as error:
            raise UserError(f"results={uri}: {str(error).splitlines()[0]}") from error

    def check_bucket(self) -> None:
        """Raise UserError if the bucket of a remote store does not exist or cannot be reached."""
        bucket = self.root.partition("/")[0] or "/"
        try:
            found = self.filesystem.get_file_info(bucket)
        except OSError as error:
            raise UserError(f"results={self.uri}: {str(error).splitlines()[0]}") from error
        if found.type == fs.FileType.NotFound:
            raise UserError(f"results={self.uri}: bucket {bucket!r} does not exist; create it first, or check its name")

    def path(self, name: str) -> str:
        """Return the filesystem path of a file; raises UserError for a name or a link that leads out of the store."""
        if name.startswith(("/", "\\")) or ".." in name.split("/"):
            raise UserError(f"{self.uri}: '{name}' is not within the store")
        path = f"{self.root}/{name}"
        if self.local and not _is_within(path, self.root):
            raise UserError(f"{self.uri}/{name}: refusing to follow a link that leads out of the store")
        return path

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically; raises UserError, leaving no partial file, if the disk is full or not writable."""
        path = self.path(name)
        try:
            if self.local:
                _write_locally(Path(path), data)
            else:
                with self.filesystem.open_output_stream(path) as stream:
                    stream.write(data)
        except OSError as error:
            raise UserError(
                f"{self.uri}/{name}: cannot write: {error.strerror or error}; free space or choose another results="
            ) from error

    def read(self, name: str) -> bytes:
        """Read a file."""
        with self.filesystem.open_input_stream(self.path(name)) as stream:
            data: bytes = stream.read()
        return data

    def upload(self, folder: Path, name: str) -> str:
        """Write the files of a local folder to folder `name`; returns its full path. Raises UserError like `write`."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.write(f"{name}/{file.relative_to(folder).as_posix()}", file.read_bytes())
        return f"{self.uri}/{name}"

    def download(self, folder: Path) -> None:
        """Write all files of the store to a local folder."""
        for name in self.names("", "", recursive=True):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read(name))

    def names(self, folder: str, ending: str, recursive: bool = False) -> list[str]:
        """Return the names, relative to a folder, of the files that end with `ending`.

        Hidden files are skipped because they are still being written. Recursive listings of a local store also skip links
        that lead out of it.
        """
        place = self.path(folder).rstrip("/")
        found = self.filesystem.get_file_info(fs.FileSelector(place, allow_not_found=True, recursive=recursive))
        files = [info for info in found if info.is_file and info.base_name[0] != "." and info.base_name.endswith(ending)]
        if self.local and recursive:
            within = {folder: _is_within(folder, self.root) for folder in {os.path.dirname(info.path) for info in files}}
            files = [info for info in files if within[os.path.dirname(info.path)] and _stays_within(info.path, self.root)]
        return sorted(info.path.removeprefix(place).lstrip("/") for info in files)

    def stamps(self, folder: str, ending: str = "") -> dict[str, tuple[int, int]]:
        """Return {name: (size, modification time in nanoseconds)} for the files in a folder that end with `ending`."""
        found = self.filesystem.get_file_info(fs.FileSelector(self.path(folder), allow_not_found=True))
        files = [info for info in found if info.is_file and info.base_name[0] != "." and info.base_name.endswith(ending)]
        return {info.base_name: (info.size, info.mtime_ns or 0) for info in sorted(files, key=lambda info: info.base_name)}

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        if self.local:
            Path(self.path(name)).unlink(missing_ok=True)
        elif self.filesystem.get_file_info(self.path(name)).is_file:
            self.filesystem.delete_file(self.path(name))

    def age_s(self, name: str) -> float | None:
        """Return the seconds since a file was written, by this machine's clock; None if it does not exist."""
        info = self.filesystem.get_file_info(self.path(name))
        return time.time() - info.mtime_ns / 1e9 if info.is_file and info.mtime_ns else None

    def sweep(self, folder: str, older_than_s: float = STALE_TEMPORARY_S) -> int:
        """Remove old hidden temporary files of killed writers from a folder tree; returns the number of files removed."""
        swept = 0
        left = [file for file in (self.local / folder).rglob(".*") if _TEMPORARY.fullmatch(file.name)] if self.local else []
        now = self._clock_s() if left else 0.0
        for file in left:
            try:
                if now - file.lstat().st_mtime > older_than_s:
                    file.unlink()
                    swept += 1
            except FileNotFoundError:
                continue
        return swept

    def _clock_s(self) -> float:
        """Return the time by the filesystem's clock, which dates the files; this machine's clock may differ."""
        self.write(".clock", b"")
        return os.stat(self.path(".clock")).st_mtime


def _is_within(path: str, root: str) -> bool:
    real = os.path.realpath(path)
    return real == root or real.startswith(root.rstrip("/") + "/")


def _stays_within(path: str, root: str) -> bool:
    """Return whether a file, whose folder is within the root, is not a link that leads out of the root."""
    return not os.path.islink(path) or _is_within(path, root)


def _write_locally(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.parent / f".{file.name}.{uuid.uuid4().hex[:8]}"
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
