"""The shared parts of NeRF against the code of GNeRF: encodings, importance sampling, volume rendering and the network."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.methods.gnerf.official_weights import from_official_names
from deep3dmap.metrics.image_similarity import image_similarity, psnr, ssim
from deep3dmap.nn.radiance.encodings import frequency_encoding
from deep3dmap.nn.radiance.nerf_mlp import NeRFMLP
from deep3dmap.nn.radiance.sampling import sample_pdf
from deep3dmap.nn.radiance.volume_rendering import interval_lengths, render_rays

Error = Callable[[torch.Tensor, np.ndarray], float]
Load = Callable[[str], Any]


@pytest.mark.parametrize(("name", "octaves", "dim"), [("x", 10, -1), ("dir", 4, -1), ("scale", 4, 1)])
def test_frequency_encoding(load_part: Load, relative_error: Error, name: str, octaves: int, dim: int) -> None:
    part = load_part("nerf/embedding")
    encoded = frequency_encoding(part.tensor(name), octaves, dim)
    assert relative_error(encoded, part.arrays[f"{name}_emb"]) < 1e-5


def test_importance_sampling(load_part: Load, relative_error: Error) -> None:
    part = load_part("nerf/sample_pdf")
    bins, weights = part.tensor("bins"), part.tensor("weights")
    even = torch.linspace(0, 1, part.manifest["settings"]["N_importance"]).expand(len(bins), -1)
    assert relative_error(sample_pdf(bins, weights, even), part.arrays["samples_det"]) < 1e-4
    assert relative_error(sample_pdf(bins, weights, part.tensor("u")), part.arrays["samples_u"]) < 1e-4


@pytest.mark.parametrize(("name", "background"), [("white", 1.0), ("black", None)])
def test_volume_rendering(load_part: Load, relative_error: Error, name: str, background: float | None) -> None:
    part = load_part("nerf/volume_render")
    distances, sigma, color = (part.tensor(key) for key in ("z_vals", "sigma", "rgb"))
    sigma.requires_grad_()
    color.requires_grad_()
    lengths = interval_lengths(distances, part.tensor("far")[:, 0]) * part.tensor("dir").norm(dim=1, keepdim=True)
    drawn = render_rays(sigma.relu(), color, distances, lengths, background)
    assert relative_error(drawn.color, part.arrays[f"rgb_out_{name}"]) < 1e-5
    assert relative_error(drawn.depth, part.arrays["depth_out"]) < 1e-5
    assert relative_error(drawn.weights, part.arrays["weights"]) < 1e-5
    (drawn.color * part.tensor("grad_out_rgb")).sum().backward()
    assert relative_error(color.grad, part.arrays[f"grad_rgb_{name}"]) < 1e-4
    assert relative_error(sigma.grad, part.arrays[f"grad_sigma_{name}"]) < 1e-4


def test_network(load_part: Load, relative_error: Error) -> None:
    part = load_part("nerf/mlp_nerf256")
    network = NeRFMLP()
    network.load_state_dict(from_official_names(part.state))
    given = part.tensor("x").requires_grad_()
    density, color = network.raw(given[:, :3], given[:, 3:])
    output = torch.cat([color, density[:, None]], 1)
    assert relative_error(output, part.arrays["out"]) < 1e-4
    assert relative_error(network.density(given[:, :3]), part.arrays["sigma_only"][:, 0].clip(0)) < 1e-4
    (output * part.tensor("grad_out")).sum().backward()
    assert relative_error(given.grad, part.arrays["grad_x"]) < 1e-4
    assert sum(parameter.numel() for parameter in network.parameters()) == part.manifest["n_params"]


def test_a_foreign_tensor_is_refused() -> None:
    with pytest.raises(ValueError, match="not a tensor of GNeRF"):
        from_official_names({"xyz_encoding.0.weight": torch.zeros(1)})


def test_image_metrics_under_the_published_conventions(load_part: Load) -> None:
    part = load_part("nerf/metrics")
    truth, raw, clipped = (part.tensor(name).permute(0, 3, 1, 2) for name in ("gt", "pred_raw", "pred_clipped"))
    values = [image_similarity(image, true) for image, true in zip(raw, truth)]
    for column, reference, tolerance in (
        ("psnr", "psnr_per_image", 1e-3),
        ("psnr8", "psnr_8bit_per_image", 1e-3),
        ("ssim11", "ssim_dmpix_11_valid", 1e-4),
        ("ssim11", "ssim_skimage_gauss11", 1e-4),
    ):
        np.testing.assert_allclose([row[column] for row in values], part.arrays[reference], atol=tolerance)
    unclipped = [psnr(image, true) for image, true in zip(raw, truth)]
    np.testing.assert_allclose(unclipped, part.arrays["psnr_unclipped_per_image"], atol=1e-3)
    assert np.mean([row["psnr"] for row in values]) == pytest.approx(float(part.arrays["psnr_mean_of_images"][0]), abs=1e-3)
    assert psnr(clipped, truth) == pytest.approx(float(part.arrays["psnr_of_pooled_mse"][0]), abs=1e-3)
    low = [ssim(0.5 * image + 0.2, 0.5 * true + 0.2) for image, true in zip(clipped, truth)]
    np.testing.assert_allclose(low, part.arrays["lowrange_ssim_fixed_range"], atol=1e-4)
