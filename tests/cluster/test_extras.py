"""`submit --with` ships the named folder, and not the targets of links that leave it."""

import os
from pathlib import Path

import pytest

from deep3dmap.cluster.upload import _copy_extra
from deep3dmap.core import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to ship, containing an internal link, and a private file next to it."""
    secret = tmp_path / "home" / "id_rsa"
    secret.parent.mkdir()
    secret.write_text("private")
    package = tmp_path / "package"
    (package / "sub").mkdir(parents=True)
    (package / "method.py").write_text("x = 1\n")
    (package / "sub" / "same.py").symlink_to("../method.py")
    (tmp_path / "ship").mkdir()
    return package


def test_links_within_the_folder_are_shipped(folder: Path) -> None:
    ship = folder.parent / "ship"
    _copy_extra(folder, ship)
    assert (ship / "package" / "sub" / "same.py").read_text() == "x = 1\n"


@pytest.mark.parametrize("target", ["../../home/id_rsa", "../../home", "/etc/hostname"])
def test_links_out_of_the_folder_are_refused(target: str, folder: Path) -> None:
    (folder / "sub" / "notes").symlink_to(target)
    ship = folder.parent / "ship"
    with pytest.raises(UserError, match=r"sub/notes is a link to /.*, outside the folder"):
        _copy_extra(folder, ship)
    assert os.listdir(ship) == []


def test_links_in_what_is_left_out_do_not_matter(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "alternates").symlink_to("/etc/hostname")
    _copy_extra(folder, folder.parent / "ship")
    assert not (folder.parent / "ship" / "package" / ".git").exists()
