"""Cached folders, built under a temporary name and renamed into place, so that a crash leaves no partial folder."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deep3dmap.core.errors import UserError

# EDQUOT is raised by quotas and EFBIG by file-size limits; all three are reported to the user as a full disk.
_DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def default_cache() -> Path:
    """Return the cache folder: $DEEP3DMAP_CACHE, or deep3dmap in $XDG_CACHE_HOME, or ~/.cache/deep3dmap."""
    override = os.environ.get("DEEP3DMAP_CACHE")
    if override:
        return Path(override).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deep3dmap"


def build_folder(target: Path, build: Callable[[Path], None]) -> Path:
    """Create folder `target` by calling `build(temporary_folder)` unless it exists, and return `target`.

    Safe to call from several threads and processes and, where the file system supports flock, from several machines: the
    first caller builds, the others wait. The folder appears atomically. Raises UserError if the disk is full or the location
    is not writable.
    """
    if target.is_dir():
        return target
    with _report_disk_errors(target):
        _make_parent(target)
        with _hold_lock(target.parent / f".{target.name}.lock"):
            if not target.is_dir():
                _build_and_rename(target, build)
    return target


def write_file(target: Path, data: bytes) -> None:
    """Write a file atomically: temporary name, fsync, rename. Raises UserError if the disk is full."""
    with _report_disk_errors(target):
        _make_parent(target)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _make_parent(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in _DISK_FULL_ERRORS or isinstance(error, PermissionError):
            raise
        raise UserError(
            f"{target.parent}: cannot be made ({error.strerror}); choose another place with data.cache=DIR"
        ) from error


def _build_and_rename(target: Path, build: Callable[[Path], None]) -> None:
    _remove_leftovers(target)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.building-", dir=target.parent))
    try:
        build(temporary)
        temporary.chmod(0o755)  # mkdtemp creates folders that only their owner can read
        _flush_tree(temporary)
        os.replace(temporary, target)
        _flush_folder(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _remove_leftovers(target: Path) -> None:
    # Called with the lock held, so any such folder was left by a killed process.
    for leftover in target.parent.glob(f".{target.name}.building-*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _hold_lock(lock: Path) -> Iterator[None]:
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def _report_disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL_ERRORS:
            raise UserError(
                f"{target}: the disk is full; free some space or choose another place with data.cache=DIR"
            ) from error
        if isinstance(error, PermissionError):
            raise UserError(f"{target}: may not be written; choose another place with data.cache=DIR") from error
        raise


def _flush_tree(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(place, name), "rb") as file:
                os.fsync(file.fileno())
        _flush_folder(Path(place))


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
