"""The visual hull and the mean subject: closed forms, open edges, and refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deep3dmap.core import Mesh, UserError
from deep3dmap.geometry.cameras import look_at
from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.methods.mean_subject.method import MeanSubject, MeanSubjectConfig
from deep3dmap.methods.visual_hull.bounds import Outline, box_of_outlines
from deep3dmap.methods.visual_hull.method import VisualHull, VisualHullConfig
from deep3dmap.metrics.silhouette import silhouette

SPHERE, FACES = icosphere(3)
CENTRE = np.array([0.3, -0.2, 0.5])
SIDE = 96


def views(count: int = 8, radius: float = 0.1, focal: float = 300.0) -> dict[str, Any]:
    """Masks of a sphere around CENTRE from a ring of cameras and from above."""
    angles = 2 * np.pi * np.arange(count - 1) / (count - 1)
    places = [np.array([np.sin(a), 0.3, np.cos(a)]) for a in angles] + [np.array([0.0, 1.2, 0.01])]
    poses = np.stack([look_at(CENTRE + place, CENTRE, (0, 1, 0)).numpy() for place in places])
    intrinsics = np.array([[focal, 0, SIDE / 2], [0, focal, SIDE / 2], [0, 0, 1]])
    vertices = radius * SPHERE + CENTRE
    masks = np.stack([silhouette(vertices, FACES, intrinsics, pose, SIDE, SIDE).float().numpy() for pose in poses])
    images = np.broadcast_to(np.float32([0.8, 0.2, 0.1])[:, None, None], (count, 3, SIDE, SIDE))
    return {"images": images, "masks": masks, "intrinsics": np.tile(intrinsics, (count, 1, 1)), "world_from_camera": poses}


def hull(given: dict[str, Any], **options: Any) -> Mesh:
    return VisualHull(VisualHullConfig(**options)).reconstruct(given).mesh


def volume(mesh: Mesh) -> float:
    corners = mesh.vertices[mesh.faces].astype(np.float64) - CENTRE
    return float(np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6)


def test_the_hull_of_a_sphere_is_a_little_larger_than_the_sphere() -> None:
    mesh = hull(views(), resolution=64)
    # Positive, since faces are counter-clockwise from outside. The hull contains the shape.
    assert 0.97 < volume(mesh) / (4 / 3 * np.pi * 0.1**3) < 1.12
    radii = np.linalg.norm(mesh.vertices - CENTRE, axis=1)
    assert radii.min() > 0.097
    assert radii.max() < 0.125
    np.testing.assert_allclose((mesh.vertices.min(0) + mesh.vertices.max(0)) / 2, CENTRE, atol=0.003)


def test_more_views_carve_more() -> None:
    few, many = (volume(hull(views(count), resolution=48)) for count in (3, 12))
    assert few > 1.02 * many


def test_colours_come_from_the_photographs() -> None:
    mesh = hull(views(), resolution=32)
    assert np.median(np.abs(mesh.colors - np.float32([0.8, 0.2, 0.1]))) < 1e-3
    assert hull(views(), resolution=32, color=False).colors is None


def test_a_mask_that_leaves_its_picture_does_not_cut_the_subject() -> None:
    given = views()
    # The first camera now sees only the left half of its picture: the right edge cuts through the sphere.
    cut = {**given, "images": [image[:, :, : SIDE // 2] if not i else image for i, image in enumerate(given["images"])]}
    cut["masks"] = [mask[:, : SIDE // 2] if not i else mask for i, mask in enumerate(given["masks"])]
    assert volume(hull(cut, resolution=48)) > 0.99 * volume(hull(given, resolution=48))


def test_a_view_that_contradicts_may_be_overruled() -> None:
    given = views()
    given["masks"] = given["masks"].copy()
    given["masks"][2, :, : SIDE // 2] = 0
    exact, forgiving = (volume(hull(given, resolution=48, contradicting=number)) for number in (0, 1))
    assert exact < 0.7 * forgiving
    assert forgiving > 0.9 * 4 / 3 * np.pi * 0.1**3


def test_the_box_is_tight() -> None:
    given = views()
    outlines = [Outline(*parts) for parts in zip(given["masks"], given["intrinsics"], given["world_from_camera"])]
    low, high = box_of_outlines(outlines)
    assert (low < CENTRE - 0.1).all()
    assert (high > CENTRE + 0.1).all()
    assert (high - low).max() < 0.29


def move(given: dict[str, Any], cameras: slice, offset: np.ndarray) -> None:
    given["world_from_camera"][cameras, :3, 3] = CENTRE + offset


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda given: given["masks"].__setitem__(slice(1, None), 0), "two views"),
        (lambda given: move(given, slice(0, 1), np.array([0, 0, 9e3])), None),
        (lambda given: move(given, slice(None), np.array([5.0, 0, 0])), None),
    ],
)
def test_views_that_bound_nothing_are_refused(change: Callable[[dict[str, Any]], None], words: str | None) -> None:
    given = {key: np.array(value) for key, value in views().items()}
    change(given)
    with pytest.raises(UserError, match=words or "do not meet|do not bound|no voxel"):
        hull(given, resolution=32)


@pytest.mark.parametrize("options", [{"resolution": 1}, {"level": 0.0}, {"smoothing": -1.0}, {"contradicting": -1}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="visual_hull"):
        VisualHull(VisualHullConfig(**options))


def subject(shift: float, scale: float) -> dict[str, Any]:
    """A sphere with this scale, rotated and shifted."""
    pose = np.eye(4)
    pose[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    pose[:3, 3] = shift
    vertices = (scale * SPHERE) @ pose[:3, :3].T + pose[:3, 3]
    return {"mesh": Mesh(vertices, FACES), "vertices": vertices.astype(np.float32), "world_from_template": pose}


def mean_of(scales: tuple[float, ...], make_loop: Callable[..., Any]) -> MeanSubject:
    method = MeanSubject(MeanSubjectConfig())
    assert len(list(method.train_steps(make_loop([subject(i, scale) for i, scale in enumerate(scales)])))) == 1
    return method


def test_the_mean_is_that_of_the_subjects_at_rest(make_loop: Callable[..., Any]) -> None:
    method = mean_of((0.08, 0.12), make_loop)
    np.testing.assert_allclose(method.mean.vertices, 0.1 * SPHERE, atol=1e-6)
    fresh = MeanSubject(MeanSubjectConfig())
    fresh.load_state_dict(method.state_dict())
    np.testing.assert_array_equal(fresh.mean.vertices, method.mean.vertices)


def test_the_mean_is_put_where_the_masks_meet(make_loop: Callable[..., Any]) -> None:
    mesh = mean_of((0.1,), make_loop).reconstruct(views()).mesh
    np.testing.assert_allclose(mesh.vertices, 0.1 * SPHERE + CENTRE, atol=2e-3)


def test_one_view_tells_the_distance_by_the_size(make_loop: Callable[..., Any]) -> None:
    one = {key: value[:1] for key, value in views().items()}
    mesh = mean_of((0.1,), make_loop).reconstruct(one).mesh
    np.testing.assert_allclose(mesh.vertices.mean(0), CENTRE, atol=0.03)


def test_a_mean_without_training_topology_or_masks_is_refused(make_loop: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="train it"):
        MeanSubject(MeanSubjectConfig()).reconstruct(views())
    other = {**subject(0, 1), "vertices": np.zeros((7, 3), np.float32)}
    with pytest.raises(UserError, match="differs in topology"):
        list(MeanSubject(MeanSubjectConfig()).train_steps(make_loop([subject(0, 1), other])))
    given = views()
    with pytest.raises(UserError, match="masks are empty"):
        mean_of((0.1,), make_loop).reconstruct({**given, "masks": given["masks"] * 0})
    line = {key: np.stack([value[0]] * 2) for key, value in given.items()}
    with pytest.raises(UserError, match="one line"):
        mean_of((0.1,), make_loop).reconstruct(line)
