import pytest
import torch

from deep3dmap.geometry.cameras import invert, look_at
from deep3dmap.nn.radiance.hash_grid_field import HashGridEncoding, HashGridField, truncated_exp
from deep3dmap.nn.radiance.occupancy import OccupancyGrid
from deep3dmap.nn.radiance.packed_rendering import drop_hidden, march_and_render, render_packed
from deep3dmap.nn.radiance.rays import camera_image_rays
from deep3dmap.nn.radiance.scene_box import SceneBox
from deep3dmap.render.renderer import FieldSamples
from deep3dmap.render.volume import Rays

BOX = [[-2.0, -1, 0], [2, 3, 2]]
INTRINSICS = torch.tensor([[40.0, 0, 16], [0, 40, 16], [0, 0, 1]])


class Ball:
    """An opaque ball of one colour around a point."""

    def __init__(self, centre: torch.Tensor, radius: float) -> None:
        self.centre, self.radius = centre, radius

    def density(self, positions: torch.Tensor) -> torch.Tensor:
        return 200.0 * ((positions - self.centre).norm(dim=1) < self.radius)

    def __call__(self, positions: torch.Tensor, directions: torch.Tensor) -> FieldSamples:
        return FieldSamples(self.density(positions), torch.tensor([0.2, 0.4, 0.8]).expand(len(positions), 3))


@pytest.mark.parametrize("contracted", [False, True])
def test_the_cube_and_the_world_are_inverse(contracted: bool) -> None:
    box = SceneBox(BOX, contracted)
    places = torch.rand(300, 3, generator=torch.Generator().manual_seed(0)) * 0.98 + 0.01
    torch.testing.assert_close(box.to_cube(box.from_cube(places)), places, atol=1e-5, rtol=0)
    corner = box.to_cube(torch.tensor(BOX))
    assert corner.tolist() == ([[0.25] * 3, [0.75] * 3] if contracted else [[0.0] * 3, [1.0] * 3])


def test_an_empty_box_is_refused() -> None:
    with pytest.raises(ValueError, match="lowest and the highest corner"):
        SceneBox([[0.0, 0, 0], [1, 0, 1]])


@pytest.mark.parametrize("contracted", [False, True])
def test_occupied_cells_are_those_of_the_ball(contracted: bool) -> None:
    box, generator = SceneBox(BOX, contracted), torch.Generator().manual_seed(0)
    ball = Ball(torch.tensor([0.5, 1.0, 1.0]), 0.7)
    grid = OccupancyGrid(box, 32, 0.02, cone=0.01 if contracted else 0.0)
    for _ in range(3):
        grid.update(ball.density, generator)
    centres = box.from_cube((torch.stack(torch.meshgrid(*[torch.arange(32)] * 3, indexing="ij"), -1) + 0.5) / 32)
    away = (centres - ball.centre).norm(dim=-1)
    assert grid.occupied[away < 0.4].all()
    assert not grid.occupied[away > 1.1].any()
    grid.update(lambda points: torch.zeros(len(points)), generator)
    assert grid.occupied.any()  # earlier density decays slowly
    for _ in range(200):
        grid.update(lambda points: torch.zeros(len(points)), generator)
    assert not grid.occupied[away > 1.1].any()


def test_a_ball_is_drawn_where_it_is_and_hidden_samples_are_left_out() -> None:
    ball, grid = Ball(torch.tensor([0.5, 1.0, 1.0]), 0.7), OccupancyGrid(SceneBox(BOX), 32, 0.01)
    grid.update(ball.density, torch.Generator().manual_seed(0))
    pose = look_at((0.5, 1.0, 5.0), (0.5, 1.0, 1.0), up=(0.0, 1.0, 0.0))
    rays = camera_image_rays(32, 32, INTRINSICS, pose)
    drawn = march_and_render(ball, grid, rays, 0.0, 10.0, chunk=300)
    opacity = drawn.opacity.view(32, 32)
    assert opacity[16, 16] == pytest.approx(1, abs=1e-3)
    assert opacity[0, 0] == 0
    assert drawn.depth.view(32, 32)[16, 16] == pytest.approx(3.3, abs=0.02)
    # The ball subtends asin(0.7 / 4) on either side.
    radius = 40 * 0.7 / (4**2 - 0.7**2) ** 0.5
    assert float(opacity.sum()) == pytest.approx(3.14159 * radius**2, rel=0.05)
    samples = grid.march(rays, 0.0, 10.0)
    fewer = drop_hidden(ball, rays, samples)
    assert len(fewer.distances) < 0.2 * len(samples.distances)
    torch.testing.assert_close(render_packed(ball, rays, fewer).color, drawn.color, atol=1e-4, rtol=0)


def test_cells_that_no_camera_sees_stay_empty() -> None:
    grid = OccupancyGrid(SceneBox(BOX), 16, 0.05)
    pose = look_at((0.0, 1.0, 1.0), (2.0, 1.0, 1.0))
    grid.drop_unseen(INTRINSICS[None], invert(pose)[None], 32, 32)
    grid.update(lambda points: torch.full((len(points),), 100.0), torch.Generator().manual_seed(0))
    assert not grid.occupied[:7].any()
    assert grid.occupied[12, 8, 8]


