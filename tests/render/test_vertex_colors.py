"""Vertex colours of a painted wall behind a smaller wall: each gets its own colour, hidden vertices stay grey."""

import torch

from deep3dmap.render.vertex_colors import UNSEEN, color_vertices

INTRINSICS = torch.tensor([[40.0, 0, 20], [0, 40, 20], [0, 0, 1]], dtype=torch.float64)


def wall(half: float, depth: float, cells: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    side = torch.linspace(-half, half, cells + 1)
    x, y = torch.meshgrid(side, side, indexing="ij")
    vertices = torch.stack([x.flatten(), y.flatten(), torch.full((x.numel(),), depth)], 1)
    corner = (torch.arange(cells)[:, None] * (cells + 1) + torch.arange(cells)).flatten()
    a, b, c, d = corner, corner + 1, corner + cells + 1, corner + cells + 2
    return vertices, torch.cat([torch.stack([a, b, c], 1), torch.stack([b, d, c], 1)])


def test_each_vertex_gets_the_colour_of_the_pixel_that_sees_it() -> None:
    far, far_faces = wall(0.9, 2.0)
    near, near_faces = wall(0.3, 1.0)
    vertices = torch.cat([far, near])
    faces = torch.cat([far_faces, near_faces + len(far)])
    image = torch.zeros(3, 40, 40)
    image[0] = 1.0
    image[:, 8:32, 8:32] = torch.tensor([0.0, 1.0, 0.0])[:, None, None]
    colors = color_vertices(vertices, faces, [image], INTRINSICS[None], torch.eye(4, dtype=torch.float64)[None])
    hidden = far[:, :2].abs().amax(1) < 0.5
    shown = far[:, :2].abs().amax(1) > 0.65
    torch.testing.assert_close(colors[: len(far)][shown], torch.tensor([[1.0, 0, 0]]).expand(int(shown.sum()), 3))
    assert (colors[: len(far)][hidden] == UNSEEN).all()
    inner = near[:, :2].abs().amax(1) < 0.28
    torch.testing.assert_close(colors[len(far) :][inner], torch.tensor([[0.0, 1, 0]]).expand(int(inner.sum()), 3))


def test_near_views_weigh_more_and_empty_meshes_have_no_colours() -> None:
    vertices, faces = wall(0.1, 2.0, cells=1)
    red, blue = torch.zeros(3, 40, 40), torch.zeros(3, 40, 40)
    red[0], blue[2] = 1, 1
    closer = torch.eye(4, dtype=torch.float64)
    closer[2, 3] = 1.0
    poses = torch.stack([torch.eye(4, dtype=torch.float64), closer])
    colors = color_vertices(vertices, faces, [red, blue], INTRINSICS.expand(2, 3, 3), poses)
    torch.testing.assert_close(colors, torch.tensor([[0.2, 0, 0.8]]).expand(4, 3))
    nothing = color_vertices(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64), [red], INTRINSICS[None], poses[:1])
    assert nothing.shape == (0, 3)
