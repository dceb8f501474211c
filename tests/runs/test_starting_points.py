"""The starting points of a run are located during planning, and its id depends on their content but not their location."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from deep3dmap.config.compose import Layer, compose_run
from deep3dmap.core import Asset, UserError, asset_in_folder, find_asset
from deep3dmap.core.registry import methods
from deep3dmap.runs.planning import plan_run
from deep3dmap.runs.starting_points import hash_content, resolve_starting_points
from deep3dmap.testing import Subject

TOY = ("toys:Regression/mini", "toys:Dots")
ASSET = Asset("weights", "weights", "MIT", "the published network", "somebody (net.pth)", ("none",))


def run_id(work: Path, *overrides: str) -> str:
    return plan_run(compose_run(*TOY, (Layer("test", overrides),)), work).run_id


def test_the_id_depends_on_the_weights_and_not_on_their_place(tmp_path: Path) -> None:
    subject = Subject(TOY[0], tmp_path / "work", TOY[1])
    subject.train("first", 2)
    subject.train("second", 3)
    first = next((tmp_path / "work" / "first" / "checkpoints").glob("step_*"))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in first.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    ids = [run_id(tmp_path / "work", f"trainer.initialize_from='{place}'") for place in (first, moved, "first", "second")]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert ids[0] != run_id(tmp_path / "work")
    newest = run_id(tmp_path / "work", "trainer.initialize_from='toys:Regression/mini'")
    assert newest == ids[3]


def test_a_variant_stands_for_the_newest_run_that_ended(tmp_path: Path) -> None:
    subject, by_variant = Subject(TOY[0], tmp_path / "work", TOY[1]), "trainer.initialize_from='toys:Regression/mini'"
    subject.train("cut", 4, stop_after=2)
    with pytest.raises(UserError, match=r"no run of it in this store has ended; cut is at step 2\..*--resume.*by its id: cut"):
        run_id(tmp_path / "work", by_variant)
    subject.train("whole", 3)
    whole, cut = (run_id(tmp_path / "work", f"trainer.initialize_from={name}") for name in ("whole", "cut"))
    newest = next((tmp_path / "work" / "cut" / "checkpoints").glob("step_*2"))
    os.utime(newest, (2e9, 2e9))
    assert run_id(tmp_path / "work", by_variant) == whole != cut
    subject.train("cut", 4)
    later = next((tmp_path / "work" / "cut" / "checkpoints").glob("step_*4"))
    os.utime(later, (2e9, 2e9))
    assert run_id(tmp_path / "work", by_variant) == run_id(tmp_path / "work", "trainer.initialize_from=cut") != whole


def test_a_starting_point_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"initialize_from=nowhere: neither a checkpoint folder nor a run of this store"):
        run_id(tmp_path, "trainer.initialize_from=nowhere")


def test_assets_are_found_by_path_by_stem_and_in_the_folder_of_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.pth").write_bytes(b"1")
    (tmp_path / "checkpoint.index").write_bytes(b"1")
    assert find_asset(ASSET, str(tmp_path / "net.pth")) == tmp_path / "net.pth"
    assert find_asset(ASSET, str(tmp_path / "checkpoint")) == tmp_path / "checkpoint"
    with pytest.raises(UserError, match=r"method\.weights=net\.pth: no such file .*published by somebody"):
        find_asset(ASSET, "net.pth")
    monkeypatch.setenv("DEEP3DMAP_ASSETS", str(tmp_path))
    assert find_asset(ASSET, "net.pth") == tmp_path / "net.pth"
    assert not ASSET.names_file("none")
    assert not ASSET.names_file("")


def test_an_asset_that_a_method_cannot_do_without_is_asked_for_at_planning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.pth").write_bytes(b"1")
    method = "toys:Regression"
    card, needed = methods.load(method).card, replace(ASSET, option="hidden", is_required=True)
    monkeypatch.setattr(methods.load(method), "card", replace(card, assets=(needed,)))
    run = compose_run(*TOY)

    def planned(value: str) -> object:
        return resolve_starting_points({**run.config, "method": {"hidden": value}}, method, tmp_path)["method"]

    with pytest.raises(
        UserError, match=r"^method\.hidden is empty; name a file .*: the published network, published by somebody"
    ):
        planned("")
    assert planned("none") == {"hidden": "none"}
    assert planned(str(tmp_path / "net.pth")) == {"hidden": str(tmp_path / "net.pth")}


def test_weights_are_hashed_once_until_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, hashed = tmp_path / "net.pth", []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: hashed.append(given) or digest(*given))  # type: ignore[func-returns-value]
    weights.write_bytes(b"1")
    first = hash_content(weights)
    assert hash_content(weights) == first
    assert len(hashed) == 1
    weights.write_bytes(b"22")
    assert hash_content(weights) != first
    assert len(hashed) == 2


def test_the_weights_of_a_metric_are_looked_for_in_the_folder_of_assets_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset, there, here = replace(ASSET, option="net.pth"), tmp_path / "assets", tmp_path / "here"
    for folder in (there, here):
        folder.mkdir()
    (here / "net.pth").write_bytes(b"1")
    monkeypatch.chdir(here)
    assert asset_in_folder(asset) is None
    monkeypatch.setenv("DEEP3DMAP_ASSETS", str(there))
    assert asset_in_folder(asset) is None
    (there / "net.pth").write_bytes(b"1")
    assert asset_in_folder(asset) == there / "net.pth"
