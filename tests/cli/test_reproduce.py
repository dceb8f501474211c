"""`deep3dmap reproduce` as run by a user, and its messages for rows whose code, data or protocol have changed."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import ended, start

from deep3dmap.benchmarks.indoor import protocol as indoor
from deep3dmap.cli import main
from deep3dmap.results.store import ResultStore
from deep3dmap.runs import planning
from deep3dmap.runs.replanning import ChangedRunError, replan

ROOM = ("dataset.train=1", "dataset.val=0", "dataset.test=1", "dataset.frames=6", "dataset.width=64", "dataset.height=48")
# The tier requests two scenes, but there is only one.
LINE = ("suite=indoor", "tier=smoke", "methods=[mean_depth_plane]", "seeds=1", *ROOM)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reproduce")
    ended(start(folder, "benchmark", *LINE, f"data.cache={folder / 'cache'}", f"results={folder / 'results'}"))
    return folder / "results"


@pytest.mark.ray
def test_a_run_comes_out_the_same(store: Path) -> None:
    out, _ = ended(start(store.parent, "reproduce", "--sample", "1", f"results={store}", "--json"))
    (told,) = json.loads(out)
    assert told["overall"] == "identical"
    assert len(told["metrics"]) > 10
    again = ResultStore(str(store)).runs(newest_only=False)
    assert len(again) == 2
    assert (again.reproduces != 0).sum() == 1
    assert json.loads(again[again.reproduces != 0].iloc[0].verdict)["overall"] == "identical"


@pytest.mark.ray
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method_version": "edited"}, "the code that determines its results is now .*, was edited"),
        ({"dataset_version": "other"}, "the data of rooms/smoke are now .*, were other"),
        ({"protocol_version": 1}, "the protocol version of suite 'indoor' is now 2, was 1"),
        ({"suite": ""}, "only scored runs can be reproduced"),
    ],
)
def test_what_has_changed_since_is_said(store: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    opened = ResultStore(str(store))
    row = {**opened.runs().iloc[0].to_dict(), **change, "run_id": "another"}
    with pytest.raises(ChangedRunError, match=message):
        replan(opened, SimpleNamespace(**row), tmp_path)


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line, message in (
        (["reproduce", f"results={tmp_path}"], "give their ids, or --sample N"),
        (["reproduce", "--sample", "3", f"results={tmp_path}"], "has only 0 successful scored runs"),
        (["reproduce", "1f3a", f"results={tmp_path}", "seed=3"], "only results= may be given"),
    ):
        assert main(line) == 2
        assert message in capsys.readouterr().err


@pytest.mark.ray
def test_verify_finds_what_is_stale_or_scored_otherwise(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def verified(code: int) -> dict[str, Any]:
        assert main(["results", "verify", "--json", f"results={store}"]) == code
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    assert verified(0) == {"problems": [], "set_aside": [], "unchecked": {}}

    metrics = indoor.surface_metrics

    def other(*given: Any, **more: Any) -> dict[str, float]:
        return {name: 1.01 * value for name, value in metrics(*given, **more).items()}

    monkeypatch.setattr(indoor, "surface_metrics", other)
    problems = verified(1)["problems"]
    assert {one["kind"] for one in problems} == {"rescored"}
    assert "values have changed, such as" in problems[0]["what"]
    monkeypatch.setattr(indoor, "surface_metrics", metrics)

    monkeypatch.setattr(planning, "_version_of_code", lambda *_: "edited")
    problems = verified(1)["problems"]
    assert {one["kind"] for one in problems} == {"stale"}
    assert problems[0]["what"].startswith("the code that determines its results is now edited, was ")
    assert main(["results", "verify", "--quick", f"results={store}"]) == 0


@pytest.mark.ray
def test_runs_whose_data_are_not_there_are_counted(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store.parent / "cache").rename(store.parent / "moved")
    assert main(["results", "verify", f"results={store}"]) == 0
    (store.parent / "moved").rename(store.parent / "cache")
    text = capsys.readouterr().out
    assert "not checked for later changes" in text
    assert "predictions on rooms/smoke, whose test data are not generated" in text
