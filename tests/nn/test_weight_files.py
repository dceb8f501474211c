"""Untrusted weights: plain tensors are read, everything else gives a one-line error and runs no code."""

import os
from pathlib import Path

import pytest
import torch

from deep3dmap.core import UserError
from deep3dmap.nn.weight_files import read_weights


class Bomb:
    """An object that creates a folder when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("bombed",)


def test_plain_tensors_are_read(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.arange(3)}, "epoch": 2}, tmp_path / "w.pth")
    read = read_weights(tmp_path / "w.pth")
    assert read["epoch"] == 2
    assert read["state_dict"]["a"].tolist() == [0, 1, 2]


def test_objects_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Bomb()}, "w.pth")
    with pytest.raises(UserError, match=r"^w\.pth: contains Python objects besides tensors"):
        read_weights(Path("w.pth"))
    assert not Path("bombed").exists()


@pytest.mark.parametrize("cut", ["random", "empty", "text", "half"])
def test_garbage_gets_one_line_of_our_own(cut: str, tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(500)}, file)
    whole = file.read_bytes()
    random = torch.randint(0, 256, (5000,), generator=torch.Generator().manual_seed(0), dtype=torch.uint8).numpy().tobytes()
    file.write_bytes({"random": random, "empty": b"", "text": b"no weights\n", "half": whole[: len(whole) // 2]}[cut])
    with pytest.raises(UserError, match="not a checkpoint saved by torch, or a damaged one") as caught:
        read_weights(file)
    assert "weights_only" not in str(caught.value)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.pth: cannot be read"):
        read_weights(tmp_path / "absent.pth")
