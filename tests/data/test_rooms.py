import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import describe_key
from deep3dmap.data.datasets.rooms import Rooms, RoomsConfig
from deep3dmap.data.scenes.rooms_camera import camera_path
from deep3dmap.data.scenes.rooms_layout import Room, design_room
from deep3dmap.data.scenes.rooms_lighting import Lighting
from deep3dmap.data.scenes.rooms_sensor import sensed_depth
from deep3dmap.data.scenes.rooms_shapes import box, cylinder, joined, refined, refined_centres, sphere, triangles
from deep3dmap.data.scenes.rooms_textures import Material

TINY = RoomsConfig(train=1, val=1, test=1, frames=4, width=64, height=48, mesh_edge=0.06)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    Rooms(TINY, folder).prepare()
    return folder


def fingerprint(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def area(quads) -> float:
    corners = quads.corners.reshape(-1, 3)[triangles(quads)]
    return float(np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1).sum() / 2)


def test_a_sample_has_what_the_card_promises(cache: Path) -> None:
    split = Rooms(TINY, cache).split("test")
    sample = split[0]
    assert split.name(0) == "test_000"
    assert set(sample) == set(Rooms.card.provides)
    for key in sample:
        describe_key(key)
    assert sample["images"][0].shape == (3, 48, 64)
    assert len(sample["depths"]) == len(sample["true_depths"]) == len(sample["world_from_camera"]) == 4


def test_depth_pose_and_mesh_agree(cache: Path) -> None:
    """The true depth of a pixel, unprojected to the world, is on the true mesh."""
    from scipy.spatial import cKDTree

    sample = Rooms(TINY, cache).split("train")[0]
    tree = cKDTree(sample["mesh"].vertices)
    for depth, matrix, pose in zip(sample["true_depths"], sample["intrinsics"], sample["world_from_camera"]):
        assert (depth > 0).all()
        rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]]
        pixels = np.stack([columns + 0.5, rows + 0.5, np.ones_like(rows)], -1).reshape(-1, 3)
        points = (pixels @ np.linalg.inv(matrix).T) * depth.reshape(-1, 1) @ pose[:3, :3].T + pose[:3, 3]
        distance, _ = tree.query(points)
        # Vertices are at most 6 cm apart along an edge; the tolerance covers small parts hit by few pixel centres.
        assert np.mean(distance < 0.06) > 0.98


def test_the_world_has_its_floor_at_zero_and_the_cameras_inside(cache: Path) -> None:
    sample = Rooms(TINY, cache).split("test")[0]
    low, high = sample["mesh"].vertices.min(0), sample["mesh"].vertices.max(0)
    assert low[2] == pytest.approx(0, abs=1e-4)
    places = sample["world_from_camera"][:, :3, 3]
    assert (places > low).all()
    assert (places < high).all()
    assert (sample["world_from_camera"][:, 2, 1] < -0.7).all(), "the camera's y axis points down"


def test_colours_of_mesh_and_images_agree(cache: Path) -> None:
    """Shading is independent of the view, so a vertex has the colour of the pixel that shows it."""
    sample = Rooms(TINY, cache).split("test")[0]
    mesh, pose, matrix = sample["mesh"], sample["world_from_camera"][1], sample["intrinsics"][1]
    image, depth = sample["images"][1], sample["true_depths"][1]
    seen = (mesh.vertices - pose[:3, 3]) @ pose[:3, :3]
    front = seen[:, 2] > 0.3
    pixel = np.floor((seen[front] @ matrix.T)[:, :2] / seen[front, 2:]).astype(int)
    inside = ((pixel >= 0) & (pixel < (64, 48))).all(1)
    columns, rows = pixel[inside].T
    visible = np.abs(seen[front][inside, 2] - depth[rows, columns]) < 0.02
    difference = mesh.colors[front][inside][visible] - image[:, rows, columns].T[visible]
    assert visible.sum() > 300
    assert np.median(np.abs(difference)) < 0.05


def test_generation_is_deterministic_whatever_the_workers(cache: Path, tmp_path: Path) -> None:
    again = Rooms(TINY, tmp_path)
    again.prepare(workers=2)
    assert again.root.name == Rooms(TINY, cache).root.name
    for split in ("train_000", "test_000"):
        assert fingerprint(again.root / split) == fingerprint(Rooms(TINY, cache).root / split)


def test_rooms_differ_between_splits_and_seeds(cache: Path) -> None:
    root = Rooms(TINY, cache).root
    assert fingerprint(root / "train_000") != fingerprint(root / "test_000")
    assert Rooms(TINY, cache).version != Rooms(replace(TINY, seed=1), cache).version


def test_more_rooms_of_the_same_kind_keep_those_there_are(cache: Path) -> None:
    larger = Rooms(replace(TINY, test=2), cache)
    assert larger.root == Rooms(TINY, cache).root
    assert larger.version != Rooms(TINY, cache).version
    assert len(larger.split("test")) == 2


def test_only_the_splits_asked_for_are_made(tmp_path: Path) -> None:
    dataset = Rooms(replace(TINY, train=30, val=0, frames=2), tmp_path)
    missing = {one.title: one for one in dataset.missing()}
    assert {title: one.count for title, one in missing.items()} == {"rooms (train)": 30, "rooms (test)": 1}
    assert missing["rooms (train)"].seconds == pytest.approx(30 * (missing["rooms (test)"].seconds or 0))
    dataset.prepare(splits=["test"])
    assert sorted(place.name for place in dataset.root.glob("t*")) == ["test_000"]
    assert [one.title for one in dataset.missing()] == ["rooms (train)"]
    assert dataset.missing(["test"]) == []


