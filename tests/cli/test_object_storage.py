"""Results in object storage, through an S3-compatible server on loopback."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from stores import ENTRANTS, build_store, write_run

from deep3dmap.cli import main
from deep3dmap.results.compact import compact
from deep3dmap.results.leases import acquire_lease
from deep3dmap.results.merge import merge
from deep3dmap.results.storage import Storage
from deep3dmap.results.store import ResultStore
from deep3dmap.results.verify import verify

moto = pytest.importorskip("moto.server", reason="moto, a server that speaks S3, is not installed")

HEADS = ("datasets=[heads/smoke]", "dataset.train=16", "dataset.val=4", "dataset.test=3")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URI of an empty bucket, with the environment variables to access it."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "a key",
        "AWS_SECRET_ACCESS_KEY": "a secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/lab", method="PUT")).close()
        yield "s3://lab"
    server.stop()


def run(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "DEEP3DMAP_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "deep3dmap.cli", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_leases_decide_without_locks(bucket: str) -> None:
    storage = Storage(f"{bucket}/leases")
    with acquire_lease(storage, ["a" * 16, "b" * 16], settling_s=0.1) as first:
        assert len(first.held) == 2
        second = acquire_lease(storage, ["b" * 16, "c" * 16], settling_s=0.1)
        assert second.held == {"c" * 16}
        first.renew_all()
        assert first.lost == set()
    assert acquire_lease(storage, ["a" * 16], settling_s=0.1).held == {"a" * 16}


def test_a_store_there_is_compacted_merged_and_verified(bucket: str, tmp_path: Path) -> None:
    here, there = build_store(tmp_path, seeds=1, scenes=2), ResultStore(f"{bucket}/merged")
    assert merge(there, here).new == len(here.runs(newest_only=False))
    write_run(ResultStore(str(tmp_path)), ENTRANTS[0], 5, 2)
    assert merge(there, ResultStore(here.uri)).new == 1
    assert compact(ResultStore(there.uri), min_files=1).files == 0
    assert verify(ResultStore(there.uri)) == []
    assert len(ResultStore(there.uri).runs()) == len(ResultStore(here.uri).runs())


def test_folders_go_there_and_come_back(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "here" / "scene").mkdir(parents=True)
    (tmp_path / "here" / "scene" / "mesh.ply").write_bytes(b"ply")
    (tmp_path / "here" / "about.json").write_bytes(b"{}")
    storage = Storage(f"{bucket}/some/where")
    assert storage.names("kept", "") == []
    assert storage.upload(tmp_path / "here", "kept") == f"{bucket}/some/where/kept"
    assert storage.names("kept", ".ply", recursive=True) == ["scene/mesh.ply"]
    Storage(f"{bucket}/some/where/kept").download(tmp_path / "back")
    assert (tmp_path / "back" / "scene" / "mesh.ply").read_bytes() == b"ply"
    assert (tmp_path / "back" / "about.json").read_bytes() == b"{}"


@pytest.mark.ray
def test_a_benchmark_and_its_checkpoints(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = f"results={bucket}/bench"
    line = ("benchmark", "suite=face", "tier=smoke", "methods=[mean_face/mini]", *HEADS, "seeds=1", results)
    assert "mean_face/mini" in run(tmp_path, *line)
    store = ResultStore(f"{bucket}/bench")
    (scored,) = store.runs().itertuples()
    assert scored.status == "ok"
    assert scored.checkpoint_uri.startswith(f"{bucket}/bench/checkpoints/{scored.run_id}/step_")
    pictures = store.artifacts(scored.run_id, int(scored.attempt), "sheet.png")
    assert len(pictures) == 3
    assert store.storage.read(pictures[0].removeprefix(store.uri + "/")).startswith(b"\x89PNG")
    assert not (tmp_path / "results").exists()

    (again,) = json.loads(run(tmp_path, "evaluate", scored.checkpoint_uri, "suite=face", *HEADS, results, "--json"))
    metrics = store.metrics(store.runs())
    values = [metrics[metrics.run_id == name].value.to_numpy() for name in (scored.run_id, again["run_id"])]
    assert values[0] == pytest.approx(values[1])
    monkeypatch.setenv("DEEP3DMAP_CACHE", str(tmp_path / "cache"))
    # Nothing is left to run, so Ray is not started in this process.
    assert main([*line, "--resume"]) == 0
    assert len(ResultStore(f"{bucket}/bench").runs(newest_only=False)) == 2


@pytest.mark.ray
def test_a_sweep_leaves_its_answer_there(bucket: str, tmp_path: Path) -> None:
    line = ("tune", "method=prnet/mini", "dataset=heads/smoke", "dataset.train=16", "dataset.val=4", "trainer.max_steps=4")
    run(tmp_path, *line, "tune.trials=2", "tune.name=small", f"results={bucket}/swept")
    store = ResultStore(f"{bucket}/swept")
    assert set(store.runs().suite) == {"tune:small"}
    assert "best.yaml" in store.storage.names("tune/small", "")
    assert b"# " in store.storage.read("tune/small/report.md")


def test_what_cannot_be_reached_is_told_in_one_line(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("train", "method=prnet/mini", "dataset=heads/smoke", "trainer.max_steps=1")
    assert main([*line, "results=s3://no-such-bucket/x"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("deep3dmap: results=s3://no-such-bucket/x: ")
    assert error.count("\n") == 1
    assert main(["evaluate", f"{bucket}/nothing", "suite=face"]) == 2
    error = capsys.readouterr().err
    assert f"{bucket}/nothing/checkpoint.json: cannot read" in error
    assert error.count("\n") == 1
