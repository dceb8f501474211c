"""User errors that used to end in a traceback or a misleading line: now one clear line and exit code 2."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deep3dmap.cli import main

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files used in the erroneous commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEP3DMAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    Path("FILE").touch()
    Path("triangle.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    Path("empty.obj").write_text("v 1 2 3\n")
    Image.fromarray(np.full((60, 80, 3), 128, np.uint8)).save("photo.jpg")
    Path("without_card.py").write_text("class Plain:\n    pass\n")
    Path("with_error.py").write_text("x = 1\nclass Wrong(:\n    pass\n")
    Path("that_raises.py").write_text("def f():\n    raise RuntimeError('no luck\\nat all')\nf()\n")
    Path("that_misses.py").write_text("import not_there_at_all\n")
    checkpoint = Path("run/step_1")
    checkpoint.mkdir(parents=True)
    (checkpoint / "checkpoint.json").write_text("{}")
    (checkpoint / "state.pt").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("render triangle.obj -o /proc/x.png", "-o /proc: cannot write there"),
        ("render triangle.obj -o run.png/x.png", "there is no folder run.png"),
        ("render empty.obj -o x.png", "empty.obj: an empty mesh without faces"),
        ("reconstruct tsdf_fusion photo.jpg -o FILE", "FILE is a file, not a folder; choose another folder"),
        ("reconstruct tsdf_fusion photo.jpg -o FILE/out", "FILE is a file, not a folder; choose another folder"),
        ("reconstruct run/step_1/state.pt photo.jpg -o o", "give the folder of the checkpoint: run/step_1"),
        ("reconstruct triangle.obj photo.jpg -o o", "triangle.obj is a file; a checkpoint is a folder"),
        ("reconstruct ./absent photo.jpg -o o", "./absent: no such checkpoint folder"),
        ("reconstruct prnnet photo.jpg -o o", "unknown method 'prnnet'; did you mean 'prnet'?"),
        ("reconstruct nomodule:X photo.jpg -o o", "there is no module 'nomodule', neither installed nor in the current folder"),
        ("evaluate run/step_1/state.pt suite=face", "give the folder of the checkpoint: run/step_1"),
        ("data generate heads/smoke data.cache=FILE", "FILE is a file, not a folder"),
        ("data generate heads/smoke data.cache=/proc/x", "/proc/x/heads"),
        ("train method=nomodule:X dataset=heads/smoke", "method 'nomodule:X' cannot be found: there is no module 'nomodule'"),
        ("train method=run/step_1 dataset=heads/smoke", "method=run/step_1: the folder of a checkpoint, but method="),
        ("tune method=./run/step_1 dataset=heads/smoke", "add trainer.initialize_from=FOLDER to start from a checkpoint"),
        ("train method=/absent/run/step_1 dataset=heads/smoke", "method=/absent/run/step_1: a path, but method= expects NAME"),
        ("train method=prnet/mini dataset=rooms/smoke", "method 'prnet' trains on 'crop', but dataset 'rooms' has no 'crop'"),
        ("tune method=prnet/mini dataset=rooms/smoke", "datasets with all required keys: heads, threehundred_w_lp"),
        ("train method=giraffe/mini dataset=clevr/smoke method.latent=0", "method.latent=0: must be at least 1"),
        ("train method=giraffe/mini dataset=clevr/smoke method.camera_height=[low,high]", "method.camera_height"),
        (
            "train method=gan2shape dataset=face_depth/smoke",
            "method.gan is empty; name a file or folder, or a run of this store",
        ),
        ("benchmark suite=shape tier=smoke methods=[gan2shape/default]", "method.gan is empty"),
        ("train method=stylegan2/mini dataset=face_depth/smoke method.r1_every=0", "method.r1_every=0: must be at least 1"),
        ("train method=prnet/mini dataset=heads/smoke method.scale=[1]", "method.scale=[1.0]: expects 2 values, got 1"),
        ("train method=neuralrecon/mini dataset=rooms/smoke method.backend=cuda", "method.backend=cuda: not a valid value"),
        ("check without_card:Plain", "without_card:Plain has no card and no config_type, so it is not a method"),
        ("check without_card:Plian", "there is no 'Plian' in"),
        ("check without_card:Plian", "did you mean 'Plain'?"),
        (
            "check with_error:Wrong",
            "method 'with_error:Wrong' cannot be imported: SyntaxError: invalid syntax (with_error.py:2)",
        ),
        ("check that_raises:X", "cannot be imported: RuntimeError: no luck (that_raises.py:2)"),
        ("check that_misses:X", "ModuleNotFoundError: No module named 'not_there_at_all' (that_misses.py:1)"),
        ("methods with_error:Wrong", "SyntaxError: invalid syntax (with_error.py:2)"),
    ],
)
def test_one_line_and_exit_code_2(line: str, message: str, folder: Path, capsys: Captured) -> None:
    assert main(line.split()) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("deep3dmap: ")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        "render triangle.obj -o run.png/x.png",
        "render absent.obj -o x.png",
        "reconstruct prnnet photo.jpg -o o",
        "evaluate run/step_1/state.pt suite=face",
        "evaluate run/step_1",
        "train method=nomodule:X dataset=heads/smoke",
        "train method=prnet/mini dataset=hedas/smoke",
        "benchmark suite=face seeds=-1",
        "tune method=prnet/mini dataset=heads/smoke tune.searcher=optima",
        "methods prnnet",
        "data prepare heds",
        "leaderboard results=nowhere",
    ],
)
def test_what_the_line_alone_shows_is_told_without_waiting_for_torch(line: str, folder: Path) -> None:
    code = (
        "import sys; from deep3dmap.cli import main; code = main(sys.argv[1:]); print('torch' in sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *line.split()], capture_output=True, text=True, check=False, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "False\n"), done.stderr


def test_the_training_process_imports_torch_while_the_command_does(folder: Path) -> None:
    code = (
        "import sys\nfrom deep3dmap.cli import main\nfrom deep3dmap.train import own_process\n"
        "own_process.prepare = lambda: print('started', 'torch' in sys.modules)\nsys.exit(main(sys.argv[1:]))"
    )
    line = ["train", "method=prnet/minni", "dataset=heads/smoke"]
    done = subprocess.run([sys.executable, "-c", code, *line], capture_output=True, text=True, check=False, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "started False\n"), done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "method=prnet/minni",
        "method.pernet.width=8",
        "dataset.haeds.train=8",
        "dataset=rooms/smoke",
        "trainer.batch_size=0",
        "trainer.engine=foo",
        "optimizer.lr=-1",
        "device=cuda:99",
        "seed=x",
        "--dry-run seeds=-1",
    ],
)
def test_what_a_configuration_shows_is_told_before_anything_else_is_imported_and_no_job_begins(
    words: str, folder: Path
) -> None:
    """A process that imports in advance may be started; it gets no job and is ended before the command exits."""
    code = (
        "import sys\nfrom deep3dmap.cli import main\nfrom deep3dmap.train import own_process\n"
        "class Recorded(own_process.OwnProcess):\n"
        "    every = []\n"
        "    def __init__(self, threads=1):\n        super().__init__(threads)\n        self.every.append(self)\n"
        "    def send_job(self, job, storage):\n        print('begun')\n"
        "own_process.OwnProcess = Recorded\ncode = main(sys.argv[1:])\n"
        "print([name for name in ('ray', 'pandas', 'pyarrow') if name in sys.modules])\n"
        "assert all(one.process.poll() is not None for one in Recorded.every)\nsys.exit(code)"
    )
    line = ["train", "method=prnet/mini", "dataset=heads/smoke", *words.split()]
    done = subprocess.run([sys.executable, "-c", code, *line], capture_output=True, text=True, check=False, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "[]\n"), done.stderr
