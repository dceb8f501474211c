"""The viewer's data are compact and represent the geometry faithfully."""

import base64
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from kept_stores import ball, preview
from matplotlib import colormaps

from deep3dmap.core.mesh import Mesh
from deep3dmap.dashboard.viewer3d import Panel, panels_of, payload
from deep3dmap.dashboard.viewer3d.component import SCRIPTS, STYLE, static_file


def decoded(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def positions(data, place):
    steps = decoded(data["meshes"][place]["positions"], "<u2").reshape(-1, 3)
    return np.array(data["box"]["low"]) + steps / 65535 * data["box"]["size"]


def test_geometry_comes_out_as_it_went_in():
    mesh, other = ball(2.0), Mesh(ball(0.5).vertices + np.array([3, 0, 0]), ball(0.5).faces)
    data = json.loads(json.dumps(payload([Panel("a", mesh), Panel("b", other)])))
    assert np.abs(positions(data, 0) - mesh.vertices).max() < data["box"]["size"] / 65535
    assert np.abs(positions(data, 1) - other.vertices).max() < data["box"]["size"] / 65535
    assert np.array_equal(decoded(data["meshes"][0]["indices"], "<u2").reshape(-1, 3), mesh.faces)
    assert np.abs(decoded(data["meshes"][0]["colors"], "u1").reshape(-1, 3) / 255 - mesh.colors).max() <= 0.5 / 255 + 1e-6
    assert "colors" not in data["meshes"][1]
    assert data["paint"] == "colors"


def test_more_vertices_than_two_bytes_count_have_wide_indices():
    corners = np.random.default_rng(0).random((75_000, 3))
    faces = np.arange(75_000).reshape(-1, 3)
    data = payload([Panel("a", Mesh(corners, faces))])
    assert np.array_equal(decoded(data["meshes"][0]["indices"], "<u4").reshape(-1, 3), faces)


def test_large_mesh_is_decimated_and_the_page_says_so():
    data = payload([Panel("a", ball(1.0, 7))])
    shown = len(decoded(data["meshes"][0]["indices"], "<u2")) // 3 if not data["meshes"][0]["wide_indices"] else 0
    assert 30_000 < shown <= 50_000
    assert data["meshes"][0]["note"] == f"showing {shown:,} of 327,680 triangles"
    assert len(json.dumps(data)) < 1_200_000


def test_what_was_reduced_before_says_of_how_much():
    panel = panels_of({"x": preview(1.1)})[0]
    assert payload([panel])["meshes"][0]["note"] == "showing 1,280 of 412,003 triangles"


def test_cloud_has_no_indices_and_counts_points():
    data = payload([Panel("a", Mesh(ball(1.0).vertices, np.zeros((0, 3))))])
    assert "indices" not in data["meshes"][0]
    assert data["meshes"][0]["note"] == "642 points"


def test_nothing_is_said_to_be_nothing():
    data = payload([Panel("a", Mesh(np.zeros((0, 3)), np.zeros((0, 3))))])
    assert data["meshes"][0]["note"] == "nothing was reconstructed"
    assert np.isfinite([data["radius"], *data["centre"], data["box"]["size"]]).all()


def test_errors_keep_their_values_and_gaps():
    mesh = ball(1.0)
    errors = np.linspace(0, 0.3, len(mesh.vertices))
    errors[5] = np.nan
    data = payload([Panel("a", mesh, errors)], unit="metre")
    steps = decoded(data["meshes"][0]["errors"], "<u2")
    assert steps[5] == 65535
    known = np.isfinite(errors)
    back = steps / 65534 * data["meshes"][0]["largest_error"]
    assert np.abs(back - errors)[known].max() < 1e-5
    assert data["paint"] == "error"


@pytest.mark.parametrize(
    ("largest", "unit", "ticks"),
    [
        (0.019, "metre", ["0", "10", "≥ 20 mm"]),
        (0.9, "metre", ["0", "0.5", "≥ 1 m"]),
        (17.0, "pixel", ["0", "10", "≥ 20 px"]),
        (0.0029, "", ["0", "0.0015", "≥ 0.003"]),
    ],
)
def test_scale_of_errors_reads_well(largest, unit, ticks):
    errors = np.full(642, largest)
    assert payload([Panel("a", ball(1.0), errors)], unit=unit)["error"]["ticks"] == ticks


def test_long_unit_stands_before_the_scale():
    errors = np.full(642, 0.019)
    found = payload([Panel("a", ball(1.0), errors)], unit="distance to the middle")["error"]
    assert found["ticks"] == ["0", "0.01", "≥ 0.02"]
    assert found["label"] == "distance to the true surface, in units of the distance to the middle"


def test_outliers_do_not_take_the_scale():
    errors = np.full(642, 0.1)
    errors[:10] = 1000.0
    assert payload([Panel("a", ball(1.0), errors)])["error"]["largest"] == 0.1


def test_at_most_four_stand_side_by_side_and_truth_yields():
    previews = {name: preview(1.1) for name in "abcde"}
    assert [panel.title for panel in panels_of(previews)] == ["a", "b", "c", "d"]
    assert [panel.title for panel in panels_of({"a": previews["a"]})] == ["a", "truth"]
    for count in (0, 5):
        with pytest.raises(ValueError, match="one to 4 panels"):
            payload([Panel("a", ball(1.0))] * count)


def test_colours_of_errors_are_those_of_the_pictures():
    stops = re.findall(r'"#([0-9a-f]{6})"', static_file("geometry.js"))
    wanted = np.round(colormaps["plasma"](np.linspace(0, 1, len(stops)))[:, :3] * 255).astype(int)
    found = np.array([[int(stop[at : at + 2], 16) for at in (0, 2, 4)] for stop in stops])
    assert len(stops) == 16
    assert np.abs(found - wanted).max() <= 1


@pytest.mark.parametrize("name", [*SCRIPTS, "component.js", STYLE])
def test_no_file_for_the_browser_names_another_machine(name):
    addresses = set(re.findall(r"https?://[^\s\"'`)]+", static_file(name)))
    assert addresses <= {"http://www.w3.org/1999/xhtml"}
    assert "import(" not in static_file(name)


def test_neither_pages_nor_site_import_what_takes_long():
    modules = "deep3dmap.dashboard.viewer3d, deep3dmap.dashboard.views.compare, deep3dmap.dashboard.site.export"
    code = f"import sys, {modules}; print([n for n in ('torch', 'ray', 'scipy.stats') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
