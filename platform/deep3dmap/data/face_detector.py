"""Face detection with installed packages only; nothing is downloaded.

A detector is a function from a (3, H, W) RGB image in [0, 1] to (N, 4) boxes (left, top, right, bottom in pixels, with pixel
centres at +0.5), sorted from largest to smallest. All detectors return boxes from the brows to the chin, as
`geometry.face_crop.crop_from_detector_box` expects. Detectors that download weights on first use are not supported.
"""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError, unknown

Boxes = NDArray[np.float32]
Detector = Callable[[NDArray[np.float32]], Boxes]

# Side of the cascade's boxes relative to the expected boxes, measured on frontal faces of AFLW2000-3D.
CASCADE_SIDE = 1.07
SMALLEST = 24


def face_detector(name: str) -> Detector:
    """Return a detector.

    name: "cascade" (scikit-image's detector for frontal faces, always available), "mediapipe" (if installed), the path of a
    YuNet model (.onnx) for OpenCV, or "auto" for the best one installed. Raises UserError for an unknown name and for a
    package that is not installed.
    """
    if name.endswith(".onnx"):
        return _yunet(Path(name).expanduser())
    if name == "auto":
        name = "mediapipe" if find_spec("mediapipe") else "cascade"
    if name == "cascade":
        return _cascade
    if name != "mediapipe":
        raise unknown("face detector", name, ("auto", "cascade", "mediapipe", "MODEL.onnx"))
    if not find_spec("mediapipe"):
        raise UserError("face detector 'mediapipe' needs the package mediapipe; install it, or use 'cascade'")
    return _mediapipe()


def _cascade(image: NDArray[np.float32]) -> Boxes:
    pixels = _bytes(image)
    shorter = min(pixels.shape[:2])
    if shorter <= SMALLEST:
        return _largest_first([])
    # The finer search takes three times as long and finds more faces, but also more false positives in small windows.
    for step, share in ((1.15, 8), (1.05, 4)):
        sizes = {"min_size": (max(SMALLEST, shorter // share),) * 2, "max_size": (shorter, shorter)}
        found = _trained_cascade().detect_multi_scale(img=pixels, scale_factor=step, step_ratio=1, **sizes)
        if found:
            break
    boxes = [(f["c"], f["r"], f["c"] + f["width"], f["r"] + f["height"]) for f in found]
    return _largest_first([_rescaled(box, 1 / CASCADE_SIDE) for box in boxes])


@cache
def _trained_cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _yunet(file: Path) -> Detector:
    if not file.is_file():
        raise UserError(f"{file}: no such face detector; expected a YuNet model from OpenCV's model zoo")
    try:
        import cv2

        model = cv2.FaceDetectorYN.create(str(file), "", (320, 320))
    except ImportError as error:
        raise UserError(f"{file}: a YuNet model needs the package opencv-python-headless ({error})") from error
    except (AttributeError, cv2.error) as error:
        reason = str(error).strip().replace("\n", " ")
        raise UserError(f"{file}: OpenCV cannot load it as a YuNet face detector ({reason})") from error

    def detect(image: NDArray[np.float32]) -> Boxes:
        pixels = np.ascontiguousarray(_bytes(image)[..., ::-1])
        model.setInputSize((pixels.shape[1], pixels.shape[0]))
        _, found = model.detect(pixels)
        return _largest_first([(x, y, x + w, y + h) for x, y, w, h in (() if found is None else found[:, :4])])

    return detect


def _mediapipe() -> Detector:
    import mediapipe

    try:
        model = mediapipe.solutions.face_detection.FaceDetection(model_selection=1)
    except AttributeError as error:
        raise UserError("this mediapipe has no solutions.face_detection; use 'cascade' or mediapipe before 0.11") from error

    def detect(image: NDArray[np.float32]) -> Boxes:
        found = model.process(_bytes(image)).detections or ()
        boxes = [one.location_data.relative_bounding_box for one in found]
        size = np.array([image.shape[2], image.shape[1]] * 2)
        return _largest_first([np.array([b.xmin, b.ymin, b.xmin + b.width, b.ymin + b.height]) * size for b in boxes])

    return detect


def _bytes(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.round(np.clip(image, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def _rescaled(box: tuple[float, float, float, float], factor: float) -> NDArray[np.float64]:
    low, high = np.array(box[:2], float), np.array(box[2:], float)
    centre, half = (low + high) / 2, factor * (high - low) / 2
    return np.concatenate([centre - half, centre + half])


def _largest_first(boxes: list[Any]) -> Boxes:
    found = np.array(boxes, np.float32).reshape(-1, 4)
    return found[np.argsort(-(found[:, 2] - found[:, 0]), kind="stable")]