def test_unknown_split_and_bad_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'test'"):
        Rooms(TINY, tmp_path).split("tests")
    with pytest.raises(UserError, match="frames"):
        Rooms(replace(TINY, frames=0), tmp_path)


def test_sensor_noise_grows_with_depth_and_can_be_turned_off() -> None:
    rng = np.random.default_rng(0)
    facing = np.ones((100, 100), np.float32)
    near, far = (sensed_depth(np.full((100, 100), z, np.float32), facing, rng) for z in (1.0, 4.0))
    assert near.std() == pytest.approx(0.0012 + 0.0019 * 0.36, rel=0.1)
    assert far.std() == pytest.approx(0.0012 + 0.0019 * 12.96, rel=0.1)
    assert (sensed_depth(facing, facing, rng, strength=0) == facing).all()
    assert (sensed_depth(facing, 0.1 * facing, rng) == 0).all(), "grazing rays do not come back"
    assert (sensed_depth(9 * facing, facing, rng) == 0).all(), "out of range"
    np.testing.assert_allclose(near * 1000, np.round(near * 1000), atol=1e-3)


def test_shapes_have_their_areas_and_face_outwards() -> None:
    assert area(box((0, 0, 0), (1, 2, 3), 0)) == pytest.approx(22)
    assert area(cylinder(0.5, 0, 2, 0, 64)) == pytest.approx(np.pi * (0.5 + 2), rel=0.01)
    assert area(sphere(1, 0, 0, 48)) == pytest.approx(4 * np.pi, rel=0.01)
    for quads in (box((-1, -1, -1), (1, 1, 1), 0), sphere(1, 0, 0), cylinder(1, -1, 1, 0)):
        outwards = (quads.normals.mean(1) * quads.corners.mean(1)).sum(-1)
        assert (outwards > 0).all()
        corners = quads.corners.reshape(-1, 3)[triangles(quads)]
        facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) * corners.mean(1)
        assert (facing.sum(-1) >= -1e-9).all()
    inside = box((-1, -1, -1), (1, 1, 1), 0, inside=True)
    assert ((inside.normals * inside.corners).sum(-1) < 0).all()


def test_refining_keeps_the_surface() -> None:
    quads = box((0, 0, 0), (1, 0.5, 0.3), 0)
    fine, parent = refined(quads, 0.1)
    assert area(fine) == pytest.approx(area(quads))
    edges = np.linalg.norm(np.roll(fine.corners, -1, 1) - fine.corners, axis=-1)
    assert edges.max() <= 0.1 + 1e-9
    assert len(parent) == len(fine)
    assert (fine.normals == quads.normals[parent][:, :1]).all()


def test_centres_are_those_of_the_pieces_and_some_quads_give_some_of_the_pieces() -> None:
    quads = joined([box((0, 0, 0), (1, 0.5, 0.3), 0), sphere(0.4, 0, 1, 12)])
    fine, parent = refined(quads, 0.1)
    centres, cut_from = refined_centres(quads, 0.1)
    np.testing.assert_array_equal(centres, fine.corners.mean(1))
    np.testing.assert_array_equal(cut_from, parent)
    some = np.arange(len(quads)) % 3 > 0
    fewer, _ = refined(quads.chosen(some), 0.1)
    for name in ("corners", "normals", "material", "local"):
        np.testing.assert_array_equal(getattr(fewer, name), getattr(fine, name)[some[parent]])


def test_light_falls_off_with_distance_and_is_blocked() -> None:
    """The floor below a lamp in an empty room is lit; a table top above a point blocks the lamp's light."""
    light = np.array([2.0, 2.0, 2.4])
    shell = box((0, 0, 0), (4, 4, 2.8), 0, inside=True)
    top = box((1.5, 1.5, 1.0), (2.5, 2.5, 1.05), 0)
    spots = torch.tensor([[2.0, 2.0, 0.0], [3.5, 2.0, 0.0]]).T.contiguous()
    up = torch.tensor([[0.0, 0.0, 1.0]] * 2).T.contiguous()
    paint = [Material("plain", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
    bare, shaded = (
        Lighting(Room((4.0, 4.0, 2.8), quads, paint, light[None], np.array([1.5]))).irradiance(spots, up)
        for quads in (shell, joined([shell, top]))
    )
    ambient = 0.32 * 1.25 * np.prod(1 - 0.22 / (1 + 12 * np.array([2.0, 2.0, 0.0])))
    assert bare[0] == pytest.approx(ambient + 1.5 / (0.8 + 0.45 * 2.4**2), rel=1e-5)
    assert bare[0] > bare[1] > 0
    assert shaded[0] == pytest.approx(ambient, rel=1e-5)
    assert shaded[1] == pytest.approx(float(bare[1]), rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_cameras_keep_away_from_what_stands_in_the_room(seed: int) -> None:
    from scipy.spatial import cKDTree

    room = design_room(np.random.default_rng(seed))
    surface, _ = refined(room.quads, 0.05)
    path = camera_path(room, 60, np.random.default_rng(seed))
    distance, _ = cKDTree(surface.corners.reshape(-1, 3)).query(path[:, :3, 3])
    assert distance.min() > 0.2
    steps = np.linalg.norm(np.diff(path[:, :3, 3], axis=0), axis=-1)
    assert steps.max() < 0.3, "the walk is smooth"
