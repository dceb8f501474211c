"""Weights shipped with a method: written by `export`, used by `reconstruct NAME` and by `method.weights=shipped`."""

import json
from functools import partial
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.cli import main
from deep3dmap.config.compose import Layer, compose_run
from deep3dmap.core.asset import SHIPPED_CARD, SHIPPED_FILE
from deep3dmap.core.errors import UserError
from deep3dmap.core.registry import Registry, methods
from deep3dmap.data.formats.images import write_image
from deep3dmap.methods.neuralrecon.method import NeuralRecon
from deep3dmap.methods.prnet.method import PRNet
from deep3dmap.runs.starting_points import hash_starting_points, resolve_starting_points
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.job import TrainingJob, train_here
from deep3dmap.train.local_host import LocalHost
from deep3dmap.train.shipped_weights import write_shipped

Captured = pytest.CaptureFixture[str]


def checkpoint_of(method: str, dataset: str, folder: Path) -> tuple[Any, Path]:
    """A method with the state of a trained one, and its checkpoint."""
    run = compose_run(method, dataset, (Layer("test", ("seed=3",)),))
    job = TrainingJob(run.method, run.variant, run.dataset, run.dataset_variant, run.config, "")
    built: Any = job.build_method()
    if isinstance(built, NeuralRecon):
        built.fusing.fill_(True)
    about = {**job.about(), "metrics": {"validation_loss": 0.5}, "seconds": 61.25, "device": "cpu"}
    state = {"method": built.state_dict(), "loop": {}, "averaged": None, "ranks": []}
    return built, CheckpointFolder(folder).write(state, about, 40, 0.5).folder


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the registry finds the files shipped with any method."""
    folder, found = tmp_path / "beside", Registry.file
    folder.mkdir()

    def file(self: Registry, name: str, filename: str) -> Traversable | None:
        if filename not in (SHIPPED_FILE, SHIPPED_CARD):
            return found(self, name, filename)
        return folder / filename if (folder / filename).is_file() else None

    monkeypatch.setattr(Registry, "file", file)
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    write_image(tmp_path / "photo.png", np.random.default_rng(0).uniform(0, 1, (3, 96, 120)).astype(np.float32))
    return tmp_path / "photo.png"


def test_the_card_says_how_the_weights_came_to_be(tmp_path: Path) -> None:
    _, checkpoint = checkpoint_of("prnet/mini", "heads/smoke", tmp_path / "run")
    assert main(["export", str(checkpoint), "-o", str(tmp_path / "out"), "not_good_for=children", "nme=5.5"]) == 0
    card = json.loads((tmp_path / "out" / SHIPPED_CARD).read_text())
    assert (card["method"], card["variant"], card["trained_on"]) == ("prnet", "mini", "heads/smoke")
    assert (card["seed"], card["steps"], card["seconds"], card["device"]) == (3, 40, 61.2, "cpu")
    assert card["notes"] == {"not_good_for": "children", "nme": 5.5}
    assert len(card["data_hash"]) == 16
    assert card["bytes"] == (tmp_path / "out" / SHIPPED_FILE).stat().st_size
    assert all((tmp_path / "out" / name).stat().st_mode & 0o777 == 0o644 for name in (SHIPPED_FILE, SHIPPED_CARD))
    state = torch.load(tmp_path / "out" / SHIPPED_FILE, weights_only=True)["state_dict"]
    assert state["stem.weight"].dtype == torch.float16
    assert state["stem_norm.running_var"].dtype == torch.float32


def test_prnet_by_name_takes_what_comes_with_it(beside: Path, photo: Path, tmp_path: Path, capsys: Captured) -> None:
    method, checkpoint = checkpoint_of("prnet/mini", "heads/smoke", tmp_path / "run")
    assert main(["export", str(checkpoint), "-o", str(beside)]) == 0
    assert main(["reconstruct", "prnet", str(photo), "-o", str(tmp_path / "out"), "dataset.box=[30,20,80,75]"]) == 0
    assert (
        "using the weights shipped with prnet: prnet/mini, trained for 40 steps on heads/smoke with cpu"
        in capsys.readouterr().err
    )
    found = np.load(tmp_path / "out" / "photo" / "arrays.npz")["landmarks"]
    from deep3dmap.data.formats.images import read_image

    method.eval()
    expected = method.reconstruct({"image": read_image(photo), "box": np.array([30, 20, 80, 75], np.float32)})
    # With rounded weights, and with this package's pixel centres.
    assert np.abs(found - expected.landmarks).max() < 0.2


def test_a_variant_takes_nothing_unasked(beside: Path, photo: Path, tmp_path: Path, capsys: Captured) -> None:
    _, checkpoint = checkpoint_of("prnet/mini", "heads/smoke", tmp_path / "run")
    assert main(["export", str(checkpoint), "-o", str(beside)]) == 0
    capsys.readouterr()
    line = ["reconstruct", "prnet/mini", str(photo), "-o", str(tmp_path / "out"), "dataset.box=[30,20,80,75]"]
    assert main(line) == 2
    assert "must be trained first" in capsys.readouterr().err
    assert main([*line, "method.weights=shipped"]) == 0


def test_neuralrecon_comes_back_in_its_second_phase(beside: Path, tmp_path: Path) -> None:
    method, checkpoint = checkpoint_of("neuralrecon/mini", "rooms/smoke", tmp_path / "run")
    assert main(["export", str(checkpoint), "-o", str(beside)]) == 0
    run = compose_run("neuralrecon/mini", "rooms/smoke", (Layer("test", (f"method.weights={beside / SHIPPED_FILE}",)),))
    job = TrainingJob(run.method, run.variant, run.dataset, run.dataset_variant, run.config, "")
    again: Any = job.build_method()
    assert not job.trains
    assert bool(again.fusing)
    for name, value in method.network.state_dict().items():
        torch.testing.assert_close(again.network.state_dict()[name], value, atol=1e-4, rtol=0.009)


@pytest.mark.parametrize("names", [("prnet/mini", "heads/smoke"), ("neuralrecon/mini", "rooms/smoke")])
def test_a_run_with_given_weights_learns_nothing(names: tuple[str, str], beside: Path, tmp_path: Path) -> None:
    _, checkpoint = checkpoint_of(*names, tmp_path / "run")
    assert main(["export", str(checkpoint), "-o", str(beside)]) == 0
    run = compose_run(*names, (Layer("test", (f"method.weights={beside / SHIPPED_FILE}",)),))
    job = TrainingJob(run.method, run.variant, run.dataset, run.dataset_variant, run.config, str(tmp_path / "given"))
    given: Any = job.build_method()
    method, summary = train_here(job, LocalHost(torch.device("cpu")))
    assert summary.steps == 0
    for name, value in given.state_dict().items():
        assert torch.equal(method.state_dict()[name], value), name


def test_a_run_knows_shipped_weights_by_their_content(beside: Path, tmp_path: Path) -> None:
    config = compose_run("prnet/mini", "heads/smoke", (Layer("test", ("method.weights=shipped",)),)).config
    with pytest.raises(UserError, match=r"method.weights=shipped: this method ships no weights"):
        resolve_starting_points(config, "prnet", tmp_path)
    hashes = []
    for text in ("one", "other"):
        (beside / SHIPPED_FILE).write_text(text)
        found = resolve_starting_points(config, "prnet", tmp_path)
        assert found["method"]["weights"] == str(beside / SHIPPED_FILE)
        hashes.append(hash_starting_points(found, PRNet.card)["method"]["weights"])
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize("name", ["prnet", "neuralrecon"])
def test_what_comes_with_a_method_fits_its_variant(name: str) -> None:
    beside = partial(methods.file, name)
    card = json.loads(beside(SHIPPED_CARD).read_text())  # type: ignore[union-attr]
    layer = Layer("test", (f"method.weights={beside(SHIPPED_FILE)}",))
    run = compose_run(f"{name}/{card['variant']}", card["trained_on"], (layer,))
    TrainingJob(run.method, run.variant, run.dataset, run.dataset_variant, run.config, "").build_method()
    assert card["method"] == name
    assert {"data_hash", "seed", "device", "steps", "scores"} <= card.keys()
    assert card["notes"]["not_good_for"]


def test_weights_of_several_modules_are_refused_with_what_to_do(tmp_path: Path) -> None:
    state = {"encoder.weight": torch.zeros(2, 2), "decoder.weight": torch.zeros(2, 2)}
    with pytest.raises(UserError, match=r"this method has decoder, encoder; put its networks into self\.network"):
        write_shipped(state, {"method": "two_parts"}, tmp_path)
