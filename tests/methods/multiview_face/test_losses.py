"""The encoder's losses, zero for correct predictions and otherwise in known units, and initialisation without an encoder."""

import math

import pytest
import torch

from deep3dmap.core import UserError
from deep3dmap.geometry.cameras import look_at
from deep3dmap.geometry.template import sphere
from deep3dmap.methods.multiview_face.encoder import Encoding
from deep3dmap.methods.multiview_face.fitting import Evidence, project_points
from deep3dmap.methods.multiview_face.losses import rendering_losses, surface_losses, true_pose, view_losses
from deep3dmap.methods.multiview_face.rigid_pose import Cameras, RigidPose, camera_centres
from deep3dmap.methods.multiview_face.visual_start import start_from_masks
from deep3dmap.render.hard import HardRenderer
from deep3dmap.render.renderer import Lights, Surface, View
from deep3dmap.render.soft import SoftRenderer

SIDE, SIZE = 48, 0.2
INTRINSICS = torch.tensor([[90.0, 0, SIDE / 2], [0, 90.0, SIDE / 2], [0, 0, 1]])
POSES = torch.stack([look_at(eye, (0.0, 0.0, 0.0), (0.0, 1.0, 0.0)) for eye in ((0.0, 0, 1), (0.8, 0.1, 0.6))]).float()
CAMERAS = Cameras(INTRINSICS.expand(1, 2, 3, 3), POSES[None], SIDE, SIDE)
PLACE = torch.tensor([[0.02, -0.03, 0.01]])
TURN = RigidPose(torch.tensor([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]]), PLACE)


def encoded(turn: RigidPose, **changes: torch.Tensor) -> Encoding:
    """Predictions of views that know the exact answer."""
    camera_from_world = torch.linalg.inv(POSES)[None]
    inside = (camera_from_world[..., :3, :3] @ turn.translation[:, None, :, None])[..., 0] + camera_from_world[..., :3, 3]
    centre = inside[..., :2] / inside[..., 2:] * 90 / SIDE
    log_size = (90 * SIZE / (inside[..., 2] * SIDE)).log()
    rotation = camera_from_world[..., :3, :3] @ turn.rotation[:, None]
    said = {"rotation": rotation, "centre": centre, "log_size": log_size, "confidence": torch.ones(1, 2), "shared": {}}
    return Encoding(**{**said, **changes})


def test_a_rigid_motion_is_taken_apart() -> None:
    motion = torch.eye(4, dtype=torch.float64)[None]
    motion[:, :3, :3], motion[:, :3, 3] = TURN.rotation, PLACE
    pose = true_pose(motion)
    points = torch.rand(1, 5, 3)
    expected = points @ TURN.rotation.transpose(1, 2) + PLACE
    torch.testing.assert_close(pose.apply(points), expected)


def test_the_right_surface_costs_nothing_and_a_moved_one_its_distance() -> None:
    rest = torch.rand(1, 20, 3) * SIZE
    truth = TURN.apply(rest)
    right = surface_losses(rest, TURN, truth, TURN, SIZE)
    assert all(float(value) < 1e-5 for value in right.values())
    elsewhere = surface_losses(rest, RigidPose(TURN.rotation, PLACE + torch.tensor([[0.02, 0, 0]])), truth, TURN, SIZE)
    # One unit is a tenth of the size.
    assert float(elsewhere["place"]) == pytest.approx(1.0, abs=1e-4)
    assert float(elsewhere["shape"]) < 1e-5
    fatter = surface_losses(rest + torch.tensor([0.005, 0, 0]), TURN, truth, TURN, SIZE)
    assert float(fatter["shape"]) == pytest.approx(1.0, abs=1e-4)


