"""`render` as run by a user: textured OBJ, PLY and GLB, options, JSON, and one clear line for each error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deep3dmap.cli import main
from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.render import renderers
from deep3dmap.render.mesh_files import read_surface

Captured = pytest.CaptureFixture[str]
FAST = ("size=48", "renderers=[hard,soft]")
SQUARE = "v -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\n"


@pytest.fixture
def square(tmp_path: Path) -> Path:
    """An OBJ with a texture that is red above and blue below."""
    from PIL import Image

    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4, :, 0], picture[4:, :, 2] = 255, 255
    Image.fromarray(picture).save(tmp_path / "paint.png")
    (tmp_path / "square.mtl").write_text("newmtl paint\nKd 1 1 1\nmap_Kd -s 1 1 1 paint.png\n")
    corners = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nusemtl paint\nf 1/1 2/2 3/3 4/4\n"
    (tmp_path / "square.obj").write_text("mtllib square.mtl\n" + SQUARE + corners)
    return tmp_path / "square.obj"


def mesh(file: Path, colored: bool = True) -> Path:
    import trimesh

    vertices, faces = icosphere(2)
    colors = ((vertices * 0.5 + 0.5) * 255).astype(np.uint8) if colored else None
    trimesh.Trimesh(vertices, faces, vertex_colors=colors, process=False).export(file)
    return file


def pixels(file: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))


def test_every_renderer_draws_the_same_mesh(tmp_path: Path) -> None:
    """In a separate process, because OpenGL and the number of threads are set per process."""
    file = mesh(tmp_path / "ball.ply")
    command = [sys.executable, "-m", "deep3dmap.cli", "render", str(file), "size=64", "volume.resolution=24", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["vertices"], report["faces"]) == (162, 320)
    assert {"hard", "soft", "neural_mesh", "volume"} <= set(report["renderers"])
    assert set(report["renderers"]) | set(report["absent"]) == {
        "hard",
        "soft",
        "neural_mesh",
        "pyrender",
        "pytorch3d",
        "volume",
    }
    for name, row in report["renderers"].items():
        assert row["seconds"] > 0
        assert row["silhouette_iou"] > 0.85, name
        assert row["depth_difference"] < 0.1, name
    assert all(report["absent"].values())
    picture = pixels(tmp_path / "ball_renderers.png")
    assert picture.shape[0] > 4 * 64
    assert picture.shape[1] > len(report["renderers"]) * 64


def test_the_texture_of_an_obj_is_drawn_the_right_way_up(square: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "out.png"
    command = ["render", str(square), "-o", str(out), "renderers=[hard]", "size=64", "azimuth=0", "elevation=0"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "square.obj: 4 vertices, 2 triangles" in printed
    assert f"picture in {out}" in printed
    image = pixels(out).astype(int)
    red, blue = (np.argwhere((image[..., one] - image[..., other] > 90)[:110]) for one, other in ((0, 2), (2, 0)))
    assert len(red) > 500
    assert len(blue) > 500
    assert red[:, 0].mean() < blue[:, 0].mean() - 10


def test_every_line_is_whole_in_a_pipe(square: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    why = "no display, " * 12 + "at all"
    named = square.rename(square.with_name(f"{'square_' * 14}.obj"))
    monkeypatch.setattr(renderers, "available", lambda: {name: "" if name == "hard" else why for name in renderers.names()})
    assert main(["render", str(named), "-o", str(tmp_path / "out.png"), "size=32"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"{named.name}: 4 vertices, 2 triangles, 32 x 32 pixels" in lines
    assert f"pyrender is unavailable: {why}" in lines


def test_the_mesh_is_turned(square: Path, tmp_path: Path) -> None:
    pictures = []
    for number, turn in enumerate(("azimuth=0", "azimuth=60", "elevation=60", "up=z", "projection=orthographic")):
        out = tmp_path / f"{number}.png"
        assert main(["render", str(square), "-o", str(out), "renderers=hard", "size=32", turn]) == 0
        pictures.append(pixels(out).tobytes())
    assert len(set(pictures)) == 5


@pytest.mark.parametrize("suffix", [".glb", ".ply", ".obj"])
def test_formats(tmp_path: Path, suffix: str, capsys: Captured) -> None:
    file = mesh(tmp_path / f"ball{suffix}", colored=suffix != ".obj")
    assert main(["render", str(file), "-o", str(tmp_path / "out.jpg"), *FAST, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["faces"] == 320
    surface = read_surface(file)
    assert (surface.colors is None) == (suffix == ".obj")
    if surface.colors is not None:
        np.testing.assert_allclose(surface.colors, surface.vertices * 0.5 + 0.5, atol=5e-3)


def test_a_glb_keeps_its_texture(square: Path, tmp_path: Path) -> None:
    import trimesh
    from PIL import Image

    original = read_surface(square)
    assert original.uv is not None
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.open(square.parent / "paint.png"))
    visual = trimesh.visual.TextureVisuals(uv=original.uv.numpy(), material=material)
    trimesh.Trimesh(original.vertices, original.faces, visual=visual, process=False).export(tmp_path / "square.glb")
    surface = read_surface(tmp_path / "square.glb")
    assert surface.texture is not None
    assert original.texture is not None
    assert surface.uv is not None
    np.testing.assert_allclose(surface.texture, original.texture, atol=0.01)
    above = surface.vertices[:, 1] > 0
    assert (surface.uv[above, 1] == 1).all()
    assert (surface.uv[~above, 1] == 0).all()


def test_options_of_a_renderer(square: Path, tmp_path: Path, capsys: Captured) -> None:
    assert main(["render", str(square), "-o", str(tmp_path / "a.png"), *FAST, "soft.sigma=1e-6", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["renderers"]["soft"]["options"]["sigma"] == 1e-6


def test_a_real_textured_mesh(shared_data: Path, tmp_path: Path, capsys: Captured) -> None:
    cow = shared_data / "data" / "meshes" / "spot_cow" / "cow.obj"
    given = ["renderers=[hard,neural_mesh]", "size=96", "azimuth=150"]
    assert main(["render", str(cow), "-o", str(tmp_path / "cow.png"), *given, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["vertices"], report["faces"]) == (2930, 5856)
    assert report["renderers"]["neural_mesh"]["silhouette_iou"] > 0.97
    colors = pixels(tmp_path / "cow.png")[:130].reshape(-1, 3).astype(int)
    # Its muzzle and horns; grey without its texture.
    assert ((colors[:, 0] - colors[:, 2]) > 40).sum() > 200


def complaint(capsys: Captured) -> str:
    said = capsys.readouterr().err.strip()
    assert said.startswith("deep3dmap: ")
    assert "\n" not in said
    return said


FILES = {
    "empty.obj": (SQUARE, "without faces"),
    "blank.obj": ("", "without faces"),
    "nan.obj": (SQUARE + "v nan 0 0\nf 1 2 5\n", "1 vertices are not finite numbers, the first is vertex 4"),
    "range.obj": (SQUARE + "f 1 2 9\n", "not in the file"),
    "words.obj": (SQUARE + "f one two three\n", "line 5 is not valid OBJ"),
    "lonely.obj": ("mtllib gone.mtl\n" + SQUARE + "f 1 2 3\n", "its material file gone.mtl is not in the same folder"),
    "garbage.ply": ("not a mesh at all", "not a readable mesh"),
    "garbage.glb": ("not a mesh at all", "not a readable mesh"),
    "mesh.xyzzy": ("?", "not a readable mesh"),
    "empty.ply": (
        "ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 0\nproperty list uchar int vertex_indices\nend_header\n", "an empty mesh",
    ),
    "range.ply": (
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n",
        "faces index vertices 0..7, but there are only 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FILES))
def test_bad_files(tmp_path: Path, capsys: Captured, name: str) -> None:
    content, expected = FILES[name]
    (tmp_path / name).write_text(content)
    assert main(["render", str(tmp_path / name), "-o", str(tmp_path / "out.png"), *FAST]) == 2
    said = complaint(capsys)
    assert expected in said
    assert name in said
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["gone.obj"], "gone.obj: no such file"),
        (["."], "a folder, not a mesh file"),
        ([], "the following arguments are required: mesh"),
        (["square.obj", "renderers=[hrad]"], "unknown renderer 'hrad'; did you mean 'hard'?"),
        (["square.obj", "renderers=[]"], "a list of renderers"),
        (["square.obj", "rendrers=[hard]"], "unknown argument 'rendrers'; did you mean 'renderers'?"),
        (["square.obj", "renderers=[soft]", "soft.sgima=1"], "unknown option of renderer soft 'sgima'; did you mean 'sigma'?"),
        (["square.obj", "renderers=[soft]", "soft.sigma=-1"], "sigma and gamma must be positive"),
        (["square.obj", "renderers=[soft]", "soft.sigma=wide"], "soft.sigma=wide: expected a number"),
        (["square.obj", "renderers=[soft]", "soft.faces_per_pixel=2.5"], "soft.faces_per_pixel=2.5: expected a whole number"),
        (["square.obj", "renderers=[hard]", "hard.shading=gourad"], "hard.shading=gourad: must be one of phong, gouraud, flat"),
        (
            ["square.obj", "renderers=[soft]", "soft.faces_per_pixel=99"],
            "renderer soft: faces_per_pixel must lie between 1 and 64",
        ),
        (["square.obj", "renderers=[hard]", "soft.sigma=1"], "renderer soft is not in use"),
        (["square.obj", "size=0"], "size=0"),
        (["square.obj", "size=big"], "size=big: expected a number"),
        (["square.obj", "elevation=100"], "degrees from -90 to 90"),
        (["square.obj", "up=x"], "unknown up 'x'"),
        (["square.obj", "projection=fisheye"], "unknown projection 'fisheye'"),
        (["square.obj", "-o", "nowhere/out.png"], "there is no folder nowhere"),
        (["square.obj", "-o", "out.txt"], "a .png or .jpg file"),
    ],
)
def test_mistakes(square: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, arguments: list[str], expected: str) -> None:
    monkeypatch.chdir(square.parent)
    assert main(["render", *arguments]) == 2
    assert expected in complaint(capsys)


def test_a_texture_that_is_missing_or_twofold(square: Path, capsys: Captured) -> None:
    (square.parent / "paint.png").unlink()
    assert main(["render", str(square), *FAST]) == 2
    assert "its texture paint.png cannot be read" in complaint(capsys)
    (square.parent / "square.mtl").write_text("newmtl a\nmap_Kd a.png\nnewmtl b\nmap_Kd b.png\n")
    assert main(["render", str(square), *FAST]) == 2
    assert "2 textures" in complaint(capsys)


def test_an_absent_library_is_named(square: Path, capsys: Captured) -> None:
    pytest.importorskip("torch")
    from deep3dmap.render.renderers import available

    if available()["pytorch3d"] is None:
        pytest.skip("pytorch3d is installed")
    assert main(["render", str(square), "renderers=[pytorch3d]"]) == 2
    assert "build it from source" in complaint(capsys)


def test_help_teaches(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["render", "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "deep3dmap render cow.obj" in said
    assert "renderers=[a,b]" in said
