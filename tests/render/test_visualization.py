"""Visualisations, tested by their pixels."""

from pathlib import Path

import numpy as np
import pytest
import torch

from deep3dmap.render import visualization

RED, GREEN = (255, 0, 0), (0, 255, 0)


def _where(image: torch.Tensor, color: tuple[int, int, int]) -> set[tuple[int, int]]:
    """Return the (row, column) of all pixels of a colour."""
    rows, columns = (image == torch.tensor(color)[:, None, None] / 255).all(0).nonzero().T.tolist()
    return set(zip(rows, columns))


def test_depth_is_bright_where_near_and_grey_where_empty() -> None:
    picture = visualization.depth_picture(torch.tensor([[1.0, 2.0, 3.0], [0.0, float("nan"), float("inf")]]))
    brightness = picture.mean(0)
    assert brightness[0, 0] > brightness[0, 1] > brightness[0, 2]
    assert (picture[:, 1] == visualization.EMPTY).all()


def test_depth_keeps_to_the_given_range() -> None:
    picture = visualization.depth_picture(torch.tensor([[0.5, 1.0, 2.0, 9.0]]), 1.0, 2.0)
    assert torch.equal(picture[:, 0, 0], picture[:, 0, 1])
    assert torch.equal(picture[:, 0, 2], picture[:, 0, 3])


def test_an_empty_depth_map_is_grey() -> None:
    assert (visualization.depth_picture(torch.zeros(2, 2)) == visualization.EMPTY).all()


def test_errors_grow_bright_up_to_the_largest() -> None:
    picture = visualization.error_picture(torch.tensor([[0.0, 0.1, 0.2, 5.0]]), torch.tensor([[True, True, True, False]]), 0.2)
    brightness = picture.mean(0)[0]
    assert brightness[0] < brightness[1] < brightness[2]
    assert brightness[3] == pytest.approx(visualization.EMPTY)


def test_small_pictures_are_enlarged_by_the_smallest_whole_factor_that_does() -> None:
    image = torch.rand(3, 4, 7)
    for least, factor in ((1, 1), (4, 1), (5, 2), (8, 2), (9, 3)):
        larger = visualization.enlarged(image, least)
        assert larger.shape == (3, 4 * factor, 7 * factor)
        assert torch.equal(larger[:, ::factor, ::factor], image)
        assert torch.equal(larger[:, factor - 1 :: factor, factor - 1 :: factor], image)
        assert visualization.enlargement(4, least) == factor


def test_a_point_covers_the_pixel_it_lies_in() -> None:
    drawn = visualization.draw_points(torch.zeros(3, 9, 12), np.array([[7.5, 3.5, 99.0]]), RED, radius=1)
    covered = _where(drawn, RED)
    assert (3, 7) in covered
    assert covered <= {(row, column) for row in (2, 3, 4) for column in (6, 7, 8)}


def test_a_box_is_an_outline() -> None:
    drawn = visualization.draw_box(torch.zeros(3, 20, 20), np.array([2.5, 3.5, 12.5, 15.5]), GREEN, width=1)
    covered = _where(drawn, GREEN)
    assert {(3, 2), (3, 12), (15, 2), (15, 12), (9, 2), (3, 7)} <= covered
    assert (9, 7) not in covered
    assert len(covered) == 2 * 11 + 2 * 11


def test_landmarks_are_joined_along_their_curves() -> None:
    landmarks = np.full((68, 3), -50.0)
    landmarks[36:42, :2] = [[10.5, 10.5], [20.5, 10.5], [30.5, 10.5], [30.5, 20.5], [20.5, 20.5], [10.5, 20.5]]
    covered = _where(visualization.draw_landmarks_68(torch.zeros(3, 40, 40), landmarks, GREEN, radius=1), GREEN)
    assert {(10, 15), (10, 25), (15, 30), (20, 15), (15, 10)} <= covered
    assert (15, 20) not in covered
    with pytest.raises(ValueError, match="68"):
        visualization.draw_landmarks_68(torch.zeros(3, 40, 40), landmarks[:5], GREEN)


def test_drawing_leaves_the_image_alone() -> None:
    image = torch.zeros(3, 8, 8)
    visualization.draw_points(image, torch.tensor([[4.5, 4.5]]), RED)
    assert not image.any()


def test_blend_mixes_within_the_mask() -> None:
    mixed = visualization.blend(torch.zeros(3, 1, 2), torch.ones(3, 1, 2), torch.tensor([[True, False]]), share=0.25)
    assert mixed[:, 0].tolist() == [[0.25, 0.0]] * 3


def test_a_contact_sheet_holds_its_tiles_in_order() -> None:
    colors = torch.eye(3)
    tiles = [(f"tile {i}", colors[i][:, None, None].expand(3, 30, 60)) for i in range(3)]
    tiles[1] = ("larger", torch.nn.functional.interpolate(tiles[1][1][None], scale_factor=2)[0])
    sheet = visualization.contact_sheet(tiles, columns=2)
    step = 30 + visualization.TITLE_HEIGHT + visualization.GAP
    top, left = visualization.TITLE_HEIGHT + 15, visualization.GAP + 30
    assert sheet.size == (2 * 60 + 3 * visualization.GAP, 2 * step + visualization.GAP)
    assert sheet.getpixel((left, top)) == (255, 0, 0)
    assert sheet.getpixel((left + 60 + visualization.GAP, top)) == (0, 255, 0)
    assert sheet.getpixel((left, top + step)) == (0, 0, 255)


def test_titles_and_captions_are_written_in_full() -> None:
    tile = torch.ones(3, 10, 10)
    title, caption = "a title far wider than the picture", "a caption that is wider than all of the pictures and their titles"
    plain = visualization.contact_sheet([("", tile)], 1)
    titled = visualization.contact_sheet([(title, tile), ("b", tile)], 2)
    captioned = visualization.contact_sheet([("", tile)], 1, caption)
    assert plain.getextrema() == ((255, 255),) * 3
    dark = np.asarray(titled.convert("L")) < 128
    assert dark.any(0).nonzero()[0].max() > 200
    assert captioned.width > 400
    assert (np.asarray(captioned.convert("L"))[:, -visualization.GAP :] == 255).all()


@pytest.mark.parametrize(("tiles", "columns"), [([], 2), ([("a", torch.ones(3, 4, 4))], 0)])
def test_an_empty_sheet_is_refused(tiles: list[tuple[str, torch.Tensor]], columns: int) -> None:
    with pytest.raises(ValueError, match="needs tiles"):
        visualization.contact_sheet(tiles, columns)


def test_png_keeps_every_value(tmp_path: Path) -> None:
    from PIL import Image

    image = torch.arange(48).reshape(3, 4, 4) / 255
    with Image.open(visualization.save_png(image, tmp_path / "a.png")) as picture:
        assert torch.equal(visualization.from_pil(picture), image)
