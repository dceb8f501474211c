"""NeRF: the contract of both fields, a fit of a ball, its surface, and errors for unusable views."""

from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.config.schema import FitConfig
from deep3dmap.config.variants import variants
from deep3dmap.core import Camera, UserError
from deep3dmap.core.options import check_options
from deep3dmap.core.registry import methods
from deep3dmap.frameworks import LoopSettings
from deep3dmap.geometry.cameras import look_at
from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.methods.nerf.method import NeRF
from deep3dmap.methods.nerf.options import NeRFConfig, adam
from deep3dmap.methods.nerf.surface import extract_surface, seen_part
from deep3dmap.render.mesh_renderer import render_mesh
from deep3dmap.runs.scene_reconstruction import reconstruct_scene
from deep3dmap.testing import MethodContract
from deep3dmap.train.local_host import LocalHost
from deep3dmap.train.scene_fits import SceneFits, fit_settings

SIDE, RADIUS = 24, 0.5
INTRINSICS = np.array([[30.0, 0, SIDE / 2], [0, 30.0, SIDE / 2], [0, 0, 1]])
VERTICES, FACES = icosphere(3)
COLORS = np.clip(VERTICES / 2 + 0.5, 0, 1)
BOUNDS = np.array([[-0.8] * 3, [0.8] * 3])
SMALL: dict[str, Any] = dict(variants(methods, "nerf")["grid_mini"]["method"]) | {"steps": 400, "grid_samples": 6144}


class TestGridContract(MethodContract):
    method = "nerf/grid_mini"
    dataset = "objects/smoke"
    overrides = ("dataset.objects=1", "dataset.train_views=6", "dataset.image_size=24")


class TestOutdoorContract(MethodContract):
    method = "nerf/grid_mini"
    dataset = "terrain/smoke"
    overrides = ("dataset.train_views=6", "method.space=unbounded", "method.distortion=0.01", "method.view_dependent=false")


def ball(views: int = 12, seed: int = 0) -> dict[str, Any]:
    """A coloured ball over white, seen from all around."""
    rng = np.random.default_rng(seed)
    eyes = rng.standard_normal((views, 3))
    eyes *= 2.2 / np.linalg.norm(eyes, axis=1, keepdims=True)
    poses = np.stack([look_at(eye, (0.0, 0, 0), (0.1, 0.2, 1.0)).numpy() for eye in eyes])
    seen = [render_mesh(RADIUS * VERTICES, FACES, INTRINSICS, pose, SIDE, SIDE, colors=COLORS, supersample=3) for pose in poses]
    return {
        "images": np.stack([one.image.numpy() for one in seen]).astype(np.float32),
        "masks": np.stack([(one.face_id >= 0).float().numpy() for one in seen]),
        "background": np.ones(3, np.float32),
        "intrinsics": np.tile(INTRINSICS, (views, 1, 1)),
        "world_from_camera": poses,
        "bounds": BOUNDS,
    }


def fitted(given: dict[str, Any], folder: Any, **options: Any) -> tuple[NeRF, Any]:
    torch.manual_seed(0)
    method = NeRF(NeRFConfig(**{**SMALL, **options}))
    fits = SceneFits(method, fit_settings(LoopSettings(), FitConfig()), LocalHost(torch.device("cpu")), folder, {})
    return method, reconstruct_scene(method, given, "ball", {}, fits, 0).reconstruction


