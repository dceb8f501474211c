"""Samples of posed scenes: held-out views, backgrounds, and downscaling."""

from pathlib import Path

import numpy as np
import pytest

from deep3dmap.core.errors import UserError
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.datasets.scene_views import SceneSplit, every_nth_held_out, scene_sample
from deep3dmap.data.formats.images import write_image
from deep3dmap.data.formats.multiview import Frame

INTRINSICS = np.array([[10.0, 0, 4], [0, 12, 3], [0, 0, 1]])


def frames(folder: Path, count: int, alpha: bool = True, height: int = 6) -> list[Frame]:
    rng = np.random.default_rng(count)
    made = []
    for index in range(count):
        file = folder / f"{count}_{index}.png"
        write_image(file, np.round(rng.random((4 if alpha else 3, height, 8)) * 255).astype(np.float32) / 255)
        pose = np.eye(4)
        pose[0, 3] = index
        made.append(Frame(file, None, Camera(INTRINSICS, pose, 8, height)))
    return made


@pytest.mark.parametrize(("every", "first", "held"), [(8, 0, [0, 8]), (8, 7, [7]), (3, 1, [1, 4, 7]), (20, 15, [])])
def test_every_so_many_th_view_is_held_out(tmp_path: Path, every: int, first: int, held: list[int]) -> None:
    views = frames(tmp_path, 10)
    given, held_out = every_nth_held_out(views, every, first)
    assert held_out == [views[index] for index in held]
    assert given == [view for index, view in enumerate(views) if index not in held]


def test_backgrounds_are_laid_behind_before_pictures_become_smaller(tmp_path: Path) -> None:
    given, held_out = frames(tmp_path, 3), frames(tmp_path, 2)
    own = scene_sample(given, held_out, "own")
    white = scene_sample(given, held_out, "white", factor=2)
    assert "background" not in own
    np.testing.assert_array_equal(white["background"], [1, 1, 1])
    composed = own["test_images"] * own["test_masks"][:, None] + 1 - own["test_masks"][:, None]
    blocks = composed.reshape(2, 3, 3, 2, 4, 2).mean((3, 5))
    np.testing.assert_allclose(white["test_images"], blocks, atol=1e-6)
    np.testing.assert_allclose(white["masks"], own["masks"].reshape(3, 3, 2, 4, 2).mean((2, 4)), atol=1e-6)
    assert white["intrinsics"][0].tolist() == [[5, 0, 2], [0, 6, 1.5], [0, 0, 1]]
    np.testing.assert_array_equal(white["world_from_camera"], own["world_from_camera"])
    black = scene_sample(given, held_out, "black")
    np.testing.assert_allclose(black["images"], own["images"] * own["masks"][:, None], atol=1e-6)


def test_scenes_without_masks_have_none_and_keep_their_background(tmp_path: Path) -> None:
    given = frames(tmp_path, 2, alpha=False)
    sample = scene_sample(given, [], "white", factor=2, masked=False)
    assert set(sample) == {"images", "intrinsics", "world_from_camera"}
    whole = scene_sample(given, [], "own", masked=False)["images"]
    np.testing.assert_allclose(sample["images"], whole.reshape(2, 3, 3, 2, 4, 2).mean((3, 5)), atol=1e-6)


def test_what_cannot_be_a_scene_is_refused(tmp_path: Path) -> None:
    views, low = frames(tmp_path, 3), frames(tmp_path, 2, height=4)
    with pytest.raises(UserError, match=r"1 views given; reconstructing a scene needs at least 2"):
        scene_sample(views[:1], views[1:], "own")
    with pytest.raises(UserError, match=r"3_0.png: 8 x 6 pixels cannot be divided by dataset.factor=4"):
        scene_sample(views, [], "white", factor=4)
    with pytest.raises(UserError, match="images of different sizes"):
        scene_sample([*views, *low], [], "white")
    with pytest.raises(UserError, match=r"4_0.png: no alpha channel, but a black background was requested"):
        scene_sample(frames(tmp_path, 4, alpha=False), [], "black")


def test_scenes_are_read_when_they_are_asked_for() -> None:
    read: list[str] = []

    def load(name: str) -> dict[str, str]:
        read.append(name)
        return {"title": name}

    split = SceneSplit(["lego", "ship"], load)
    assert (len(split), split.name(1), read) == (2, "ship", [])
    assert [sample["title"] for sample in split] == ["lego", "ship"]
    assert split[1] == {"title": "ship"}
    assert read == ["lego", "ship", "ship"]
