"""User controls of a scene: rotate, move, add and remove objects, and exchange shapes and appearances."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.core.options import option
from deep3dmap.methods.giraffe.bounding_boxes import Boxes, rotation_about_z
from deep3dmap.methods.giraffe.generator import Scene
from deep3dmap.methods.giraffe.latent_codes import interpolate_on_sphere


@dataclass(frozen=True)
class Controls:
    """Changes to a sampled scene. The defaults change nothing."""

    object: int = option(-1, "index of the object to change, counted from 0; -1 = all objects", low=-1, valid="[-1, inf)")
    rotate: float = option(
        0.0, "turns of the object about its vertical axis, counter-clockwise from above", valid="(-inf, inf)"
    )
    translate: list[float] = option(
        [0.0, 0.0, 0.0], "displacement of the object, in scene units along x, y, z", valid="(-inf, inf)", length=3
    )
    scale: float = option(1.0, "factor of the object's size", low=0.01, valid="(0, inf)")
    remove: list[int] = option([], "indices of the objects to remove", valid="[0, inf)")
    add: int = option(
        0, "number of following scenes whose objects are added to this one, at their own positions", low=0, valid="[0, inf)"
    )
    shape_of: int = option(-1, "index of the scene to take the objects' shapes from; -1 = its own", low=-1, valid="[-1, inf)")
    appearance_of: int = option(
        -1, "index of the scene to take the objects' appearance from; -1 = its own", low=-1, valid="[-1, inf)"
    )
    background_of: int = option(-1, "index of the scene to take the background from; -1 = its own", low=-1, valid="[-1, inf)")
    share: float = option(
        1.0,
        "interpolation weight of the other scene's codes in the three options above, along a great circle",
        low=0.0,
        high=1.0,
        valid="[0, 1]",
    )
    camera_turn: float = option(
        0.0, "turns of the camera about the vertical axis, counter-clockwise from above", valid="(-inf, inf)"
    )
    background_turn: float = option(0.0, "turns of the background about the vertical axis", valid="(-inf, inf)")


def change_scenes(scene: Scene, controls: Controls, first: int, fetch: Callable[[list[int]], Scene]) -> Scene:
    """Apply controls to B scenes, numbered from `first`; fetch(numbers) samples other scenes with the same seed.

    Raises UserError for the index of an object that does not exist.
    """
    scene = _replace_codes(scene, controls, fetch)
    for step in range(controls.add):
        count = len(scene.world_from_camera)
        scene = _add_objects(scene, fetch([first + index + 1 + step for index in range(count)]))
    scene = _move_objects(scene, controls)
    if controls.remove:
        present = torch.ones(scene.boxes.scale.shape[:2], dtype=torch.bool) if scene.present is None else scene.present.clone()
        for number in controls.remove:
            present[:, _checked_index("remove", number, scene)] = False
        scene = scene._replace(present=present)
    turn = rotation_about_z(torch.tensor(controls.camera_turn))
    poses = scene.world_from_camera.clone()
    poses[:, :3] = turn.to(poses) @ poses[:, :3]
    # Rotating an object one way means evaluating it at points rotated the other way.
    background = rotation_about_z(torch.tensor(-controls.background_turn)).to(poses) @ scene.background_rotation
    return scene._replace(world_from_camera=poses, background_rotation=background)


def _replace_codes(scene: Scene, controls: Controls, fetch: Callable[[list[int]], Scene]) -> Scene:
    codes = scene.codes
    if controls.shape_of >= 0:
        shape = _interpolate_codes(codes.shape, fetch([controls.shape_of]).codes.shape, controls)
        codes = codes._replace(shape=_replace_selected(codes.shape, shape, controls, scene))
    if controls.appearance_of >= 0:
        appearance = _interpolate_codes(codes.appearance, fetch([controls.appearance_of]).codes.appearance, controls)
        codes = codes._replace(appearance=_replace_selected(codes.appearance, appearance, controls, scene))
    if controls.background_of >= 0:
        other = fetch([controls.background_of]).codes
        codes = codes._replace(
            background_shape=_interpolate_codes(codes.background_shape, other.background_shape, controls),
            background_appearance=_interpolate_codes(codes.background_appearance, other.background_appearance, controls),
        )
    return scene._replace(codes=codes)


def _interpolate_codes(own: Tensor, other: Tensor, controls: Controls) -> Tensor:
    """Interpolate codes from a scene's own (B, ..., Z) towards the other scene's (1, ..., Z)."""
    target = other.expand_as(own)
    if controls.share == 1:
        return target
    between = interpolate_on_sphere(own, target, own.new_tensor([controls.share]))[0]
    # The arc between identical codes is undefined.
    return torch.where((own == target).all(-1, keepdim=True), own, between)


def _move_objects(scene: Scene, controls: Controls) -> Scene:
    scale, placed, rotation = scene.boxes
    turn = rotation_about_z(torch.tensor(-controls.rotate)).to(rotation)
    boxes = Boxes(
        _replace_selected(scale, scale * controls.scale, controls, scene),
        _replace_selected(placed, placed + placed.new_tensor(controls.translate), controls, scene),
        _replace_selected(rotation, turn @ rotation, controls, scene),
    )
    return scene._replace(boxes=boxes)


def _add_objects(scene: Scene, other: Scene) -> Scene:
    """Add the objects of scenes `other` to those of `scene`."""
    boxes = Boxes(*(torch.cat(pair, 1) for pair in zip(scene.boxes, other.boxes)))
    shape, appearance = (torch.cat(pair, 1) for pair in zip(scene.codes[:2], other.codes[:2]))
    present = None
    if scene.present is not None and other.present is not None:
        present = torch.cat([scene.present, other.present], 1)
    return scene._replace(codes=scene.codes._replace(shape=shape, appearance=appearance), boxes=boxes, present=present)


def _replace_selected(old: Tensor, new: Tensor, controls: Controls, scene: Scene) -> Tensor:
    """Return (B, K, ...) with new values for the objects that `controls` selects."""
    if controls.object < 0:
        return new.expand_as(old).clone()
    number = _checked_index("object", controls.object, scene)
    result = old.clone()
    result[:, number] = new.expand_as(old)[:, number]
    return result


def _checked_index(name: str, number: int, scene: Scene) -> int:
    count = scene.boxes.scale.shape[1]
    if not 0 <= number < count:
        raise UserError(f"{name}={number}: a scene has {count} objects, numbered from 0")
    return number
