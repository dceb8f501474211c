"""Tests of the upload of a job: its content, and that the job runs no other code."""

import subprocess
import sys
from pathlib import Path

import pytest

import deep3dmap
from deep3dmap.cluster.upload import build_upload, code_hash, editable_checkout
from deep3dmap.core.errors import UserError

PACKAGE = Path(str(deep3dmap.__file__)).parent


def run_job(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deep3dmap.cluster.submitted_job", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder)


def test_the_hash_is_of_names_and_bytes_and_not_of_compiled_python(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = code_hash(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")
    assert code_hash(tmp_path) == first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    renamed = code_hash(tmp_path)
    (tmp_path / "b.py").write_text("2")
    assert len({first, renamed, code_hash(tmp_path)}) == 3


def test_a_job_runs_the_code_it_was_sent() -> None:
    done = run_job(code_hash(PACKAGE), "-", "--", "methods")
    assert done.returncode == 0, done.stderr
    assert "tsdf_fusion" in done.stdout
    assert f"code {code_hash(PACKAGE)}" in done.stdout


def test_a_job_refuses_other_code() -> None:
    done = run_job("0123456789abcdef", "-", "--", "methods")
    assert done.returncode == 2
    assert "was submitted with code 0123456789abcdef but imports" in done.stderr
    assert "tsdf_fusion" not in done.stdout


@pytest.mark.skipif(editable_checkout() is not None, reason="an editable install is rebuilt, which takes as long as compiling")
def test_a_plain_install_is_shipped_whole(tmp_path: Path) -> None:
    (tmp_path / "my_method.py").write_text("x = 1\n")
    upload = build_upload(tmp_path / "ship", [tmp_path / "my_method.py"])
    assert upload.code_hash == code_hash(PACKAGE)
    assert (upload.folder / "my_method.py").is_file()
    done = run_job(upload.code_hash, "-", "--", "suites", folder=upload.folder)
    assert done.returncode == 0, done.stderr
    assert str(upload.folder / "deep3dmap") in done.stdout
    assert 0 < upload.bytes < 20 << 20
    with pytest.raises(UserError, match="already contains"):
        build_upload(tmp_path / "again", [upload.folder / "deep3dmap"])
    with pytest.raises(UserError, match="no such file"):
        build_upload(tmp_path / "third", [tmp_path / "absent"])
