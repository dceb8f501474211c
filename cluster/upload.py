"""The code that a job runs: this installation, unpacked into a folder that Ray ships as the job's working directory.

`ray job submit --working-dir .` would ship a checkout that cannot be imported as it lies, and the job would quietly run what
is installed on the cluster. An unpacked install comes before it.
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
# What Ray's job server takes in one request.
LIMIT_BYTES = 100 << 20
LEFT_OUT = {"__pycache__", "direct_url.json"}
LEFT_OUT_OF_EXTRAS = ("__pycache__", ".git")


@dataclass(frozen=True)
class Upload:
    """A folder to ship. code_hash: of the package in it. untracked: files of the checkout that git does not know."""

    folder: Path
    code_hash: str
    untracked: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """Every file that is shipped."""
        return [path for path in self.folder.rglob("*") if path.is_file()]

    @property
    def bytes(self) -> int:
        """Size of all files; the job server takes 100 MiB of them, packed."""
        return sum(path.stat().st_size for path in self.files)


def build_upload(folder: Path, extra: Sequence[Path] = ()) -> Upload:
    """Put what is installed here, and `extra` files and folders beside it, into `folder`, which must not exist.

    An editable install is built anew from the tracked files of its checkout. Raises UserError where that fails, for an extra
    that is absent or in the way, and for more than the job server takes.
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
            f"the upload has {upload.bytes >> 20} MiB, and the job server takes {LIMIT_BYTES >> 20}; give --with less"
        )
    return upload


def code_hash(package: Path) -> str:
    """Return a hash over names and bytes of a package's files, compiled Python left out."""
    digest = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def editable_checkout() -> Path | None:
    """Return the checkout of an editable install, None for a plain one."""
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
        raise UserError(f"cannot build {checkout}: {lines[-1]} (scikit-build-core and nanobind have to be installed)")


def _untracked(checkout: Path) -> Iterator[str]:
    found = _git(checkout, "ls-files", "-z", "--others", "--exclude-standard", "--", "*.py", "*.yaml", "*.cpp", "*.h", "*.cu")
    yield from (name for name in found if name)


def _git(checkout: Path, *arguments: str) -> list[str]:
    done = subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{checkout}: git cannot list the tracked files ({done.stderr.strip()}); install deep3dmap plainly")
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
        raise UserError(f"--with {path}: something of that name is shipped already")
    if path.is_dir():
        _check_links(path)
        shutil.copytree(path, target, ignore=shutil.ignore_patterns(*LEFT_OUT_OF_EXTRAS))
    elif path.is_file():
        shutil.copy2(path, target)
    else:
        raise UserError(f"--with {path}: no such file or folder")


def _check_links(folder: Path) -> None:
    """Raise UserError for a link that leads out of the folder: what it leads to was not named, and would be sent."""
    inside = folder.resolve()
    for place, folders, files in os.walk(inside):
        folders[:] = [name for name in folders if name not in LEFT_OUT_OF_EXTRAS]
        for name in (*folders, *files):
            link = Path(place) / name
            if link.is_symlink() and not link.resolve().is_relative_to(inside):
                raise UserError(
                    f"--with {folder}: {link.relative_to(inside)} is a link to {link.resolve()}, outside the folder; "
                    "put a copy in its place, or give the file as well"
                )