def test_a_fit_finds_the_ball(tmp_path: Any) -> None:
    """A held-out view beats the best single colour, and surface and depth are close to the sphere."""
    given = ball(13)
    held = {key: value[12] for key, value in given.items() if key not in ("background", "bounds")}
    known = {key: value if key in ("background", "bounds") else value[:12] for key, value in given.items()}
    method, reconstruction = fitted(known, tmp_path)
    with torch.no_grad():
        views = method.render([Camera(held["intrinsics"], held["world_from_camera"], SIDE, SIDE)])
    error = np.square(views.images[0] - held["images"]).mean()
    assert error < 0.2 * held["images"].var((1, 2)).mean()
    inside = held["masks"] > 0.5
    assert views.depth is not None
    assert np.abs(views.depth[0][SIDE // 2, SIDE // 2] - (2.2 - RADIUS)) < 0.15
    assert (views.depth[0][~inside] == 0).mean() > 0.8
    radii = np.linalg.norm(reconstruction.mesh.vertices, axis=1)
    assert np.median(np.abs(radii - RADIUS)) < 0.1


def test_samples_of_a_step_stay_the_same_when_space_empties(tmp_path: Any) -> None:
    method, _ = fitted(ball(), tmp_path, grid_samples=2048, rays=4096)
    model = method.model
    assert model.rays_per_step() > 2 * 2048 / SMALL["grid_march"]
    assert model.rays_per_step() * float(model.samples_per_ray) <= 2048 + float(model.samples_per_ray)


def test_the_surface_of_a_field_is_where_it_is_and_faces_outwards() -> None:
    def density(places: torch.Tensor) -> torch.Tensor:
        return torch.where(places.norm(dim=1) < RADIUS, 1000.0, 0.0)

    mesh = extract_surface(density, lambda places, _: places / 2 + 0.5, torch.tensor(BOUNDS).float(), 40, 0.5)
    radii = np.linalg.norm(mesh.vertices, axis=1)
    assert np.abs(radii - RADIUS).max() < 2 * 1.6 / 40
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((normals * corners.mean(1)).sum(1) > 0).mean() > 0.99
    np.testing.assert_allclose(mesh.colors, mesh.vertices / 2 + 0.5, atol=1e-5)
    seen = seen_part(mesh, INTRINSICS[None], look_at((0.0, 0, 2.2), (0.0, 0, 0), (0, 1, 0)).numpy()[None], SIDE, SIDE, 0.05)
    assert seen.vertices[:, 2].min() > -0.1
    assert len(seen.faces) < 0.6 * len(mesh.faces)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict.fromkeys(("images", "masks", "intrinsics", "world_from_camera"), lambda v: v[:1]), "at least 2 views"),
        ({"images": lambda v: [*v[:11], v[11][:, :12]]}, "have different sizes"),
        ({"masks": lambda v: np.zeros_like(v)}, "all masks are empty"),
        (
            {"masks": lambda v: np.ones_like(v), "world_from_camera": lambda v: np.tile(np.eye(4), (12, 1, 1))},
            "inside the object",
        ),
        ({"world_from_camera": lambda v: v @ np.diag([1.0, -1, -1, 1])}, "no ray of any view meets the bounds"),
        ({"masks": lambda v: v[:, :12]}, "every image needs a mask"),
    ],
)
def test_views_that_cannot_be_fitted_are_named(change: dict[str, Any], message: str, tmp_path: Any) -> None:
    given = ball()
    with pytest.raises(UserError, match=message):
        fitted(given | {key: alter(given[key]) for key, alter in change.items()}, tmp_path)


@pytest.mark.parametrize(
    ("depth", "sizes"),
    [(8, [63, 256, 256, 256, 256, 319, 256, 256]), (4, [63, 256, 256, 319]), (3, [63, 256, 319]), (2, [63, 256])],
)
def test_the_position_enters_again_after_the_fifth_layer_as_in_figure_7(depth: int, sizes: list[int]) -> None:
    model = NeRF(NeRFConfig(depth=depth)).model
    for network in (model.coarse, model.fine):
        assert [layer.in_features for layer in network.trunk] == sizes


def test_each_field_learns_with_the_optimiser_it_was_published_with() -> None:
    paper, grid = adam(NeRFConfig()), adam(NeRFConfig(field="grid"))
    assert (NeRFConfig().rays, paper.lr, paper.betas, paper.eps) == (4096, 5e-4, [0.9, 0.999], 1e-7)
    assert (grid.betas, grid.eps) == ([0.9, 0.99], 1e-15)


def test_options_that_make_no_sense_are_refused() -> None:
    refused: list[dict[str, Any]] = [{"field": "voxels"}, {"space": "sphere"}, {"mesh_opacity": 1.0}, {"near": 0.0}]
    refused += [{name: 0} for name in ("steps", "rays", "coarse", "fine", "grid_every", "mesh_resolution")]
    for options in refused:
        with pytest.raises(UserError, match=f"method.{next(iter(options))}"):
            check_options(NeRFConfig, options, "method.")
    with pytest.raises(UserError, match="near must be less than"):
        NeRF(NeRFConfig(near=2.0, far=1.0))
