"""Faults inside a run, each ending in a resumed run or in one row that reports the cause."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loss_curves import loss_curve

from deep3dmap.cli.train import compose
from deep3dmap.core import UserError
from deep3dmap.results.store import ResultStore
from deep3dmap.results.verify import verify
from deep3dmap.runs.training_run import TrainingRun, plan_training
from deep3dmap.train import ray_runtime
from deep3dmap.train.checkpoints import CheckpointFolder

pytestmark = pytest.mark.ray
STEPS = 8


@pytest.fixture(scope="module", autouse=True)
def ray() -> None:
    """Ray, shared by the test modules of this process."""
    ray_runtime.connect(cpus=4, dashboard=False)


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(str(tmp_path / "results"))


def planned(store: ResultStore, *settings: str, folder: Path | None = None) -> TrainingRun:
    fixed = ["method=faulty_methods:Accident/mini", "dataset=toys:Dots", "trainer.batch_size=4", "trainer.log_every=1"]
    budget = [f"trainer.max_steps={STEPS}", "trainer.checkpoint_every=2"]
    work = folder or Path(store.uri) / "work"
    return plan_training(compose([*fixed, *budget, f"results={store.uri}", *settings]), work)


def only_row(store: ResultStore) -> Any:
    runs = store.runs(newest_only=False)
    assert len(runs) == 1
    return runs.iloc[0]


@pytest.mark.slow
def test_a_run_out_of_memory_is_a_row_and_is_not_tried_again(store: ResultStore, tmp_path: Path) -> None:
    mark = tmp_path / "starts"
    run = planned(store, "method.memory_at=5", f"method.mark='{mark}'")
    with pytest.raises(UserError, match="out_of_memory: Unable to allocate"):
        run.execute(store)
    assert only_row(store).status == "out_of_memory"
    assert mark.read_text() == "0 1\n"
    assert run.steps_taken() == 4


@pytest.mark.slow
def test_one_of_two_workers_out_of_memory_ends_both(store: ResultStore, tmp_path: Path) -> None:
    mark = tmp_path / "starts"
    run = planned(store, "trainer.workers=2", "method.memory_at=5", f"method.mark='{mark}'")
    began = time.monotonic()
    with pytest.raises(UserError, match="out_of_memory: Unable to allocate"):
        run.execute(store)
    # The other worker would wait half an hour for the gradients of the first.
    assert time.monotonic() - began < 400
    assert only_row(store).status == "out_of_memory"
    assert mark.read_text() == "0 2\n0 2\n"


def test_a_loader_that_hangs_is_a_row_that_says_so(store: ResultStore) -> None:
    # Two steps get their four samples each; the second sample of the third step hangs.
    run = planned(store, "method.hang_at=10", "method.loader_timeout=3")
    began = time.monotonic()
    with pytest.raises(UserError, match="the data loader hangs: no batch for 3 s after step 2;"):
        run.execute(store)
    assert time.monotonic() - began < 300
    assert only_row(store).status == "failed"
    assert "DEEP3DMAP_LOADER_TIMEOUT_S" in only_row(store).error


def kill_the_controller(run: TrainingRun, killed: list[int]) -> None:
    """End the process that directs the workers once there is a checkpoint."""
    import psutil

    until = time.monotonic() + 300
    while time.monotonic() < until and not (run.steps_taken() or 0) >= 2:
        time.sleep(0.05)
    for process in psutil.Process().children(recursive=True):
        # A process that is ending has no command line.
        if "TrainController" in " ".join(process.as_dict(["cmdline"], ad_value=[])["cmdline"]):
            process.kill()
            killed.append(process.pid)


@pytest.fixture
def groups_freed() -> Iterator[None]:
    """Release a killed controller's reservations, which Ray does through its dashboard, disabled here."""
    from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group

    yield
    import ray

    for name, group in placement_group_table().items():
        if group["state"] != "REMOVED":
            remove_placement_group(PlacementGroup(ray.PlacementGroupID.from_hex(name)))


@pytest.mark.slow
@pytest.mark.usefixtures("groups_freed")
def test_a_run_whose_controller_is_killed_goes_on_to_the_same_end(store: ResultStore, tmp_path: Path) -> None:
    calm = planned(store, "trainer.engine=train", folder=tmp_path / "calm")
    undisturbed = calm.execute(ResultStore(str(tmp_path / "calm-results")))
    mark = tmp_path / "starts"
    run = planned(store, "trainer.engine=train", "method.delay=1.0", f"method.mark='{mark}'")
    killed: list[int] = []
    accident = threading.Thread(target=kill_the_controller, args=(run, killed))
    accident.start()
    found = run.execute(store)
    accident.join()
    assert len(killed) == 1
    first, second = (int(line.split()[0]) for line in mark.read_text().splitlines())
    assert first == 0
    assert second >= 2
    assert found["metrics"] == undisturbed["metrics"]
    assert loss_curve(run.folder) == loss_curve(calm.folder)
    assert only_row(store).status == "ok"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 20 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    store = ResultStore(str(small_disk / "results"))
    # A checkpoint of 12 MB, including Adam's moments: the first one fits, a second one does not.
    run = planned(store, "method.hidden=4000")
    with pytest.raises(UserError, match="cannot write the checkpoint of step 4: No space left on device; free space"):
        run.execute(store)
    assert only_row(store).status == "failed"
    assert [path.name for path in (run.folder / "checkpoints").iterdir()] == ["step_000000002"]
    newest = CheckpointFolder(run.folder / "checkpoints").newest()
    assert newest is not None
    assert newest[0].step == 2
    assert verify(store) == []

    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    found = run.execute(store)
    assert found["steps"] == STEPS
    assert list(store.runs(newest_only=False).sort_values("attempt").status) == ["failed", "ok"]
    roomy = planned(store, "method.hidden=4000", folder=tmp_path / "roomy")
    roomy.execute(ResultStore(str(tmp_path / "roomy-results")))
    assert loss_curve(run.folder) == loss_curve(roomy.folder)
    shutil.rmtree(run.folder)
