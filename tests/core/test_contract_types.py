"""The contract types: meshes, poses, keys, cards, names, reconstructions, lazy sequences."""

from pathlib import Path

import numpy as np
import pytest

from deep3dmap.core import (
    Camera,
    LazySequence,
    Mesh,
    MethodCard,
    MetricCard,
    Reconstruction,
    SuiteCard,
    Task,
    UserError,
    check_pose,
    describe_key,
    known_keys,
    methods,
    read_mesh,
    register_key,
)
from deep3dmap.core.errors import nearest
from deep3dmap.core.ply import to_ply

TRIANGLE = Mesh(np.eye(3), np.array([[0, 1, 2]]), np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]))


def test_mesh_names_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"faces index vertices 0\.\.3"):
        Mesh(np.eye(3), np.array([[0, 1, 3]]))
    with pytest.raises(ValueError, match="vertices must be"):
        Mesh(np.zeros((3, 2)), np.zeros((0, 3)))
    with pytest.raises(ValueError, match="colors must be"):
        Mesh(np.eye(3), np.array([[0, 1, 2]]), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.__setitem__((0, 3), np.nan), "NaN"),
        (lambda p: p.__setitem__((0, 0), 2.0), "not a rotation"),
        (lambda p: p.__setitem__((2, 2), -1.0), "not a rotation"),
        (lambda p: p.__setitem__((3, 0), 1.0), "last row"),
    ],
)
def test_bad_poses_name_their_source(change: object, message: str) -> None:
    pose = np.eye(4)
    change(pose)  # type: ignore[operator]
    with pytest.raises(UserError, match=f"frame-1.pose.txt.*{message}"):
        check_pose(pose, "frame-1.pose.txt")


def test_a_good_pose_passes_and_a_3x4_does_not() -> None:
    assert check_pose(np.eye(4), "x").dtype == np.float64
    with pytest.raises(UserError, match="4x4"):
        check_pose(np.eye(4)[:3], "x")


@pytest.mark.parametrize("colored", [True, False])
def test_reconstruction_round_trip(tmp_path: Path, colored: bool) -> None:
    camera = Camera(np.diag([50.0, 50, 1]), np.eye(4), 64, 48)
    mesh = TRIANGLE if colored else Mesh(TRIANGLE.vertices, TRIANGLE.faces)
    landmarks = np.arange(204, dtype=np.float32).reshape(68, 3)
    first = Reconstruction("world", "metre", mesh=mesh, landmarks=landmarks, cameras=[camera], notes={"backend": "native"})
    first.save(tmp_path / "r")
    again = Reconstruction.load(tmp_path / "r")
    assert again.produced() == ("mesh", "cameras", "landmarks")
    assert (again.frame, again.unit, again.notes) == ("world", "metre", {"backend": "native"})
    assert again.mesh is not None
    np.testing.assert_allclose(again.mesh.vertices, mesh.vertices)
    np.testing.assert_array_equal(again.mesh.faces, mesh.faces)
    if colored:
        np.testing.assert_allclose(again.mesh.colors, mesh.colors, atol=1 / 255)
    np.testing.assert_array_equal(again.landmarks, landmarks)
    assert again.cameras is not None
    np.testing.assert_array_equal(again.cameras[0].intrinsics, camera.intrinsics)


def test_an_empty_mesh_is_kept(tmp_path: Path) -> None:
    Reconstruction("world", "metre", mesh=Mesh(np.zeros((0, 3)), np.zeros((0, 3)))).save(tmp_path)
    loaded = Reconstruction.load(tmp_path).mesh
    assert loaded is not None
    assert loaded.is_empty


@pytest.mark.parametrize("colored", [True, False])
def test_vertices_without_faces_are_kept(tmp_path: Path, colored: bool) -> None:
    """For example, the vertices of a mesh whose faces have all been removed."""
    mesh = Mesh(TRIANGLE.vertices, np.zeros((0, 3)), TRIANGLE.colors if colored else None)
    (tmp_path / "m.ply").write_bytes(to_ply(mesh))
    again = read_mesh(tmp_path / "m.ply")
    assert again.is_empty
    np.testing.assert_array_equal(again.vertices, mesh.vertices)
    if colored:
        np.testing.assert_allclose(again.colors, mesh.colors, atol=1 / 255)
    else:
        assert again.colors is None


