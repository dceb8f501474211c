"""The losses of unsup3d: negative log-likelihoods of a picture given its explanation and confidence (Wu et al., CVPR 2020)."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from deep3dmap.geometry.relief_losses import photometric_loss
from deep3dmap.methods.unsup3d.networks import Deviations
from deep3dmap.nn.lpips import LPIPS
from deep3dmap.nn.relief_model import Explanation

RELU3_3 = 2  # stage of VGG-16 at whose end pictures are compared; features have a quarter of their size
EPSILON = 1e-7
COPIES = ("", "_mirrored")


def feature_loss(shown: Tensor, target: Tensor, mask: Tensor, deviation: Tensor | None) -> Tensor:
    """Return the mean squared difference of features (N, C, H, W), weighted by a mask (N, 1, S, S) that is averaged to H x W.

    deviation: (N, 1, H, W); if given, the loss is the negative logarithm of a Gaussian, up to a constant (equation 7).
    """
    loss = (shown - target).square()
    if deviation is not None:
        loss = loss / (2 * deviation.square() + EPSILON) + (deviation + EPSILON).log()
    weight = avg_pool2d(mask, mask.shape[-1] // loss.shape[-1]).expand_as(loss)
    return (loss * weight).sum() / weight.sum().clamp(min=EPSILON)


def explanation_terms(
    images: Tensor, found: Explanation, deviations: Deviations | None, vgg: LPIPS | None, mask: Tensor | None = None
) -> dict[str, Tensor]:
    """Return the unweighted loss terms of pictures (N, 3, S, S), explained by objects followed by their mirrored copies.

    Pixels count where both copies are visible and the mask (N, 1, S, S) is set. Without deviations all of them count equally.
    """
    both = torch.stack(found.relief.valid.chunk(2)).amin(0)
    both = both if mask is None else both * mask
    wanted = vgg.features_at(images, RELU3_3) if vgg is not None else None
    terms = {}
    for copy, (name, shown) in enumerate(zip(COPIES, found.relief.image.chunk(2))):
        sure = deviations and Deviations(*(one[:, copy : copy + 1] for one in deviations))
        terms[f"photometric{name}"] = photometric_loss(shown, images, both, sure and sure.pixels)
        if vgg is not None and wanted is not None:
            features = vgg.features_at(shown * both, RELU3_3)
            terms[f"perceptual{name}"] = feature_loss(features, wanted, both, sure and sure.features)
    return terms
