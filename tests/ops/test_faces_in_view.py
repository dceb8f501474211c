"""Faces in view of a camera inside a box: the faces selected, and attributes at the corners of clipped ones."""

import numpy as np
import torch
import trimesh

from deep3dmap.ops.faces_in_view import faces_in_view

INTRINSICS = torch.tensor([[16.0, 0, 16], [0, 16, 16], [0, 0, 1]])


def box() -> tuple[torch.Tensor, torch.Tensor]:
    made = trimesh.creation.box((4, 4, 4))
    return torch.tensor(np.asarray(made.vertices), dtype=torch.float32), torch.tensor(np.asarray(made.faces), dtype=torch.int64)


def test_faces_behind_and_beside_are_left_out_and_the_rest_ends_at_the_near_plane() -> None:
    vertices, faces = box()
    seen = faces_in_view(vertices, faces, INTRINSICS, 32, 32, near=0.5)
    corners = seen.vertices[seen.faces]
    assert corners[..., 2].min() >= 0.5 - 1e-6
    behind = (vertices[faces][..., 2] < 0).all(1)
    assert behind.any()
    assert not behind[seen.source].any()
    assert (seen.source.diff() >= 0).all()
    assert (seen.part >= 0).any()
    assert (seen.part < 0).any()
    aside = faces_in_view(vertices + torch.tensor([40.0, 0, 6]), faces, INTRINSICS, 32, 32, near=0.5)
    assert len(aside.faces) == len(aside.source) == 0


def test_attributes_at_corners_of_cuts_lie_between_those_of_the_vertices() -> None:
    """Attributes linear in space remain linear on clipped faces: positions, and any linear combination of them."""
    vertices, faces = box()
    seen = faces_in_view(vertices, faces, INTRINSICS, 32, 32, near=0.5)
    mixture = torch.tensor([[1.0, 0, 0, 2], [0, 1, 0, -1], [0, 0, 1, 3]])
    found = seen.at_corners(faces, vertices @ mixture)
    torch.testing.assert_close(found, seen.vertices[seen.faces] @ mixture, atol=1e-5, rtol=0)


def test_pixels_are_those_of_the_intrinsics() -> None:
    vertices, faces = box()
    seen = faces_in_view(vertices + torch.tensor([0, 0, 6.0]), faces, INTRINSICS, 32, 32, near=0.5)
    pixels = seen.pixels(INTRINSICS)
    torch.testing.assert_close(pixels[:, 2], vertices[:, 2] + 6)
    torch.testing.assert_close(pixels[:, :2], 16 + 16 * vertices[:, :2] / (vertices[:, 2:] + 6))
