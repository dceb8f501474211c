"""What a line or a record of a COLMAP model holds, whichever way it is written."""

from typing import NamedTuple

# Identifier and number of parameters of the camera models (colmap/src/colmap/sensor/models.h); the rest are fisheyes.
MODELS = {
    "SIMPLE_PINHOLE": (0, 3),
    "PINHOLE": (1, 4),
    "SIMPLE_RADIAL": (2, 4),
    "RADIAL": (3, 5),
    "OPENCV": (4, 8),
}


class CameraRecord(NamedTuple):
    """A camera model of MODELS; parameters: focal length(s) and principal point in pixels, then distortion."""

    model: str
    width: int
    height: int
    parameters: tuple[float, ...]


class ImageRecord(NamedTuple):
    """A registered image: world-to-camera quaternion w, x, y, z and translation, number of its camera, name of its file."""

    quaternion: tuple[float, ...]
    translation: tuple[float, ...]
    camera: int
    name: str