def test_views_are_taught_where_the_subject_is_in_them() -> None:
    present = torch.ones(1, 2, dtype=torch.bool)
    right = view_losses(encoded(TURN), TURN, CAMERAS, present, SIZE)
    assert all(float(value) < 1e-5 for value in right.values())
    said = encoded(TURN)
    wrong = said.centre.clone()
    wrong[0, 1, 0] += 0.1
    losses = view_losses(encoded(TURN, centre=wrong), TURN, CAMERAS, present, SIZE)
    assert float(losses["centre"]) == pytest.approx(5 * 0.1 / 2, abs=1e-5)
    # Absent views do not contribute.
    only_first = torch.tensor([[True, False]])
    assert float(view_losses(encoded(TURN, centre=wrong), TURN, CAMERAS, only_first, SIZE)["centre"]) < 1e-5
    larger = view_losses(encoded(TURN, log_size=said.log_size + math.log(2)), TURN, CAMERAS, present, SIZE)
    assert float(larger["size"]) == pytest.approx(math.log(2), abs=1e-5)


def test_a_view_places_the_subject_by_its_size() -> None:
    centres = camera_centres(encoded(TURN), CAMERAS, SIZE)
    world = POSES[None, :, :3, :3] @ centres[..., None] + POSES[None, :, :3, 3:]
    torch.testing.assert_close(world[0, :, :, 0], PLACE.expand(2, 3), atol=1e-5, rtol=0)


def balls(place: torch.Tensor) -> tuple[list[Evidence], torch.Tensor]:
    """Photographs of a ball at a position, and its vertices."""
    template = sphere(3, SIZE / 2)
    vertices = template.mean() + place
    found = []
    for pose in POSES:
        view = View(INTRINSICS, torch.linalg.inv(pose), SIDE, SIDE)
        seen = HardRenderer(supersample=2).render(Surface(vertices, template.faces), view, Lights(), (0.0, 0.0, 0.0))
        found.append(Evidence(seen.image, seen.silhouette, view))
    return found, vertices


def test_a_fit_without_an_encoder_begins_where_the_masks_meet() -> None:
    evidence, _ = balls(PLACE[0])
    start = start_from_masks(evidence, sphere(3, SIZE / 2))
    # A pixel is 1 / 90 m wide there.
    torch.testing.assert_close(start.translation, PLACE[0], atol=1 / 90, rtol=0)
    assert torch.equal(start.rotation, torch.eye(3))
    with pytest.raises(UserError, match="two views whose masks are not empty"):
        start_from_masks([evidence[0], Evidence(evidence[1].image, torch.zeros(SIDE, SIDE), evidence[1].view)], sphere(3, 0.1))
    with pytest.raises(UserError, match="look along one line"):
        start_from_masks([evidence[0], evidence[0]], sphere(3, 0.1))


def test_points_project_as_the_renderer_draws_them() -> None:
    evidence, vertices = balls(PLACE[0])
    for one in evidence:
        pixels = project_points(vertices, one.view)
        rows, columns = (one.mask > 0.5).nonzero().unbind(1)
        low, high = pixels.min(0).values, pixels.max(0).values
        assert abs(float(low[0]) - float(columns.min())) < 1.5
        assert abs(float(high[1]) - float(rows.max()) - 1) < 1.5


def test_renderings_teach_the_position() -> None:
    template = sphere(3, SIZE / 2)
    evidence, vertices = balls(PLACE[0])
    batch = {
        "images": torch.stack([one.image.clamp(0, 1) for one in evidence])[None],
        "masks": torch.stack([one.mask for one in evidence])[None],
        "intrinsics": CAMERAS.intrinsics,
        "world_from_camera": POSES[None],
    }
    light = torch.zeros(1, 9, 3)
    renderer = SoftRenderer(sigma=1e-4, shading="gouraud", faces_per_pixel=4)

    def loss(shift: float) -> dict[str, torch.Tensor]:
        moved = (vertices + torch.tensor([shift, 0.0, 0.0]))[None]
        return rendering_losses(template, {}, moved, light, batch, torch.tensor([0]), renderer, 2.2)

    at_home, away = loss(0.0), loss(0.04)
    # A sphere has no colour parameters, so only the outline is compared.
    assert at_home.keys() == {"silhouette"}
    assert float(at_home["silhouette"]) < 0.1
    assert float(away["silhouette"]) > 3 * float(at_home["silhouette"])
