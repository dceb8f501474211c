"""The vocabulary of the platform: every key that a sample, a `given` dictionary or a batch may contain.

Datasets provide keys, suites specify which are given and which are wanted, and methods declare which they consume. Third
parties can add keys with `register_key`; unregistered keys are rejected, so a key has the same meaning in all datasets.
"""

from dataclasses import dataclass

from deep3dmap.core.errors import UserError, nearest


@dataclass(frozen=True)
class Key:
    """Description of one key: shape and type of its value, unit, and meaning."""

    name: str
    shape: str
    unit: str
    meaning: str


_KEYS: dict[str, Key] = {}


def register_key(name: str, shape: str, unit: str, meaning: str) -> Key:
    """Add a key to the vocabulary; raises ValueError if it is already registered with a different description."""
    key = Key(name, shape, unit, meaning)
    if _KEYS.setdefault(name, key) != key:
        raise ValueError(f"key '{name}' is already described as {_KEYS[name]}")
    return key


def describe_key(name: str) -> Key:
    """Return the description of a key; raises UserError with the nearest name if it is not registered."""
    if name not in _KEYS:
        raise UserError(f"unknown key '{name}'{nearest(name, _KEYS)}")
    return _KEYS[name]


def known_keys() -> dict[str, Key]:
    """Return the whole vocabulary."""
    return dict(_KEYS)


