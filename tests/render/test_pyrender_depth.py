"""Our rasteriser and pyrender produce the same depth."""

import os
import sys

import numpy as np
import pytest
import torch
import trimesh

from deep3dmap.core import UserError
from deep3dmap.geometry.cameras import look_at
from deep3dmap.render.mesh_renderer import render_mesh
from deep3dmap.render.pyrender_depth import pyrender_depth

INTRINSICS = np.array([[150.0, 0.0, 81.3], [0.0, 140.0, 58.6], [0.0, 0.0, 1.0]])
SPHERE = trimesh.creation.icosphere(subdivisions=4)


def _depth(*arguments: object) -> torch.Tensor:
    try:
        return pyrender_depth(*arguments)  # type: ignore[arg-type]
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("eye", [(3.0, 0.4, 0.3), (0.0, -2.5, 1.5)])
def test_both_renderers_agree_on_a_sphere(eye: tuple[float, float, float]) -> None:
    pose = look_at(eye, (0.0, 0.0, 0.0))
    theirs = _depth(SPHERE.vertices, SPHERE.faces, INTRINSICS, pose, 120, 160)
    ours = render_mesh(SPHERE.vertices, SPHERE.faces, INTRINSICS, pose, 120, 160).depth
    both = (ours > 0) & (theirs > 0)
    assert theirs.shape == ours.shape
    # EGL uses one of several samples off the pixel centre, which matters on steep surfaces.
    exact = os.environ["PYOPENGL_PLATFORM"] == "osmesa"
    assert both.sum() / ((ours > 0) | (theirs > 0)).sum() > (0.999 if exact else 0.98)
    error = (ours - theirs).abs()[both]
    assert error.median() < (1e-4 if exact else 1e-2)
    assert error.quantile(0.99) < (2e-3 if exact else 0.1)


def test_both_renderers_show_faces_from_behind() -> None:
    pose = look_at((3.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    theirs = _depth(SPHERE.vertices, SPHERE.faces[:, ::-1], INTRINSICS, pose, 120, 160)
    assert theirs[58, 81].item() == pytest.approx(2.0, abs=5e-3)


def test_a_mesh_without_faces_is_not_seen() -> None:
    assert not pyrender_depth(np.zeros((0, 3)), np.zeros((0, 3), np.int64), INTRINSICS, np.eye(4), 4, 5).any()


def test_without_pyrender_the_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrender", None)
    with pytest.raises(UserError, match="install pyrender"):
        pyrender_depth(SPHERE.vertices, SPHERE.faces, INTRINSICS, np.eye(4), 4, 5)
