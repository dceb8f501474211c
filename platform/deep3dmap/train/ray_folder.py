"""Where Ray keeps its sockets, logs and token: folders and files that only their owner can enter, checked at every start."""

import os
import secrets
import stat
import tempfile
from pathlib import Path

from deep3dmap.core.errors import UserError

# The path of a Unix socket has at most 107 bytes, and Ray appends about 65.
_LONGEST = 40


def session_folder() -> Path:
    """Return the folder of this user's Ray sessions, made if need be; raises UserError if somebody else could write to it."""
    place = Path(tempfile.gettempdir()) / f"deep3dmap-{os.getuid()}"
    folder = place if len(str(place)) <= _LONGEST else Path("/tmp") / place.name
    make_private(folder)
    # Ray opens its own folder to everybody, so it has one below.
    return folder / "ray"


def make_private(folder: Path) -> None:
    """Make a folder that only its owner can enter, or close one that others could; raises UserError if it is another user's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
        raise UserError(f"{folder}: this folder is for Ray, but is somebody else's, or a link; remove it, or set TMPDIR")
    if about.st_mode & 0o077:
        folder.chmod(0o700)


def private_token() -> None:
    """Make Ray's token where there is none, and see that nobody but its owner can read it.

    A file that others could read has told them its token, so a new one takes its place. Raises UserError if that cannot be
    done: the file is another user's, or is named by $RAY_AUTH_TOKEN_PATH, and other machines may know what is in it.
    """
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named) if named else Path.home() / ".ray" / "auth_token"
    is_told = file.exists()
    if is_told:
        about = file.stat()
        if about.st_uid == os.getuid() and not about.st_mode & 0o077:
            return
        if named or about.st_uid != os.getuid():
            raise UserError(f"{file}: others can read Ray's token; run `chmod 600 {file}`, with a new token in it")
    elif named:
        return
    _write(file, secrets.token_hex(32), over=is_told)


def _write(file: Path, token: str, over: bool) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(token)
        if over:
            temporary.replace(file)
        else:
            _put(temporary, file)
    except OSError as error:
        raise UserError(
            f"{file}: cannot write Ray's token: {error.strerror}; set RAY_AUTH_TOKEN_PATH to a file of yours"
        ) from error


def _put(temporary: Path, file: Path) -> None:
    """Give a file its name, unless another command that started at the same time was quicker: its token counts."""
    try:
        os.link(temporary, file)
    except FileExistsError:
        pass
    except OSError:
        # Some file systems know no second name of a file.
        temporary.replace(file)
        return
    temporary.unlink()
