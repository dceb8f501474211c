"""The inversion network: a vision transformer that predicts the camera pose of an image.

Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, with pre-layer normalisation. Parameter names and layers follow
vit-pytorch 0.22, which the official code was trained with; later releases have different layers.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from deep3dmap.core.errors import UserError
from deep3dmap.methods.gnerf.pose_vectors import LENGTHS, PoseMode


class PatchRows(nn.Module):
    """Splits images (B, C, H, W) into rows of patches (B, patches, side side C), ordered by row, column and channel."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: Tensor) -> Tensor:
        """Split images into patches."""
        patches = images.unfold(2, self.side, self.side).unfold(3, self.side, self.side)
        return patches.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)


class PreNorm(nn.Module):
    """A layer norm followed by a module."""

    def __init__(self, width: int, part: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = part

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, T, width) to the same shape."""
        result: Tensor = self.fn(self.norm(tokens))
        return result


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * head_width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, T, width) to the same shape."""
        parts = self.to_qkv(tokens).chunk(3, -1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed: Tensor = self.to_out(scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return mixed


class FeedForward(nn.Module):
    """A two-layer MLP applied to each token."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        # The identity takes the place of the official dropout layer, whose rate is 0.
        self.net = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, T, width) to the same shape."""
        result: Tensor = self.net(tokens)
        return result


class Transformer(nn.Module):
    """Alternating attention and feed-forward layers with residual connections."""

    def __init__(self, width: int, depth: int, heads: int, head_width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList([PreNorm(width, Attention(width, heads, head_width)), PreNorm(width, FeedForward(width, hidden))])
            for _ in range(depth)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, T, width) to the same shape."""
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            for part in layer:
                tokens = tokens + part(tokens)
        return tokens


class VisionTransformer(nn.Module):
    """Patch embedding, class token, learnt position embedding, transformer, and a linear head on the class token."""

    def __init__(self, image_size: int, outputs: int, width: int, depth: int, heads: int, head_width: int, hidden: int) -> None:
        super().__init__()
        side = image_size // 16
        self.pos_embedding = nn.Parameter(torch.randn(1, 257, width))
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.to_patch_embedding = nn.Sequential(PatchRows(side), nn.Linear(3 * side * side, width))
        self.transformer = Transformer(width, depth, heads, head_width, hidden)
        self.mlp_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, outputs))

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, image_size, image_size) to (B, outputs)."""
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), self.to_patch_embedding(images)], 1)
        result: Tensor = self.mlp_head(self.transformer(tokens + self.pos_embedding)[:, 0])
        return result


class InversionNetwork(nn.Module):
    """image_size: side of the images, a multiple of 16; they are split into 16 x 16 patches. mode: parameters to predict."""

    def __init__(
        self,
        mode: PoseMode = "3d",
        image_size: int = 64,
        width: int = 256,
        depth: int = 6,
        heads: int = 16,
        head_width: int = 64,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        if image_size < 16 or image_size % 16:
            raise UserError(f"method.inversion_size: must be a multiple of 16, got {image_size}")
        self.image_size, self.mode = image_size, mode
        self.main = VisionTransformer(image_size, LENGTHS[mode], width, depth, heads, head_width, hidden)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, image_size, image_size) in [-1, 1] to pose vectors (B, 3 or 9), see `pose_vectors`."""
        if tuple(images.shape[1:]) != (3, self.image_size, self.image_size):
            raise ValueError(f"images must be (B, 3, {self.image_size}, {self.image_size}), got {tuple(images.shape)}")
        vectors: Tensor = self.main(images)
        return vectors