def test_points_of_several_parts_are_joined(tmp_path: Path) -> None:
    import trimesh

    clouds = [trimesh.PointCloud(np.eye(3) + shift, np.full((3, 4), 51, np.uint8)) for shift in (0, 5)]
    trimesh.Scene(clouds).export(tmp_path / "m.glb")
    again = read_mesh(tmp_path / "m.glb")
    assert sorted(again.vertices.tolist()) == sorted(np.concatenate([np.eye(3), np.eye(3) + 5]).tolist())
    np.testing.assert_allclose(again.colors, np.full((6, 3), 0.2), atol=1e-6)


def test_other_folders_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no reconstruction\.json"):
        Reconstruction.load(tmp_path)
    (tmp_path / "m.ply").write_text("nonsense")
    with pytest.raises(UserError, match=r"m\.ply: not a readable mesh"):
        read_mesh(tmp_path / "m.ply")


def test_every_key_is_described_once() -> None:
    assert describe_key("image").unit
    with pytest.raises(UserError, match="did you mean 'intrinsics'"):
        describe_key("intrinsic")
    with pytest.raises(ValueError, match="already described"):
        register_key("image", "(1,)", "m", "something else")
    assert all(key.meaning and key.shape for key in known_keys().values())


def test_suites_admit_by_inputs_and_outputs() -> None:
    def card(consumes: tuple[str, ...], produces: tuple[str, ...]) -> MethodCard:
        return MethodCard("t", "a", 2020, "", ("face",), consumes, produces, "MIT")

    task = Task("face", ("image", "box"), ("landmarks",), "")
    suite = SuiteCard("t", 1, task, (MetricCard("m", "", "down", ""),), "m", "")
    assert suite.admits(card(("image",), ("landmarks", "mesh")))
    assert not suite.admits(card(("image", "depths"), ("landmarks",)))
    assert not suite.admits(card(("image",), ("mesh",)))
    with pytest.raises(ValueError, match=r"up.*down"):
        MetricCard("m", "", "sideways", "")


def test_names_are_corrected() -> None:
    with pytest.raises(UserError, match="unknown method 'tsdf_fussion'; did you mean 'tsdf_fusion'"):
        methods.load("tsdf_fussion")
    with pytest.raises(UserError, match="cannot be found: there is no module 'no_such_module'"):
        methods.load("no_such_module:Thing")
    assert nearest("zzz", ["a", "b"]) == "; available: a, b"


def test_user_errors_are_one_line() -> None:
    assert "\n" not in str(UserError("a\n  b\tc"))


def test_lazy_sequences_load_on_demand() -> None:
    loaded: list[int] = []

    def load(index: int) -> int:
        loaded.append(index)
        return index * 10

    sequence = LazySequence(load, 5)
    assert (len(sequence), loaded) == (5, [])
    assert sequence[-1] == 40
    assert list(sequence[1:4:2]) == [10, 30]
    assert loaded == [4, 1, 3]
    with pytest.raises(IndexError):
        sequence[5]


def test_an_own_mesh_is_read_as_trimesh_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    mesh = Mesh(rng.normal(size=(5, 3)), np.array([[0, 1, 2], [2, 3, 4]]), rng.random((5, 3)))
    (tmp_path / "m.ply").write_bytes(to_ply(mesh))
    other = read_mesh_as_trimesh(tmp_path / "m.ply")
    monkeypatch.setattr("deep3dmap.core.reconstruction.load_trimesh", lambda file: pytest.fail(f"{file} went to trimesh"))
    own = read_mesh(tmp_path / "m.ply")
    for name in ("vertices", "faces", "colors"):
        assert np.array_equal(getattr(own, name), getattr(other, name))


def read_mesh_as_trimesh(file: Path) -> Mesh:
    """Read a copy with a comment in its header, which is therefore treated as a third-party file."""
    copy = file.with_name("other.ply")
    copy.write_bytes(file.read_bytes().replace(b"1.0\n", b"1.0\ncomment of another program\n", 1))
    return read_mesh(copy)