for _row in (
    # one photograph
    ("image", "(3, H, W) float32", "RGB in [0, 1]", "a photograph"),
    ("box", "(4,) float32", "pixels of `image`: left, top, right, bottom", "the box of the subject in the photograph"),
    (
        "landmarks_68",
        "(68, 3) float32",
        "pixels of `image`, z larger = nearer",
        "the 68 iBUG landmarks; z has an arbitrary offset",
    ),
    (
        "position_map",
        "(3, S, S) float32",
        "pixels of the crop, z larger = nearer",
        "UV position map of the face in the crop",
    ),
    ("crop", "(3, R, R) float32", "RGB in [0, 1]", "the face crop that a network receives"),
    ("crop_from_image", "(3, 3) float64", "pixels", "similarity transform from image pixels to crop pixels"),
    ("head_pose", "(3,) float32", "radians: pitch, yaw, roll", "pose of the head, R = Rx Ry Rz"),
    (
        "dense_points",
        "(N, 3) float32",
        "pixels of `image`, z larger = nearer",
        "ground-truth surface points, one per `dense_uv` row",
    ),
    ("dense_uv", "(N, 2) float32", "[0, 1], v up", "atlas coordinates of `dense_points`"),
    ("mask", "(H, W) float32", "share of the pixel, in [0, 1]", "coverage of `image` by the object"),
    (
        "relief_depth",
        "(H, W) float32",
        "distance to the object's middle",
        "depth along z at each pixel centre; 1.1 = background",
    ),
    ("relief_view", "(6,) float32", "radians and distances", "rotation about x, y, z and shift of the object from its front"),
    (
        "relief_light",
        "(4,) float32",
        "1",
        "ambient and diffuse strength, x and y of the light at z = 1, away from the camera",
    ),
    # a posed scan
    ("images", "sequence of V (3, H, W) float32", "RGB in [0, 1]", "the frames of a scan"),
    (
        "depths",
        "sequence of V (H, W) float32",
        "metres, 0 = invalid",
        "sensor depth of the frames, aligned with the pixels of `images`",
    ),
    ("sensor_depths", "sequence of V (H, W) float32", "metres, 0 = invalid", "depth measured by the depth sensor's own camera"),
    ("depth_intrinsics", "(V, 3, 3) float64", "pixels, centres at +0.5", "the depth camera's intrinsics, for `sensor_depths`"),
    ("color_from_depth", "(4, 4) float64", "metres", "motion from the depth camera's axes to those of `world_from_camera`"),
    ("true_depths", "sequence of V (H, W) float32", "metres, 0 = invalid", "ground-truth depth for scoring the frames"),
    ("intrinsics", "(V, 3, 3) float64", "pixels, centres at +0.5", "intrinsics of the camera that took `images`"),
    ("world_from_camera", "(V, 4, 4) float64", "metres, OpenCV camera axes", "poses of the camera that took `images`"),
    # held-out views of a scene, which a method must render
    ("test_images", "(T, 3, H, W) float32", "RGB in [0, 1]", "held-out views of the scene"),
    ("test_masks", "(T, H, W) float32", "share of the pixel, in [0, 1]", "coverage of `test_images` by the scene"),
    ("test_intrinsics", "(T, 3, 3) float64", "pixels, centres at +0.5", "camera intrinsics of `test_images`"),
    ("test_world_from_camera", "(T, 4, 4) float64", "the dataset's unit, OpenCV camera axes", "poses of `test_images`"),
    ("test_true_depths", "(T, H, W) float32", "the dataset's unit, 0 = no surface", "z depth of `test_images`"),
    ("background", "(3,) float32", "RGB in [0, 1]", "colour of the frames outside the scene"),
    ("bounds", "(2, 3) float64", "the dataset's unit, world frame", "lowest and highest corner of a box around the scene"),
    # ground-truth shape
    (
        "scene_tsdf",
        "SceneTSDF",
        "truncations; origin and voxel size in metres",
        "the scan's fused signed distances on three levels",
    ),
    ("mesh", "Mesh", "the dataset's unit, world frame", "the surface a reconstruction is scored against"),
    # several calibrated views of one subject
    ("masks", "(V, H, W) float32", "share of the pixel, in [0, 1]", "coverage of the frames by the subject"),
    (
        "landmarks_68_views",
        "(V, 68, 2) float32",
        "pixels of each of `images`, centres at +0.5",
        "the 68 iBUG landmarks in every view, including hidden ones",
    ),
    ("landmark_visibility", "(V, 68) float32", "1 = seen, 0 = hidden", "which of `landmarks_68_views` are visible"),
    (
        "joints_views",
        "(V, J, 2) float32",
        "pixels of each of `images`, centres at +0.5",
        "the joints of a body in every view, including hidden ones",
    ),
    ("joint_visibility", "(V, J) float32", "1 = in the image, 0 = outside", "which of `joints_views` are in the image"),
    ("vertices", "(N, 3) float32", "metres, world frame", "the true surface in the topology of the dataset's template"),
    ("joints", "(J, 3) float32", "metres, world frame", "the true joints, regressed from `vertices` by the template"),
    ("world_from_template", "(4, 4) float64", "metres", "rigid motion from the template's frame to the world"),
    ("identity", "(Ki,) float32", "sigma", "identity coefficients of the morphable model"),
    ("expression", "(Ke,) float32", "sigma", "expression coefficients of the morphable model"),
    ("albedo", "(Ka,) float32", "sigma", "vertex albedo coefficients of the morphable model"),
    ("betas", "(Kb,) float32", "sigma", "shape coefficients of a body"),
    ("body_pose", "((J - 1) * 3,) float32", "radians", "axis-angle rotation of every joint but the root, in its parent's axes"),
    (
        "affine_cameras",
        "(V, 2, 4) float64",
        "pixels per unit of `mesh`",
        "weak-perspective cameras: pixel of (x, y, z, 1), centres at +0.5, y down",
    ),
    ("uv_texture", "(3, S, S) float32", "RGB in [0, 1]", "texture as photographed, including shading; first row at v = 1"),
    ("global_orient", "(3,) float32", "radians", "axis-angle rotation of a body about its root joint"),
    ("translation", "(3,) float32", "metres", "translation added to the vertices of a body"),
    ("albedo_map", "(3, S, S) float32", "linear RGB in [0, 1]", "unlit texture; first row at v = 1, texels are points"),
    (
        "light_harmonics",
        "(9, 3) float32",
        "irradiance, RGB",
        "illumination in the world frame: coefficients of 1, y, z, x, xy, yz, 3 z^2 - 1, xz, x^2 - y^2 of the normal",
    ),
):
    register_key(*_row)

# Keys with one entry for each of a sample's `images`.
PER_IMAGE = tuple(name for name, key in _KEYS.items() if key.shape.removeprefix("sequence of ").lstrip("(").startswith("V"))
