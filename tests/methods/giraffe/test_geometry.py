"""Rays, boxes, composition and encodings of GIRAFFE, compared with closed forms."""

import math

import numpy as np
import pytest
import torch

from deep3dmap.methods.giraffe.bounding_boxes import BoxConfig, Boxes, boxes_from_units, into_boxes, rotation_about_z
from deep3dmap.methods.giraffe.camera_sampling import (
    CameraConfig,
    cast_rays,
    inverse_intrinsics,
    jitter_depths,
    look_at_origin,
    on_sphere,
    pixel_grid,
    poses_from_units,
    sample_poses,
)
from deep3dmap.methods.giraffe.composition import ray_weights, share_by_density, share_to_densest
from deep3dmap.methods.giraffe.feature_field import FeatureField, FieldConfig, encode
from deep3dmap.methods.giraffe.neural_renderer import Blur, NeuralRenderer


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_places_on_the_sphere() -> None:
    azimuth, height = torch.tensor([0.0, 0.25, 0.5, 0.1]), torch.tensor([0.5, 0.5, 0.5, 0.0])
    expected = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    torch.testing.assert_close(on_sphere(azimuth, height), expected, atol=1e-6, rtol=0)


def test_cameras_are_as_dense_everywhere_on_their_part_of_the_sphere() -> None:
    config = CameraConfig(azimuth=(0.0, 1.0), height=(0.1, 0.5), radius=(2.0, 2.0))
    eyes = sample_poses(config, 4000, random())[:, :3, 3]
    # Zones of equal height have equal areas.
    counts = torch.histc(eyes[:, 2] / 2, 4, 0.0, 0.8)
    assert counts.sum() == 4000
    assert ((counts - 1000).abs() < 120).all()


def test_units_are_shares_of_the_ranges() -> None:
    config = CameraConfig(azimuth=(0.25, 0.75), height=(0.5, 0.5), radius=(1.0, 3.0))
    poses = poses_from_units(config, torch.tensor([[0.0, 0.3, 0.0], [1.0, 0.3, 1.0]]))
    torch.testing.assert_close(poses[:, :3, 3], torch.tensor([[0.0, 1, 0], [0, -3, 0]]), atol=1e-6, rtol=0)


def test_axes_of_a_batch_depend_on_the_other_cameras_only_in_the_official_way() -> None:
    eyes = torch.tensor([[2.0, 0, 1], [0, 6.0, 2]])
    for index in range(2):
        alone = look_at_origin(eyes[index : index + 1])[0]
        torch.testing.assert_close(look_at_origin(eyes)[index], alone)
        torch.testing.assert_close(alone.T @ alone, torch.eye(3), atol=1e-6, rtol=0)
    # The nearer camera's axes are divided by the length of the farther one's.
    lengths = look_at_origin(eyes, "batch").norm(dim=1)
    assert lengths[0, 2] == pytest.approx(float(eyes[0].norm() / eyes[1].norm()))
    assert lengths[1, 2] == pytest.approx(1)


def test_rays_of_the_border_pixels_bound_the_field_of_view() -> None:
    pose = poses_from_units(CameraConfig(height=(0.4, 0.4)), torch.zeros(1, 3))
    rays = cast_rays(inverse_intrinsics(60.0), pose, 5)
    assert rays.directions.shape == (1, 5, 5, 3)
    seen = rays.directions[0] @ pose[0, :3, :3]
    # Camera axes: x right, y up, z backward; 1 along the optical axis.
    torch.testing.assert_close(seen[..., 2], -torch.ones(5, 5))
    edge = math.tan(math.radians(30))
    torch.testing.assert_close(seen[0, :, 0], torch.linspace(-edge, edge, 5))
    torch.testing.assert_close(seen[:, 0, 1], torch.linspace(edge, -edge, 5))
    torch.testing.assert_close(-rays.origins[0] / rays.origins[0].norm(), rays.directions[0, 2, 2], atol=1e-6, rtol=0)
    assert pixel_grid(3)[0].tolist() == [[-1, 1], [0, 1], [1, 1]]


def test_a_box_is_the_cube_in_its_own_frame() -> None:
    turn = rotation_about_z(torch.tensor([[0.25]]))
    boxes = Boxes(torch.tensor([[[2.0, 0.5, 1.0]]]), torch.tensor([[[1.0, 0, 0]]]), turn)
    # Rotated by a quarter turn, the box's x axis is evaluated along the world's -y.
    points = torch.tensor([[[1.0, 0, 0], [1.0, -2, 0], [1.5, 0, 0], [1.0, 0, -1]]])
    expected = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, -1]])
    torch.testing.assert_close(into_boxes(points, boxes)[0, 0], expected, atol=1e-6, rtol=0)


def test_ends_of_ranges_and_a_plane_that_all_stand_on() -> None:
    config = BoxConfig(2, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), (-1, -2, -3), (1, 2, 3), rotation=(0.0, 0.5), plane=0.25)
    units = torch.tensor([0.0, 1.0])[None, :, None]
    boxes = boxes_from_units(config, units, units.expand(1, 2, 3), units[..., 0])
    torch.testing.assert_close(boxes.scale[0], torch.tensor([[0.1, 0.2, 0.3], [0.5, 0.6, 0.7]]))
    torch.testing.assert_close(boxes.translation[0], torch.tensor([[-1.0, -2, 0.25], [1, 2, 0.25]]))
    torch.testing.assert_close(boxes.rotation[0, 1], torch.diag(torch.tensor([-1.0, -1, 1])), atol=1e-6, rtol=0)


