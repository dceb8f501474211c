"""The commands named in docs/ops.md print a table for each problem, with all contenders and the reasons for absent ones."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from unittest import mock

import pytest
import torch

# The modules set the number of threads of the process in which they measure.
with mock.patch.dict(os.environ):
    from deep3dmap.benchmarks.kernels import (
        back_project,
        neighbour_search,
        radiance,
        rasterize,
        rasterize_soft,
        sparse_conv,
        stylegan_ops,
        tsdf,
    )

Main = Callable[[], None]
ROW = re.compile(r"^  (\S.*?)\s+(\d+\.\d\d) ms\s+(\d+\.\d\d) ms\s+(\d+\.\d\d)$")
ABSENT = re.compile(r"^  (\S.*?)\s+skipped: (\S.*)$")


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command with its options; returns the printed lines. The number of threads is restored afterwards."""
    before = torch.get_num_threads()

    def run(main: Main, *options: str) -> list[str]:
        monkeypatch.setattr("sys.argv", ["benchmark", *options])
        main()
        return capsys.readouterr().out.splitlines()

    yield run
    torch.set_num_threads(before)


def tables(lines: list[str]) -> dict[str, dict[str, float]]:
    """Return the ratios by contender for each table, by its title; absent contenders have none."""
    found: dict[str, dict[str, float]] = {}
    for before, line in pairwise(lines):
        if line.split() == ["median", "spread", "ratio"]:
            found[before] = {}
        elif found and (match := ROW.match(line)):
            found[list(found)[-1]][match[1]] = float(match[4])
    return found


def check(found: dict[str, dict[str, float]], titles: int, first: str, *others: str) -> None:
    """Check that each table includes at least these contenders, with `first` as the reference."""
    assert len(found) == titles
    for title, ratios in found.items():
        assert next(iter(ratios)) == first, title
        assert ratios[first] == 1
        assert set(others) <= ratios.keys(), title


def test_nearest_neighbours(printed: Any) -> None:
    lines = printed(neighbour_search.main, "--points", "60", "90", "--rounds", "2")
    found = tables(lines)
    check(found, 4, neighbour_search.TREE, "torch.cdist at once")
    assert [title.split(" and ")[0] for title in found] == ["60", "60", "90", "90"]
    assert re.fullmatch(r"its fastest rival takes \d+\.\d to \d+ times as long as the k-d tree", lines[-1])


def test_distances_that_do_not_fit_into_memory_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbour_search, "MAX_DENSE_POINTS", 10)
    points, targets = neighbour_search.surfaces(50)
    for ways in (neighbour_search.searches, neighbour_search.chamfers):
        calls, absent = ways(points, targets)
        assert "torch.cdist at once" not in calls
        assert "GB of distances" in absent["torch.cdist at once"]


def test_tsdf(printed: Any) -> None:
    lines = printed(tsdf.main, "--side", "16", "--rounds", "2")
    found = tables(lines)
    check(found, 2, "native", "torch reference")
    assert [title.split(", ")[2] for title in found] == ["without colours", "with colours"]
    peers = [name for line in lines if (match := ABSENT.match(line)) for name in [match[1]]]
    assert peers in ([], ["Open3D UniformTSDFVolume"] * 2)
    check(tables(printed(tsdf.main, "--side", "8", "--rounds", "2", "--no-reference")), 2, "native")


def test_rasterisation(printed: Any) -> None:
    lines = printed(rasterize.main, "--triangles", "100", "--sizes", "32", "--rounds", "2", "--reference")
    check(tables(lines), 1, "native kernel: depth, ids, barycentrics", "torch reference", "the same and its gradients")


def test_soft_rasterisation(printed: Any) -> None:
    lines = list(rasterize_soft.compare(60, 32, 4, rounds=2))
    found = tables([line for lines_of in lines for line in lines_of.splitlines()])
    check(found, 2, "native")
    assert [title.rpartition("K=4, ")[2] for title in found] == ["forward, one thread", "forward and backward, one thread"]


