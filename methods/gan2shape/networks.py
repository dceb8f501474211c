"""The networks of GAN2Shape: predictions from a picture, and the encoder of latent offsets."""

from torch import nn

from deep3dmap.nn.relief_model import ReliefModel
from deep3dmap.nn.relief_networks import PictureToPicture, PictureToVector, ResidualEncoder


class ShapeNetworks(nn.Module):
    """The five networks. width: channels of the first layers, None for the published width; code: bottleneck length."""

    def __init__(
        self, size: int, style_dim: int = 512, *, width: int | None = None, code: int = 256, offset_width: int = 32
    ) -> None:
        super().__init__()
        self.depth = PictureToPicture(size, 1, width=width, code=code)
        self.albedo = PictureToPicture(size, 3, width=width, code=code, squash=True)
        self.view = PictureToVector(size, 6, width=width)
        self.light = PictureToVector(size, 4, width=width)
        self.offset = ResidualEncoder(size, style_dim, width=offset_width)


ShapeModel = ReliefModel[ShapeNetworks]
