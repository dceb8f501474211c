"""TSDF integration: native against reference on random problems, against the official fusion, and against a plane."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from deep3dmap.core import UserError
from deep3dmap.ops.tsdf import _native_integrate, integrate


def problem(seed: int) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 24, 3))
    height, width = rng.integers(1, 40, 2)
    pose = np.eye(4)
    pose[:3, :3] = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    pose[:3, :3] *= np.sign(np.linalg.det(pose[:3, :3]))
    pose[:3, 3] = rng.normal(0, 0.5, 3)
    focal = rng.uniform(0.5, 2) * width
    depth = rng.uniform(0, 4, (height, width)) * (rng.random((height, width)) > 0.2)
    depth[0, 0] = rng.choice([np.nan, np.inf, 0.0])
    state = {
        "tsdf": torch.ones(shape),
        "weight": torch.zeros(shape),
        "color": torch.zeros(3, *shape),
    }
    frame = {
        "depth": torch.tensor(depth, dtype=torch.float32),
        "image": torch.tensor(rng.random((3, height, width)), dtype=torch.float32),
        "intrinsics": torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float32),
        "camera_from_world": torch.tensor(pose, dtype=torch.float32),
        "origin": torch.tensor(rng.uniform(-2, 1, 3), dtype=torch.float32),
        "voxel_size": float(rng.uniform(0.05, 0.2)),
        "truncation": float(rng.uniform(0.1, 0.5)),
        "max_depth": float(rng.choice([2.0, np.inf])),
    }
    return state, frame


@pytest.mark.parametrize("seed", range(100))
def test_native_equals_reference(seed: int) -> None:
    ours, frame = problem(seed)
    theirs, _ = problem(seed)
    for _ in range(2):
        integrate(**ours, **frame, backend="native")  # type: ignore[arg-type]
        integrate(**theirs, **frame, backend="reference")  # type: ignore[arg-type]
    # A voxel whose projection is on the border of a pixel may be assigned to either side.
    differing = (ours["weight"] != theirs["weight"]) | ((ours["tsdf"] - theirs["tsdf"]).abs() > 1e-4)
    assert differing.float().mean() <= 0.002 or differing.sum() <= 2
    same = ~differing
    torch.testing.assert_close(ours["color"][:, same], theirs["color"][:, same], atol=1e-4, rtol=1e-4)


def test_columns_of_any_length_are_coloured_as_the_reference_does() -> None:
    """Pixels are buffered for 256 voxels at a time."""
    frame = {
        "depth": torch.full((16, 20), 3.0),
        "image": torch.rand(3, 16, 20, generator=torch.Generator().manual_seed(0)),
        "intrinsics": torch.tensor([[20.0, 0, 10], [0, 20, 8], [0, 0, 1]]),
        "camera_from_world": torch.eye(4),
        "origin": torch.tensor([-0.2, -0.2, -3.0]),
        "voxel_size": 0.01,
        "truncation": 0.3,
    }
    shape = (3, 4, 700)
    ours = {"tsdf": torch.ones(shape), "weight": torch.zeros(shape), "color": torch.zeros(3, *shape)}
    theirs = {name: value.clone() for name, value in ours.items()}
    integrate(**ours, **frame, backend="native")  # type: ignore[arg-type]
    integrate(**theirs, **frame, backend="reference")  # type: ignore[arg-type]
    assert (ours["weight"][..., 256:] > 0).any()
    assert (ours["color"][..., 256:] > 0).any()
    for name, value in theirs.items():
        assert ((ours[name] - value).abs() > 1e-4).float().mean() < 0.002, name


def test_threads_do_not_change_the_result() -> None:
    results = []
    before = torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        state, frame = problem(5)
        integrate(**state, **frame, backend="native")  # type: ignore[arg-type]
        results.append(state)
    torch.set_num_threads(before)
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_official_fusion(golden: Path) -> None:
    with np.load(golden / "neuralrecon" / "tsdf_integrate" / "io.npz") as file:
        vectors = {name: torch.tensor(file[name]) for name in file.files}
    manifest = json.loads((golden / "neuralrecon" / "tsdf_integrate" / "manifest.json").read_text())["settings"]
    tsdf, weight = torch.ones(manifest["voxel_dim"]), torch.zeros(manifest["voxel_dim"])
    for view in range(len(vectors["depth"])):
        intrinsics = vectors["intrinsics"] if vectors["intrinsics"].dim() == 2 else vectors["intrinsics"][view]
        intrinsics = intrinsics.clone().float()
        intrinsics[:2, 2] += 0.5  # the official code has integer pixel centres
        integrate(
            tsdf, weight, vectors["depth"][view].float(), intrinsics, torch.linalg.inv(vectors["poses"][view].double()).float(),
            vectors["origin"].float(), manifest["voxel_size"], manifest["voxel_size"] * manifest["margin"],
        )  # fmt: skip
    assert ((tsdf - vectors["tsdf"]).abs() > 1e-4).float().mean() <= 0.001
    assert (weight != vectors["weight"]).float().mean() <= 0.001


def test_plane() -> None:
    tsdf, weight = torch.ones(5, 5, 40), torch.zeros(5, 5, 40)
    depth = torch.full((20, 20), 2.0)
    intrinsics = torch.tensor([[20.0, 0, 10], [0, 20, 10], [0, 0, 1]])
    integrate(tsdf, weight, depth, intrinsics, torch.eye(4), torch.tensor([-0.1, -0.1, 1.0]), 0.05, 0.2)
    z = 1.0 + torch.arange(40) * 0.05
    expected = ((2.0 - z) / 0.2).clamp(max=1.0)
    seen = 2.0 - z >= -0.2 + 1e-5
    torch.testing.assert_close(tsdf[2, 2][seen], expected[seen], atol=1e-5, rtol=0)
    assert weight[2, 2, seen].eq(1).all()
    assert weight[2, 2, 2.0 - z < -0.21].eq(0).all()


def test_opcheck() -> None:
    state, frame = problem(3)
    arguments = (
        state["tsdf"], state["weight"], state["color"], torch.nan_to_num(frame["depth"], posinf=0.0), frame["image"],
        frame["intrinsics"], frame["camera_from_world"], frame["origin"], 0.1, 0.3, 5.0,
    )  # fmt: skip
    torch.library.opcheck(_native_integrate, arguments)


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.float32, (3, 4), elements=st.floats(0, 5, width=32) | st.sampled_from([np.nan, np.inf, -1.0, 1e30])),
    arrays.arrays(np.float32, (4, 4), elements=st.floats(-2, 2, width=32) | st.sampled_from([0.0, 1e-30, 1e30])),
    st.floats(-10, 1e6),
    st.sampled_from([1e-4, 0.1, 1e3]),
)
def test_any_frame_leaves_finite_volumes(depth: np.ndarray, pose: np.ndarray, focal: float, truncation: float) -> None:
    tsdf, weight, color = torch.ones(5, 6, 33), torch.zeros(5, 6, 33), torch.zeros(3, 5, 6, 33)
    intrinsics = torch.tensor([[focal, 0, 2], [0, focal, 1.5], [0, 0, 1]])
    origin = torch.tensor([-0.2, -0.2, 0.1])
    for colors in ({}, {"color": color, "image": torch.ones(3, 3, 4)}):
        integrate(tsdf, weight, torch.tensor(depth), intrinsics, torch.tensor(pose), origin, 0.1, truncation, **colors)
    assert torch.isfinite(tsdf).all()
    assert ((tsdf >= -1.001) & (tsdf <= 1)).all()
    assert set(weight.unique().tolist()) <= {0.0, 1.0, 2.0}
    assert ((color >= 0) & (color <= 1)).all()


def test_wrong_arguments_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    state, frame = problem(1)
    with pytest.raises(ValueError, match="weight must be"):
        integrate(**{**state, "weight": torch.zeros(1, 1, 1)}, **frame)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="depth must be float32"):
        integrate(**state, **{**frame, "depth": torch.zeros(3, 3, dtype=torch.float64)})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="origin must be"):
        integrate(**state, **{**frame, "origin": torch.zeros(4)})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no pixels"):
        integrate(state["tsdf"], state["weight"], torch.zeros(0, 5), *list(frame.values())[2:7], backend="native")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pass both color and image, or neither"):
        integrate(state["tsdf"], state["weight"], frame["depth"], *list(frame.values())[2:7], color=state["color"])  # type: ignore[arg-type]
    monkeypatch.setattr("deep3dmap.ops._backend.native", lambda: None)
    with pytest.raises(UserError, match="backend=native"):
        integrate(**state, **frame, backend="native")  # type: ignore[arg-type]
