"""StyleGAN2 (Karras, Laine, Aittala, Hellsten, Lehtinen and Aila, CVPR 2020): networks, losses, augmentation, checkpoints."""

from deep3dmap.nn.stylegan2.discriminator import Discriminator
from deep3dmap.nn.stylegan2.generator import Generator
from deep3dmap.nn.stylegan2.latents import latent_statistics, mean_latent, mix_styles, truncate
from deep3dmap.nn.stylegan2.network_files import load_discriminator, load_generator
from deep3dmap.nn.stylegan2.sizes import StyleGAN2Size

__all__ = [
    "Discriminator",
    "Generator",
    "StyleGAN2Size",
    "latent_statistics",
    "load_discriminator",
    "load_generator",
    "mean_latent",
    "mix_styles",
    "truncate",
]
