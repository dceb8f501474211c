"""Folders and files for Ray's sockets, logs and token, accessible only to their owner, which is checked at every start."""

import os
import secrets
import stat
import tempfile
from pathlib import Path

from deep3dmap.core.errors import UserError

# The path of a Unix socket has at most 107 bytes, and Ray appends about 65.
_MAX_PATH_LENGTH = 40


def session_folder() -> Path:
    """Return the folder of this user's Ray sessions, created if missing; raises UserError if it belongs to another user."""
    base = Path(tempfile.gettempdir()) / f"deep3dmap-{os.getuid()}"
    folder = base if len(str(base)) <= _MAX_PATH_LENGTH else Path("/tmp") / base.name
    make_private(folder)
    # Ray makes its own folder accessible to everyone, so it gets a subfolder.
    return folder / "ray"


def make_private(folder: Path) -> None:
    """Create a folder only its owner can access, or restrict an existing one; raises UserError if it is another user's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
        raise UserError(f"{folder}: this folder for Ray belongs to another user, or is a link; remove it, or set TMPDIR")
    if about.st_mode & 0o077:
        folder.chmod(0o700)


def private_token() -> None:
    """Create Ray's token if there is none, readable only by its owner.

    If others could read the file, its token may be known to them, so it is replaced. Raises UserError if it cannot be: the
    file belongs to another user, or is given by $RAY_AUTH_TOKEN_PATH, in which case other machines may use the same token.
    """
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named) if named else Path.home() / ".ray" / "auth_token"
    token_exists = file.exists()
    if token_exists:
        about = file.stat()
        if about.st_uid == os.getuid() and not about.st_mode & 0o077:
            return
        if named or about.st_uid != os.getuid():
            raise UserError(f"{file}: others can read Ray's token; write a new token to it and run `chmod 600 {file}`")
    elif named:
        return
    _write(file, secrets.token_hex(32), overwrite=token_exists)


def _write(file: Path, token: str, overwrite: bool) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(token)
        if overwrite:
            temporary.replace(file)
        else:
            _move_into_place(temporary, file)
    except OSError as error:
        raise UserError(
            f"{file}: cannot write Ray's token: {error.strerror}; set RAY_AUTH_TOKEN_PATH to a file you can write"
        ) from error


def _move_into_place(temporary: Path, file: Path) -> None:
    """Move the file into place, unless another command started at the same time did so first: its token is then used."""
    try:
        os.link(temporary, file)
    except FileExistsError:
        pass
    except OSError:
        # Some file systems have no hard links.
        temporary.replace(file)
        return
    temporary.unlink()
