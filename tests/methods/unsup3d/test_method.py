"""unsup3d as a method: refusals and training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from deep3dmap.cli import main
from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.images import write_image
from deep3dmap.methods.unsup3d.method import Unsup3D
from deep3dmap.methods.unsup3d.networks import HEADS, NAMES
from deep3dmap.methods.unsup3d.options import Unsup3DConfig

SIDE = 16


def small(**values: float | bool) -> Unsup3D:
    torch.manual_seed(0)
    return Unsup3D(Unsup3DConfig(image_size=SIDE, width=8, code=8, **values))  # type: ignore[arg-type]


def pictures(count: int) -> torch.Tensor:
    """Discs in front of a grey wall, darker towards the rim, each in a different colour."""
    places = torch.linspace(-1, 1, SIDE)
    radius = (places.square()[:, None] + places.square()).sqrt()
    colors = torch.rand(count, 3, 1, 1, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.4
    disc = colors * (1 - 0.5 * radius.square())
    return torch.where(radius < 0.7, disc, torch.full_like(disc, 0.1))


@pytest.mark.parametrize("plain_wall", [False, True])
def test_every_network_learns(plain_wall: bool) -> None:
    method, batch = small(plain_wall=plain_wall), {"image": pictures(4)}
    adam, losses = torch.optim.Adam(method.parameters(), 2e-3), []
    for _ in range(25):
        loss = torch.stack(list(method.losses(method(batch), batch).values())).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.3


def test_without_confidence_nothing_asks_for_it() -> None:
    method, batch = small(confidence=False), {"image": pictures(2)}
    outputs = method(batch)
    assert outputs["deviations"] is None
    torch.stack(list(method.losses(outputs, batch).values())).sum().backward()
    assert all(p.grad is None for p in method.networks.confidence.parameters())
    for name in ("depth", "albedo", "view", "light"):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in getattr(method.networks, name).parameters()), name


def test_depth_stays_in_its_range() -> None:
    method = small(nearest=0.95, farthest=1.02)
    with torch.no_grad():
        found = method.reconstruct({"image": pictures(1)[0].numpy()})
    assert found.depth is not None
    seen = found.depth[found.depth > 0]
    margin = 0.035  # a view may see half the range more on either side
    assert 0.95 - margin <= seen.min() < seen.max() <= 1.02 + margin
    assert set(found.files) == {"albedo.png", "relit.png", "rotated_mesh.png", "textured.glb"}
    assert found.notes == {"perceptual": "none"}


def test_larger_pictures_are_averaged_down() -> None:
    method, large = small(plain_wall=True), pictures(2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    noise = 0.05 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(SIDE, SIDE)
    with torch.no_grad():
        batches = [{"image": large}, {"image": large + noise}]
        plain, noisy = (method.losses(method(batch), batch) for batch in batches)
    for name, value in plain.items():
        assert value.isfinite()
        assert float(noisy[name]) == pytest.approx(float(value), abs=0.02), name


def test_what_is_refused() -> None:
    with pytest.raises(UserError, match=r"method.width=6: .* multiple"):
        Unsup3D(Unsup3DConfig(width=6))
    with pytest.raises(UserError, match="square pictures, got 20 x 16"):
        small().reconstruct({"image": np.zeros((3, 16, 20), np.float32)})
    with pytest.raises(UserError, match="square pictures, got 16 x 20"):
        small()({"image": torch.zeros(2, 3, 20, 16)})
    with pytest.raises(UserError, match="power of two"):
        Unsup3D(Unsup3DConfig(image_size=48))


def test_a_published_checkpoint_reconstructs_a_picture_right_away(tmp_path: Path) -> None:
    networks = small().networks
    content = {published: getattr(networks, ours).state_dict() for ours, published in NAMES.items()}
    for head, name in HEADS.items():
        content["netC"] = {key.replace(f"{head}.", f"{name}.", 1): value for key, value in content["netC"].items()}
    torch.save(content, tmp_path / "checkpoint030.pth")
    write_image(tmp_path / "face.png", pictures(1)[0].numpy())
    options = [f"method.networks={tmp_path}/checkpoint030.pth", "method.width=8", "method.code=8", f"method.image_size={SIDE}"]
    assert main(["reconstruct", "unsup3d", str(tmp_path / "face.png"), "-o", str(tmp_path / "out"), *options]) == 0
    assert {"mesh.ply", "textured.glb", "relit.png", "rotated_mesh.png"} <= {
        p.name for p in (tmp_path / "out" / "face").iterdir()
    }
