"""Package the code of a job: this installation, unpacked into a folder that Ray ships as the job's working directory.

`ray job submit --working-dir .` would ship a checkout that cannot be imported as it is, and the job would silently run the code
installed on the cluster. An unpacked install takes precedence over it.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from deep3dmap.core.errors import UserError

PACKAGE = "deep3dmap"
# Size limit of Ray's job server for one request.
LIMIT_BYTES = 100 << 20
LEFT_OUT = {"__pycache__", "direct_url.json"}
LEFT_OUT_OF_EXTRAS = ("__pycache__", ".git")


@dataclass(frozen=True)
class Upload:
    """A folder to ship. code_hash: hash of the package in it. untracked: files of the checkout that git does not track."""

    folder: Path
    code_hash: str
    untracked: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """All files in the upload."""
        return [path for path in self.folder.rglob("*") if path.is_file()]

    @property
    def bytes(self) -> int:
        """Total size of all files. The job server accepts up to 100 MiB, packed."""
        return sum(path.stat().st_size for path in self.files)


def build_upload(folder: Path, extra: Sequence[Path] = ()) -> Upload:
    """Copy the installed package, and `extra` files and folders next to it, into `folder`, which must not exist.

    An editable install is rebuilt from the tracked files of its checkout. Raises UserError if that fails, if an extra is
    missing or its name is already taken, or if the upload exceeds the limit of the job server.
    """
    checkout = editable_checkout()
    if checkout is None:
        untracked: tuple[str, ...] = ()
        _copy_installed(folder)
    else:
        untracked = tuple(_untracked(checkout))
        _build(checkout, folder)
    for path in extra:
        _copy_extra(path, folder)
    upload = Upload(folder, code_hash(folder / PACKAGE), untracked)
    if upload.bytes > LIMIT_BYTES:
        raise UserError(
            f"the upload is {upload.bytes >> 20} MiB, but the job server accepts {LIMIT_BYTES >> 20}; pass less to --with"
        )
    return upload


def code_hash(package: Path) -> str:
    """Return a hash of the names and contents of a package's files, excluding compiled Python files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def editable_checkout() -> Path | None:
    """Return the checkout of an editable install, or None for a regular one."""
    about = json.loads(distribution(PACKAGE).read_text("direct_url.json") or "{}")
    if not about.get("dir_info", {}).get("editable"):
        return None
    return Path(about["url"].removeprefix("file://"))


def _build(checkout: Path, folder: Path) -> None:
    sources = folder.with_name(folder.name + "-sources")
    for name in _git(checkout, "ls-files", "-z"):
        if (checkout / name).is_file():
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(checkout / name, sources / name)
    install = ["install", "--quiet", "--no-deps", "--no-compile", "--no-build-isolation", "--target", str(folder), str(sources)]
    done = subprocess.run([sys.executable, "-m", "pip", *install], capture_output=True, text=True)
    shutil.rmtree(sources)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise UserError(f"cannot build {checkout}: {lines[-1]} (scikit-build-core and nanobind must be installed)")


def _untracked(checkout: Path) -> Iterator[str]:
    found = _git(checkout, "ls-files", "-z", "--others", "--exclude-standard", "--", "*.py", "*.yaml", "*.cpp", "*.h", "*.cu")
    yield from (name for name in found if name)


def _git(checkout: Path, *arguments: str) -> list[str]:
    done = subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{checkout}: git cannot list the tracked files ({done.stderr.strip()}); use a regular install")
    return [name for name in done.stdout.split("\0") if name]


def _copy_installed(folder: Path) -> None:
    installed = distribution(PACKAGE)
    for file in installed.files or ():
        source = Path(str(installed.locate_file(file)))
        if LEFT_OUT & set(file.parts) or ".." in file.parts or not source.is_file():
            continue
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, folder / file)


def _copy_extra(path: Path, folder: Path) -> None:
    target = folder / path.resolve().name
    if target.exists():
        raise UserError(f"--with {path}: the upload already contains a file or folder of that name")
    if path.is_dir():
        _check_links(path)
        shutil.copytree(path, target, ignore=shutil.ignore_patterns(*LEFT_OUT_OF_EXTRAS))
    elif path.is_file():
        shutil.copy2(path, target)
    else:
        raise UserError(f"--with {path}: no such file or folder")


def _check_links(folder: Path) -> None:
    """Raise UserError for a link that points outside the folder, since its unnamed target would be uploaded."""
    inside = folder.resolve()
    for place, folders, files in os.walk(inside):
        folders[:] = [name for name in folders if name not in LEFT_OUT_OF_EXTRAS]
        for name in (*folders, *files):
            link = Path(place) / name
            if link.is_symlink() and not link.resolve().is_relative_to(inside):
                raise UserError(
                    f"--with {folder}: {link.relative_to(inside)} is a link to {link.resolve()}, outside the folder; "
                    "replace it with a copy, or remove it and pass the file to --with"
                )