def test_shares_are_of_the_whole_density_or_all_of_the_densest() -> None:
    density = torch.rand(3, 4, 5, generator=random())
    density[:, 0, 0] = 0
    total, shares = share_by_density(density)
    torch.testing.assert_close(total, density.sum(0))
    torch.testing.assert_close(shares * total, density)
    assert (shares[:, 0, 0] == 0).all()
    largest, chosen = share_to_densest(density)
    torch.testing.assert_close(largest, density.amax(0))
    assert (chosen.sum(0) == 1).all()
    torch.testing.assert_close((chosen * density).sum(0), largest)
    alone, share = share_by_density(density[:1])
    assert torch.equal(alone, density[0])
    assert (share == 1).all()


def test_a_uniform_medium_absorbs_by_the_law_of_beer_and_lambert() -> None:
    depths = torch.linspace(1, 3, 9).expand(2, 9)
    directions = torch.tensor([[0.0, 0, -1], [0.5, 0, -1]])
    weights = ray_weights(torch.full((2, 9), 0.4), depths, directions, last_step=0.0)
    # With a direction longer than 1, a depth of 2 corresponds to a proportionally longer distance.
    expected = 1 - torch.exp(-0.4 * 2 * directions.norm(dim=1))
    torch.testing.assert_close(weights.sum(1), expected)
    torch.testing.assert_close(ray_weights(torch.full((2, 9), 0.4), depths, directions).sum(1), torch.ones(2))


def test_jittered_depths_stay_between_their_neighbours() -> None:
    depths = torch.tensor([1.0, 2, 4, 8]).expand(500, 4)
    moved = jitter_depths(depths, torch.rand(500, 4, generator=random()))
    low, high = torch.tensor([1.0, 1.5, 3, 6]), torch.tensor([1.5, 3, 6, 8])
    assert ((moved >= low) & (moved <= high)).all()
    assert (moved.diff(dim=1) >= 0).all()
    np.testing.assert_allclose(moved.mean(0), (low + high) / 2, atol=0.1)


def test_encodings_are_sines_and_cosines_of_doubled_angles() -> None:
    value = torch.tensor([[0.125, -0.5]])
    angles = [math.pi * octave * x for octave in (1, 2, 4) for x in (0.125, -0.5)]
    expected = []
    for octave in range(3):
        pair = angles[2 * octave : 2 * octave + 2]
        expected += [math.sin(one) for one in pair] + [math.cos(one) for one in pair]
    torch.testing.assert_close(encode(value, 3)[0], torch.tensor(expected), atol=1e-6, rtol=0)


def test_a_field_does_not_mind_how_its_points_are_grouped() -> None:
    torch.manual_seed(0)
    field = FeatureField(FieldConfig(6, 12, 4, (1,), 5, position_octaves=3, direction_octaves=2))
    points, directions = torch.randn(12, 3, generator=random()), torch.randn(4, 3, generator=random(1))
    shape, appearance = torch.randn(2, 2, 6, generator=random(2))
    density, features = field(points, directions, shape, appearance)
    order = torch.randperm(12, generator=random(3))
    named = field(points[order], directions, shape, appearance, order // 6, order // 3)
    torch.testing.assert_close(named[0], density[order])
    torch.testing.assert_close(named[1], features[order])
    # Only the orientation of a direction matters, and appearance does not affect density.
    torch.testing.assert_close(field(points, 3 * directions, shape, appearance)[1], features)
    torch.testing.assert_close(field(points, directions, shape, appearance.flip(0))[0], density)
    assert not torch.allclose(field(points, directions, shape, appearance.flip(0))[1], features)


def test_a_blur_keeps_planes_and_spreads_a_point() -> None:
    ramp = torch.arange(7.0).expand(1, 1, 7, 7)
    torch.testing.assert_close(Blur()(ramp)[..., 1:-1], ramp[..., 1:-1])
    point = torch.zeros(1, 2, 5, 5)
    point[0, 1, 2, 2] = 16
    blurred = Blur()(point)
    assert blurred[0, 1, 1:4, 1:4].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert blurred[0, 0].abs().sum() == 0


@pytest.mark.parametrize(("doublings", "fewest"), [(1, 8), (3, 4)])
def test_the_neural_renderer_doubles_and_moves_nothing_far(doublings: int, fewest: int) -> None:
    torch.manual_seed(0)
    network = NeuralRenderer(16, doublings, fewest)
    features = torch.zeros(2, 16, 8, 8)
    features[1, :, 2, 5] = 3
    with torch.no_grad():
        pictures = network(features)
    side = 8 << doublings
    assert pictures.shape == (2, 3, side, side)
    assert min(layer.out_channels for layer in network.conv_layers) >= fewest
    changed = (pictures[0] - pictures[1]).abs().amax(0) > 1e-6
    rows, columns = changed.nonzero(as_tuple=True)
    scale = 1 << doublings
    # A change of one feature affects pixels up to three features away.
    assert rows.max() < (2 + 1 + 3) * scale
    assert columns.min() >= (5 - 3) * scale
