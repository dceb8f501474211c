"""Templates: their vertices, gradients, and invalid arguments."""

from pathlib import Path

import numpy as np
import pytest
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.core.mesh import Mesh
from deep3dmap.core.ply import to_ply
from deep3dmap.data.scenes.head_model import head_model
from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.geometry.template import HeadTemplate, MeshTemplate, Template, sphere


@pytest.fixture(scope="module")
def head() -> HeadTemplate:
    return HeadTemplate(head_model(33))


def test_head_equals_the_morphable_model(head: HeadTemplate) -> None:
    rng = np.random.default_rng(0)
    identity, expression, albedo = rng.normal(size=40), rng.uniform(0, 1, 20), rng.normal(size=20)
    given = {"identity": identity, "expression": expression, "albedo": albedo}
    parameters = {name: torch.from_numpy(values)[None] for name, values in given.items()}
    vertices = head.vertices(parameters)
    expected = head.model.shape(identity, expression)
    np.testing.assert_allclose(vertices[0].numpy(), expected / 1000, atol=1e-7)
    np.testing.assert_allclose(head.albedo(parameters)[0].numpy(), head.model.albedo(albedo), atol=1e-6)
    np.testing.assert_allclose(head.landmarks(vertices)[0].numpy(), head.model.landmarks(expected) / 1000, atol=1e-7)
    assert head.groups == {"identity": 40, "expression": 20, "albedo": 20}
    np.testing.assert_allclose(head.prior(parameters).item(), sum((v**2).sum() for v in given.values()), rtol=1e-5)


def test_missing_and_short_groups_are_zero(head: HeadTemplate) -> None:
    assert torch.equal(head.vertices({})[0], head.mean())
    short = torch.tensor([[1.0, -1.0], [0.5, 0.0]])
    whole = torch.nn.functional.pad(short, (0, 38))
    assert torch.equal(head.vertices({"identity": short}), head.vertices({"identity": whole}))
    assert torch.equal(head.vertices(head.neutral(3)), head.mean().expand(3, -1, -1))


def test_gradient_in_float64() -> None:
    head = HeadTemplate(head_model(17)).double()
    values = [torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    pick = torch.tensor([0, 100, 288])

    def chosen(identity: torch.Tensor, expression: torch.Tensor) -> torch.Tensor:
        return 1000 * head.vertices({"identity": identity, "expression": expression})[:, pick]

    assert torch.autograd.gradcheck(chosen, tuple(values))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"shape": torch.zeros(1, 3)}, "no parameter group 'shape'"),
        ({"identity": torch.zeros(1, 41)}, r"\(B, 40\)"),
        ({"identity": torch.zeros(40)}, r"\(B, 40\)"),
        ({"identity": torch.zeros(2, 40), "expression": torch.zeros(3, 20)}, "different lengths"),
    ],
)
def test_refuses_wrong_parameters(head: HeadTemplate, parameters: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        head.vertices(parameters)


@pytest.mark.parametrize("level", [0, 1, 3])
def test_icosphere(level: int) -> None:
    vertices, faces = icosphere(level)
    assert len(vertices) == 10 * 4**level + 2
    assert len(faces) == 20 * 4**level
    np.testing.assert_allclose(np.linalg.norm(vertices, axis=1), 1)
    assert (np.linalg.det(vertices[faces]) > 0).all()
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_sphere_moves_freely() -> None:
    ball = sphere(2, radius=0.5)
    offsets = torch.zeros(2, ball.groups["offsets"])
    offsets[1, 3:6] = torch.tensor([0.1, 0.2, 0.3])
    vertices = ball.vertices({"offsets": offsets})
    assert torch.equal(vertices[0], ball.mean())
    torch.testing.assert_close(vertices[1, 1] - ball.mean()[1], torch.tensor([0.1, 0.2, 0.3]))
    sigma = float(np.linalg.norm(np.ptp(ball.mean().numpy(), axis=0)) / 10)
    torch.testing.assert_close(ball.prior({"offsets": offsets}), torch.tensor([0.0, 0.14 / sigma**2]))
    assert isinstance(ball, Template)
    assert ball.albedo({}) is None
    assert ball.landmarks(vertices) is None


def test_obj_keeps_seams_closed(tmp_path: Path) -> None:
    file = tmp_path / "quad.obj"
    file.write_text(
        "v 0 0 0\nv 100 0 0\nv 100 100 0 # corner\nv 0 100 0\n"
        "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nvt .5 .5\nf 1/1/1 2/2/1 3/3/1 -1/-1/1\n"
    )
    template = MeshTemplate.load(file, scale=0.01)
    assert template.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert template.faces_uv is not None
    assert template.faces_uv.tolist() == [[0, 1, 2], [0, 2, 4]]
    assert template.mean().max() == 1.0


def test_ply_keeps_its_colors(tmp_path: Path) -> None:
    vertices, faces = icosphere(1)
    (tmp_path / "ball.ply").write_bytes(to_ply(Mesh(vertices, faces, np.abs(vertices))))
    template = MeshTemplate.load(tmp_path / "ball.ply")
    colors = template.albedo({})
    assert colors is not None
    np.testing.assert_allclose(colors[0].numpy(), np.abs(vertices), atol=1 / 255)
    assert template.mesh({}).faces.tolist() == faces.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [("v 0 0 0\n", "without faces"), ("v 0 0 0\nf 1 2 x\n", "line 2"), ("v 0 0 0\nf 1 2 3\n", "not in the file")],
)
def test_names_what_is_wrong_with_an_obj(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.obj").write_text(text)
    with pytest.raises(UserError, match=message):
        MeshTemplate.load(tmp_path / "bad.obj")
