"""The options of unsup3d; the defaults follow the paper."""

from dataclasses import dataclass

from deep3dmap.core.options import option


@dataclass
class Unsup3DConfig:
    """Networks, ranges and loss weights."""

    image_size: int = option(64, "side of the pictures in pixels, a power of two", low=16, high=128, valid="[16, 1024]")
    width: int = option(
        0,
        "channels of the first layers, a multiple of 4 (0 = as published); half for view and light",
        low=0,
        valid="[0, 1024]",
    )
    code: int = option(
        256, "length of the bottleneck code of depth and albedo; half for confidence", low=4, high=512, valid="[4, 4096]"
    )
    nearest: float = option(
        0.9, "smallest canonical depth, in distances of the object's centre", low=0.8, high=0.99, valid="(0, 1)"
    )
    farthest: float = option(1.1, "largest canonical depth", low=1.01, high=1.2, valid="(1, inf)")
    rotation: float = option(
        60.0, "maximum rotation of a view about each axis in degrees", low=5.0, high=90.0, valid="(0, 180]"
    )
    shift: float = option(
        0.1, "maximum shift of a view along x and y; the picture is 0.175 wide", low=0.0, high=0.2, valid="[0, inf)"
    )
    shift_z: float = option(
        0.0, "maximum shift along z; published: 0 for renderings, 0.1 for photographs", low=0.0, high=0.2, valid="[0, inf)"
    )
    bulge: float = option(
        0.0,
        "height of the initial relief's bulge in the middle, before tanh; 0 as published",
        low=0.0,
        high=2.0,
        valid="[0, inf)",
    )
    mirrored: float = option(0.5, "weight of the mirrored copy's loss", low=0.0, high=1.0, valid="[0, inf)")
    perceptual: float = option(1.0, "weight of the perceptual loss, if VGG is given", low=0.0, high=10.0, valid="[0, inf)")
    confidence: bool = option(True, "learn per-pixel confidence; otherwise all pixels count equally")
    plain_wall: bool = option(False, "compare only the object's pixels, for objects in front of a plain wall; not published")
    lpips: str = option("", "VGG-16 weights in an LPIPS file; without them only pixels are compared")
    networks: str = option("", "a published checkpoint (netD, netA, netL, netV, netC); disables training")
