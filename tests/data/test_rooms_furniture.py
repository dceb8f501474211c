"""Furniture stands on the floor within its footprint, is closed and faces outwards; rooms have the expected contents."""

from collections.abc import Callable

import numpy as np
import pytest

from deep3dmap.data.scenes import rooms_furniture as furniture
from deep3dmap.data.scenes.rooms_furniture import Palette, Piece
from deep3dmap.data.scenes.rooms_layout import design_room
from deep3dmap.data.scenes.rooms_shapes import triangles
from deep3dmap.ops.solid_texture import PATTERNS

PIECES = (
    *(furniture.table, furniture.round_table, furniture.chair, furniture.shelf, furniture.dresser),
    *(furniture.sofa, furniture.bed, furniture.floor_lamp, furniture.plant),
)


def made(build: Callable[[Palette], Piece], seed: int) -> tuple[Piece, Palette]:
    palette = Palette(np.random.default_rng(seed))
    return build(palette), palette


@pytest.mark.parametrize("build", PIECES, ids=lambda build: build.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_a_piece_stands_within_the_footprint_it_claims(build: Callable[[Palette], Piece], seed: int) -> None:
    piece, palette = made(build, seed)
    corners = piece.quads.corners.reshape(-1, 3)
    assert 0 <= corners[:, 2].min() <= 0.06, "on the floor, but for a sofa, whose feet are not drawn"
    assert np.abs(corners[:, 0]).max() <= piece.width / 2 + 0.02
    assert np.abs(corners[:, 1]).max() <= piece.depth / 2 + 0.05
    assert corners[:, 2].max() >= 0.75 * piece.height, "its height is what it may reach, as leaves and cushions do by chance"
    assert piece.quads.material.min() >= 0
    assert piece.quads.material.max() < len(palette.materials)
    np.testing.assert_allclose(np.linalg.norm(piece.quads.normals, axis=-1), 1, atol=1e-6)


# A lampshade is open at both ends.
@pytest.mark.parametrize("build", [piece for piece in PIECES if piece is not furniture.floor_lamp], ids=lambda b: b.__name__)
def test_a_piece_is_made_of_solids_that_face_outwards(build: Callable[[Palette], Piece]) -> None:
    piece, _ = made(build, 0)
    corners = piece.quads.corners.reshape(-1, 3)[triangles(piece.quads)]
    # Divergence theorem: the total volume of outward-facing solids is positive and independent of the origin.
    volumes = [np.linalg.det(corners - shift).sum() / 6 for shift in ((0, 0, 0), (5, -3, 2))]
    assert volumes[0] > 0.001
    assert volumes[1] == pytest.approx(volumes[0], rel=1e-6), "closed"
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    given = piece.quads.normals.mean(1).repeat(2, 0)
    proper = np.linalg.norm(normals, axis=1) > 1e-12
    assert ((normals * given).sum(1)[proper] > 0).all(), "shading and winding agree"


def test_equal_generators_give_equal_pieces_and_others_differ() -> None:
    for build in PIECES:
        first, again, other = (made(build, seed) for seed in (4, 4, 5))
        np.testing.assert_array_equal(first[0].quads.corners, again[0].quads.corners)
        assert first[1].materials == again[1].materials
        shapes = first[0].quads.corners.shape != other[0].quads.corners.shape
        moved = shapes or not np.array_equal(first[0].quads.corners, other[0].quads.corners)
        assert moved or first[1].materials != other[1].materials or build is furniture.floor_lamp


def test_palettes_know_their_materials() -> None:
    palette = Palette(np.random.default_rng(0))
    numbers = [palette.wood(), palette.metal(), palette.accent(), palette.accent(("dots",), 0.2)]
    assert numbers == [0, 1, 2, 3]
    assert palette.materials[0].kind == "planks"
    assert palette.materials[3].kind == "dots"
    assert 0.14 <= palette.materials[3].scale <= 0.28
    for material in palette.materials:
        assert material.kind in PATTERNS
        assert all(0 <= channel <= 1 for color in (material.first, material.second) for channel in color)


@pytest.mark.parametrize("seed", range(6))
def test_rooms_hold_their_furniture_and_their_lights(seed: int) -> None:
    room = design_room(np.random.default_rng(seed))
    corners = room.quads.corners.reshape(-1, 3)
    # A chair pushed against a wall may reach into it, where it is invisible.
    assert (corners >= -0.2).all()
    assert (corners <= np.array(room.size) + 0.2).all()
    assert ((corners >= -0.01) & (corners <= np.array(room.size) + 0.01)).all(1).mean() > 0.98
    assert ((room.lights > 0) & (room.lights < room.size)).all()
    assert (room.powers > 0).all()
    assert len(room.lights) == len(room.powers)
    assert room.quads.material.max() == len(room.materials) - 1
    # The shell is the first six quads, which face into the room.
    middle = np.array(room.size) / 2
    inwards = ((middle - room.quads.corners[:6].mean(1)) * room.quads.normals[:6, 0]).sum(1)
    assert (inwards > 0).all()
    floor = room.quads.corners[:6].mean(1)[:, 2].min()
    assert floor == 0
