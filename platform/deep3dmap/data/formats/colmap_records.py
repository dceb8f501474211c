"""Camera and image records of COLMAP models, shared by the text and binary formats."""

from typing import NamedTuple

# Identifier and number of parameters of the supported camera models (colmap/src/colmap/sensor/models.h).
MODELS = {
    "SIMPLE_PINHOLE": (0, 3),
    "PINHOLE": (1, 4),
    "SIMPLE_RADIAL": (2, 4),
    "RADIAL": (3, 5),
    "OPENCV": (4, 8),
}


class CameraRecord(NamedTuple):
    """A camera. model: one of MODELS. parameters: focal length(s) and principal point in pixels, then distortion."""

    model: str
    width: int
    height: int
    parameters: tuple[float, ...]


class ImageRecord(NamedTuple):
    """A registered image: world-to-camera quaternion (w, x, y, z) and translation, camera id, and file name."""

    quaternion: tuple[float, ...]
    translation: tuple[float, ...]
    camera: int
    name: str