def test_what_pytorch3d_took_is_quoted_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch, printed: Any) -> None:
    monkeypatch.setitem(sys.modules, "pytorch3d.renderer.mesh.rasterize_meshes", None)
    monkeypatch.setattr(rasterize_soft, "QUOTED", {(32, 60, 4): (2000.0, 9000.0)})
    forward, both = (lines.splitlines()[-1].split() for lines in rasterize_soft.compare(60, 32, 4, rounds=2))
    assert forward[:3] == ["pytorch3d,", "quoted", "2000.00"]
    assert both[:3] == ["pytorch3d,", "quoted", "9000.00"]


def test_sparse_convolution(printed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_conv, "QUICK", ((90, 4), (90, 8)))
    lines = printed(sparse_conv.main, "--rounds", "2")
    found = tables(lines)
    check({title: ratios for title, ratios in found.items() if "Kernel map" in title}, 1, "native", "torch sort and search")
    check({title: ratios for title, ratios in found.items() if "orward" in title}, 4, "native", "torch im2col in chunks")
    assert sum(line.startswith("  GFLOP/s: native ") for line in lines) == 4


def test_back_projection_and_its_peak_memory(printed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(back_project, "LEVELS", {24: (2, 12, 16)})
    monkeypatch.setattr(back_project, "peak_megabytes", lambda name, side, backward: 2.0 if name == "native" else 5.0)
    lines = printed(back_project.main, "--sides", "24", "--rounds", "2")
    check(tables(lines), 2, "native", "torch grid_sample", "torch, view by view")
    assert [line.split()[-1] for line in lines if " peak " in line] == ["1.0", "2.5", "2.5"] * 2


OWN_PEAK = """
import torch
from deep3dmap.benchmarks.kernels import back_project
megabytes = iter([0, 64])
back_project.LEVELS = {24: (2, 12, 16)}
back_project.call = lambda *_: lambda: torch.ones(next(megabytes) << 18)
print(back_project._measure_own_peak("native", 24, False))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc, which Linux has")
def test_the_peak_of_a_call_is_what_it_holds_at_once() -> None:
    """A call that allocates 64 MB raises the peak by 64 MB; memory allocated by a smaller call before it does not count."""
    # In a separate process, as in the benchmark, since threads of other tests allocate and free memory.
    done = subprocess.run([sys.executable, "-c", OWN_PEAK], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(64, abs=8)


def test_radiance(printed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radiance, "SIZES", {"tiny": radiance.Size(2, 8, 8)})
    monkeypatch.setattr(radiance, "shell", lambda _, device, make=radiance.shell: make(16, device))
    lines = printed(radiance.main, "--rays", "30", "--rounds", "2")
    found = tables(lines)
    check(found, 6, "native", "torch reference")
    assert {title.split(",")[0] for title in found} == {"hash grid", "compositing", "ray marching", "training step"}
    rates = [line for line in lines if "rays/s" in line]
    assert [line.split(":")[0].strip() for line in rates] == ["native", "torch reference"]


def test_stylegan(printed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"COUNT": 1, "CHANNELS": 4, "SIDE": 8}.items():
        monkeypatch.setattr(stylegan_ops, name, value)
    monkeypatch.setattr(stylegan_ops, "StyleGAN2Size", lambda *_, make=stylegan_ops.StyleGAN2Size: make(16, 8, 2, 32, 16))
    lines = printed(stylegan_ops.main, "--rounds", "2")
    found = tables(lines)
    generators = {title: ratios for title, ratios in found.items() if title.startswith("generator")}
    check(generators, 2 * 2, "ours", "plain torch")
    check({title: found[title] for title in found.keys() - generators.keys()}, 4 * 3, "native", "plain torch")
    assert sum(line.count("images/s") for line in lines) == 4 * 2