def test_a_near_cell_that_reaches_into_the_picture_is_kept() -> None:
    # Directly in front of the camera a cell is wider than the image, so its centre is far outside it.
    grid = OccupancyGrid(SceneBox([[-1.0, -1, -1], [1, 1, 1]]), 2, 0.05)
    pose = look_at((-1.0, -0.1, -0.1), (0.0, -0.1, -0.1))
    grid.drop_unseen(torch.tensor([[[64.0, 0, 16], [0, 64, 16], [0, 0, 1]]]), invert(pose)[None].float(), 32, 32)
    assert grid.seen[:, 0, 0].all()
    assert grid.seen.all()
    narrow = OccupancyGrid(SceneBox([[-1.0, -1, -1], [1, 1, 1]]), 16, 0.05)
    narrow.drop_unseen(torch.tensor([[[64.0, 0, 16], [0, 64, 16], [0, 0, 1]]]), invert(pose)[None].float(), 32, 32)
    assert narrow.seen[0, 6:8, 6:8].all()
    assert not narrow.seen[0, :5].any()
    assert not narrow.seen[:, :, 12:].any()


def test_every_point_that_a_camera_shows_lies_in_a_cell_it_sees() -> None:
    # Also with contraction, where cells grow with distance.
    random = torch.Generator().manual_seed(0)
    for contracted in (False, True):
        grid = OccupancyGrid(SceneBox([[-1.0, -1, -1], [1, 1, 1]], contracted), 12, 0.05)
        pose = look_at((0.7, -2.0, 0.4), (0.0, 0.0, 0.3))
        intrinsics = torch.tensor([[40.0, 0, 16], [0, 40, 16], [0, 0, 1]])
        grid.drop_unseen(intrinsics[None], invert(pose)[None].float(), 32, 32)
        depth = torch.rand(4000, 1, generator=random) * (8 if contracted else 4)
        pixels = torch.rand(4000, 2, generator=random) * 32
        ahead = torch.cat([(pixels - 16) / 40, torch.ones(4000, 1)], 1) * depth
        places = grid.box.to_cube(ahead @ pose[:3, :3].T.float() + pose[:3, 3].float())
        within = ((places > 0) & (places < 1)).all(1)
        cells = (places[within] * 12).long()
        assert within.sum() > 300
        assert grid.seen[cells[:, 0], cells[:, 1], cells[:, 2]].all()
        assert not grid.seen.all()


def test_a_field_answers_everywhere_and_its_gradients_are_finite() -> None:
    torch.manual_seed(0)
    field = HashGridField(SceneBox(BOX, contracted=True), HashGridEncoding(4, 64, 4, 10), hidden=16)
    points = torch.randn(50, 3) * 100
    found = field(points, torch.nn.functional.normalize(torch.randn(50, 3), dim=1))
    assert (found.density > 0).all()
    torch.testing.assert_close(found.density, field.density(points))
    assert ((found.color >= 0) & (found.color <= 1)).all()
    (found.density.sum() + found.color.sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in field.parameters())


def test_truncated_exp_has_the_value_of_exp_and_a_gradient_that_stays_finite() -> None:
    values = torch.tensor([-20.0, 0.0, 3.0, 100.0]).requires_grad_()
    result = truncated_exp(values)
    torch.testing.assert_close(result[:3], values[:3].exp())
    assert result.isfinite().all()
    result.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad[1:3], values.detach()[1:3].exp())
    assert values.grad.isfinite().all()


def test_a_small_field_learns_a_ball() -> None:
    """Eight views of a ball over random backgrounds: the colour of a held-out view comes close."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    box = SceneBox([[-1.0] * 3, [1.0] * 3])
    ball, field = Ball(torch.zeros(3), 0.6), HashGridField(box, HashGridEncoding(8, 16, 2, 12), hidden=16)
    full, grid = OccupancyGrid(box, 16, 0.05), OccupancyGrid(box, 16, 0.06)
    eyes = torch.nn.functional.normalize(torch.randn(9, 3, generator=generator), dim=1) * 3
    views = [camera_image_rays(16, 16, INTRINSICS / 2, look_at(eye, (0.0, 0, 0))) for eye in eyes]
    truth = [march_and_render(ball, full, view, 0.0, 10.0) for view in views]
    rays = Rays(torch.cat([view.origins for view in views[:8]]), torch.cat([view.directions for view in views[:8]]))
    color, opacity = (torch.cat([getattr(one, name) for one in truth[:8]]) for name in ("color", "opacity"))
    optimizer = torch.optim.Adam(field.parameters(), 1e-2, eps=1e-15)
    for step in range(60):
        if step % 8 == 0:
            grid.update(field.density, generator)
        some = torch.randint(len(color), (256,), generator=generator)
        chosen, backdrop = Rays(rays.origins[some], rays.directions[some]), torch.rand(256, 3, generator=generator)
        drawn = render_packed(field, chosen, grid.march(chosen, 0.0, 10.0, generator))
        wanted = color[some] + (1 - opacity[some])[:, None] * backdrop
        loss = (drawn.color + (1 - drawn.opacity)[:, None] * backdrop - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seen = march_and_render(field, grid, views[8], 0.0, 10.0)
    error = (seen.color - truth[8].color).square().mean()
    assert error < 0.01
    assert error < 0.2 * truth[8].color.square().mean()
