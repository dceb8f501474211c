"""The encoder, and the fusion of the views' predictions."""

import pytest
import torch
from torch import Tensor

from deep3dmap.geometry.cameras import look_at
from deep3dmap.methods.multiview_face.encoder import (
    EncoderConfig,
    Encoding,
    MultiViewEncoder,
    crops,
    rotation_from_6d,
    subject_boxes,
)
from deep3dmap.methods.multiview_face.losses import RigidPose, view_losses
from deep3dmap.methods.multiview_face.rigid_pose import Cameras, fuse_poses

SIDE, FOCAL, SIZE = 64, 80.0, 0.3


@pytest.fixture
def encoder() -> MultiViewEncoder:
    torch.manual_seed(0)
    network = MultiViewEncoder(EncoderConfig({"identity": 5, "light": 9}, width=8, blocks=(1, 1)))
    for head in (network.view_head, network.shared_head):
        torch.nn.init.normal_(head[-1].weight, 0, 0.1)
    return network.eval()


def _pictures(views: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(1, views, 3, 32, 32, generator=generator), torch.rand(1, views, 32, 32, generator=generator)


def test_the_order_of_the_views_does_not_matter(encoder: MultiViewEncoder) -> None:
    images, masks = _pictures(4)
    present = torch.tensor([[True, True, False, True]])
    order = [2, 0, 3, 1]
    first, second = encoder(images, masks, present), encoder(images[:, order], masks[:, order], present[:, order])
    for name in ("identity", "light"):
        torch.testing.assert_close(first.shared[name], second.shared[name])
    torch.testing.assert_close(first.rotation[:, order], second.rotation)


def test_a_view_that_is_left_out_counts_nothing(encoder: MultiViewEncoder) -> None:
    images, masks = _pictures(3)
    present = torch.tensor([[True, True, False]])
    other = images.clone()
    other[:, 2] = 0
    torch.testing.assert_close(encoder(images, masks, present).shared, encoder(other, masks, present).shared)
    with pytest.raises(ValueError, match="without any view"):
        encoder(images, masks, torch.zeros(1, 3, dtype=torch.bool))


def test_the_first_prediction_is_the_mean_upright_in_the_middle() -> None:
    network = MultiViewEncoder(EncoderConfig({"identity": 5}, width=8, blocks=(1,))).eval()
    encoding = network(*_pictures(2), torch.ones(1, 2, dtype=torch.bool))
    assert encoding.shared["identity"].abs().max() < 0.1
    assert encoding.centre.abs().max() < 0.1
    torch.testing.assert_close(encoding.rotation, torch.diag(torch.tensor([1.0, -1, -1])).expand(1, 2, 3, 3), atol=0.1, rtol=0)


def test_a_crop_holds_the_subject_wherever_it_is() -> None:
    ramp = torch.stack(torch.meshgrid(torch.arange(40) + 0.5, torch.arange(60) + 0.5, indexing="ij")).flip(0)[None]
    masks = torch.zeros(2, 40, 60)
    masks[0, 10:20, 30:50] = 1
    boxes = subject_boxes(masks, room=1.0)
    torch.testing.assert_close(boxes[0] * 60, torch.tensor([40 - 30, 15 - 20, 20.0]))
    torch.testing.assert_close(boxes[1] * 60, torch.tensor([0, 0, 60.0]))
    found = crops(ramp.float(), boxes[:1], 10)[0]
    torch.testing.assert_close(found[0, 0], torch.arange(10) * 2 + 31.0)
    torch.testing.assert_close(found[1, :, 0], torch.arange(10) * 2 + 6.0)


def test_a_subject_elsewhere_in_the_picture_is_the_same_subject_elsewhere() -> None:
    torch.manual_seed(0)
    network = MultiViewEncoder(EncoderConfig({"identity": 5}, width=8, crop_size=32, blocks=(1,))).eval()
    images, masks = torch.zeros(1, 2, 3, 64, 64), torch.zeros(1, 2, 64, 64)
    blob = torch.rand(3, 20, 20)
    for view, (row, column) in enumerate(((10, 8), (30, 40))):
        images[0, view, :, row : row + 20, column : column + 20] = blob
        masks[0, view, row : row + 20, column : column + 20] = 1
    centre = network(images, masks, torch.ones(1, 2, dtype=torch.bool)).centre[0]
    torch.testing.assert_close(centre[1] - centre[0], torch.tensor([32 / 64, 20 / 64]), atol=5e-3, rtol=0)


def _true_encoding(pose: RigidPose, cameras: Cameras) -> Encoding:
    """Predictions of a perfect encoder."""
    camera_from_world = torch.linalg.inv(cameras.world_from_camera)
    rotation = camera_from_world[..., :3, :3] @ pose.rotation[:, None]
    moved = (camera_from_world[..., :3, :3] @ pose.translation[:, None, :, None])[..., 0] + camera_from_world[..., :3, 3]
    pixels = (cameras.intrinsics @ moved[..., None])[..., 0]
    centre = (pixels[..., :2] / pixels[..., 2:] - SIDE / 2) / SIDE
    log_size = (FOCAL * SIZE / (moved[..., 2] * SIDE)).log()
    return Encoding({}, rotation, centre, log_size, torch.ones(1, rotation.shape[1]))


@pytest.mark.parametrize("views", [1, 3])
def test_perfect_views_give_the_true_pose(views: int) -> None:
    intrinsics = torch.tensor([[FOCAL, 0, SIDE / 2], [0, FOCAL, SIDE / 2], [0, 0, 1]])
    eyes = torch.tensor([[0.2, 0.1, 1.2], [1.0, 0.0, 0.6], [-0.9, 0.3, 0.8]])[:views]
    poses = torch.stack([look_at(eye, torch.zeros(3), (0.0, 1.0, 0.0)) for eye in eyes]).float()
    cameras = Cameras(intrinsics.expand(1, views, 3, 3), poses[None], SIDE, SIDE)
    truth = RigidPose(rotation_from_6d(torch.tensor([[0.9, 0.1, -0.3, 0.0, 1.0, 0.2]])), torch.tensor([[0.02, -0.03, 0.05]]))
    encoding = _true_encoding(truth, cameras)
    found = fuse_poses(encoding, cameras, SIZE)
    torch.testing.assert_close(found.rotation, truth.rotation, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.translation, truth.translation, atol=1e-5, rtol=0)
    terms = view_losses(encoding, truth, cameras, torch.ones(1, views, dtype=torch.bool), SIZE)
    assert max(float(term) for term in terms.values()) < 1e-5


def test_six_numbers_make_a_rotation() -> None:
    rotation = rotation_from_6d(torch.randn(20, 6, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(20, 3, 3), atol=1e-5, rtol=0)
    assert torch.linalg.det(rotation).min() > 0
