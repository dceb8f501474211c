"""Preview surfaces can be saved and loaded; damaged files are reported in one line."""

import numpy as np
import pytest
import trimesh

from deep3dmap.core import Mesh, UserError
from deep3dmap.core.ply import from_ply, to_ply
from deep3dmap.core.preview import ABOUT, PREDICTION, TRUTH, Part, Preview, read_preview

FACES = np.array([[0, 1, 2], [0, 2, 3]])
POINTS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.5]], np.float32)
COLORS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.2, 0.4, 0.6]], np.float32)
ERRORS = np.array([0.0, 0.25, np.nan, 3.0], np.float32)


@pytest.mark.parametrize("colors", [None, COLORS])
@pytest.mark.parametrize("errors", [None, ERRORS])
@pytest.mark.parametrize("faces", [FACES, np.zeros((0, 3))])
def test_mesh_comes_back_with_colours_and_quality(colors, errors, faces):
    mesh, quality = from_ply(to_ply(Mesh(POINTS, faces, colors), errors), "here")
    assert np.array_equal(mesh.vertices, POINTS)
    assert np.array_equal(mesh.faces, faces)
    assert (mesh.colors is None) == (colors is None)
    if colors is not None:
        assert np.abs(mesh.colors - colors).max() <= 0.5 / 255
    assert (quality is None) == (errors is None)
    if errors is not None:
        assert np.array_equal(quality, errors, equal_nan=True)


def test_other_programs_read_the_file(tmp_path):
    file = tmp_path / "mesh.ply"
    file.write_bytes(to_ply(Mesh(POINTS, FACES, COLORS), ERRORS))
    found = trimesh.load_mesh(file, process=False)
    assert np.array_equal(found.vertices, POINTS)
    assert np.array_equal(found.faces, FACES)
    assert np.array_equal(found.visual.vertex_colors[1], [0, 255, 0, 255])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data[:-1], "cut"),
        (lambda data: data + b"x", "cut"),
        (lambda data: b"solid" + data, "not a PLY"),
        (lambda data: data.replace(b"float y", b"float w"), "have x, w, z"),
        (lambda data: b"", "not a PLY"),
        (lambda data: data[:-4] + (9).to_bytes(4, "little"), "faces index"),
    ],
)
def test_damaged_file_is_named(change, says):
    with pytest.raises(UserError, match=says) as caught:
        from_ply(change(to_ply(Mesh(POINTS, FACES))), "a/b.ply")
    assert str(caught.value).startswith("a/b.ply")


def test_vertices_that_are_not_finite_are_refused():
    data = to_ply(Mesh(np.where(POINTS == 0.5, np.nan, POINTS), FACES))
    with pytest.raises(UserError, match="not finite"):
        from_ply(data, "a.ply")


def preview():
    parts = {PREDICTION: Part(Mesh(POINTS, FACES, COLORS), 412_003, 200_000, ERRORS), TRUTH: Part(Mesh(POINTS, FACES), 2, 4)}
    return Preview("metre", (0.0, 0.5, 1.0), True, 0.02, parts)


def test_preview_comes_back():
    found = read_preview(preview().files(), "here")
    assert (found.unit, found.eye, found.inside, found.worst) == ("metre", (0.0, 0.5, 1.0), True, 0.02)
    assert found.parts.keys() == {PREDICTION, TRUTH}
    assert found.parts[PREDICTION].triangles == 412_003
    assert np.array_equal(found.parts[PREDICTION].errors, ERRORS, equal_nan=True)
    assert found.parts[TRUTH].errors is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (ABOUT, b"{"),
        (ABOUT, b"[]"),
        (ABOUT, b'{"unit": "m", "eye": [0, 0, 0], "inside": false, "worst": 0, "parts": {}}'),
        (ABOUT, b'{"unit": "m", "eye": [0, 1], "inside": false, "worst": 0, "parts": {}}'),
        (ABOUT, b'{"unit": "m", "eye": [0, 0, 1], "inside": false, "worst": 0, "parts": {"truth": 3}}'),
        ("truth.ply", None),
        ("prediction.ply", b"ply\n"),
    ],
)
def test_damaged_preview_names_its_file(name, content):
    files = preview().files()
    if content is None:
        del files[name]
    else:
        files[name] = content
    with pytest.raises(UserError) as caught:
        read_preview(files, "store/scene")
    assert f"store/scene/{name}" in str(caught.value)
    assert "\n" not in str(caught.value)
