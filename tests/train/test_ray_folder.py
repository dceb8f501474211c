"""Ray's folder and token are accessible only to their owner, whatever existed before."""

import os
import stat
from pathlib import Path

import pytest

from deep3dmap.core import UserError
from deep3dmap.train.ray_folder import make_private, private_token, session_folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a token, and a umask that would let others read new files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_token_is_made_that_only_its_owner_reads(home: Path) -> None:
    before = os.umask(0)
    try:
        private_token()
    finally:
        os.umask(before)
    token = home / ".ray" / "auth_token"
    assert mode(token) == 0o600
    assert len(token.read_text()) == 64
    assert [file.name for file in token.parent.iterdir()] == ["auth_token"]
    kept = token.read_text()
    private_token()
    assert token.read_text() == kept


def test_of_two_tokens_made_at_once_the_first_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home / ".ray" / "auth_token"

    def slowly(length: int) -> str:
        file.parent.mkdir(mode=0o700)
        file.touch(0o600)
        file.write_text("of another command")
        return "mine"

    monkeypatch.setattr("secrets.token_hex", slowly)
    private_token()
    assert file.read_text() == "of another command"
    assert [each.name for each in file.parent.iterdir()] == ["auth_token"]


def test_a_token_is_made_where_files_have_one_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.link", refused)
    private_token()
    token = home / ".ray" / "auth_token"
    assert len(token.read_text()) == 64
    assert mode(token) == 0o600
    assert [each.name for each in token.parent.iterdir()] == ["auth_token"]


def test_a_token_that_others_could_read_is_replaced(home: Path) -> None:
    token = home / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("told")
    token.chmod(0o644)
    private_token()
    assert mode(token) == 0o600
    assert token.read_text() != "told"


def test_a_named_token_that_others_can_read_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = home / "token"
    token.write_text("of a cluster")
    token.chmod(0o640)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    with pytest.raises(UserError, match=r"token: others can read Ray's token; write a new token to it and run `chmod 600"):
        private_token()
    assert token.read_text() == "of a cluster"
    token.chmod(0o600)
    private_token()


def test_the_session_folder_is_closed_to_others_also_when_it_was_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    folder = session_folder().parent
    assert mode(folder) == 0o700
    folder.chmod(0o777)
    assert session_folder().parent == folder
    assert mode(folder) == 0o700


def test_a_long_path_is_not_taken_as_sockets_lie_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/tmp/" + "long" * 30)
    assert session_folder().parent.parent == Path("/tmp")


def test_a_link_or_another_users_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    with pytest.raises(UserError, match="belongs to another user, or is a link"):
        make_private(tmp_path / "link")
    monkeypatch.setattr("os.getuid", lambda: 12345)
    with pytest.raises(UserError, match="belongs to another user, or is a link"):
        make_private(tmp_path / "theirs")
