"""Simplified meshes have fewer triangles and the same surface."""

import numpy as np
import pytest
import trimesh

from deep3dmap.core.mesh import Mesh
from deep3dmap.geometry.vertex_clustering import simplify_mesh


def sphere(subdivisions=5):
    ball = trimesh.creation.icosphere(subdivisions=subdivisions)
    return Mesh(ball.vertices, ball.faces, np.abs(ball.vertices))


@pytest.mark.parametrize("most", [50, 1000, 5000])
def test_as_many_triangles_as_allowed_and_hardly_fewer(most):
    assert 0.6 * most < len(simplify_mesh(sphere(), most).faces) <= most


def test_small_mesh_is_returned_as_it_is():
    mesh = sphere(2)
    assert simplify_mesh(mesh, len(mesh.faces)) is mesh


def test_sphere_stays_a_sphere_and_keeps_its_colours():
    small = simplify_mesh(sphere(), 2000)
    assert np.abs(np.linalg.norm(small.vertices, axis=1) - 1).max() < 0.003
    assert np.abs(small.colors - np.abs(small.vertices)).max() < 0.05
    solid = trimesh.Trimesh(small.vertices, small.faces, process=False)
    assert solid.volume == pytest.approx(4.19, rel=0.02)


def test_edges_of_a_box_stay_sharp():
    box = trimesh.creation.box()
    for _ in range(5):
        box = box.subdivide()
    small = simplify_mesh(Mesh(box.vertices, box.faces), 2000)
    corners = np.abs(np.abs(small.vertices) - 0.5).max(1).min()
    assert corners < 1e-3
    assert np.abs(np.abs(small.vertices).max(1) - 0.5).max() < 1e-3


def test_far_from_the_origin_nothing_gets_lost():
    mesh = sphere()
    moved = simplify_mesh(Mesh(mesh.vertices + np.array([1000, 0, 0]), mesh.faces), 2000)
    assert np.abs(np.linalg.norm(moved.vertices - [1000, 0, 0], axis=1) - 1).max() < 0.004


def test_same_mesh_gives_the_same_result():
    first, second = simplify_mesh(sphere(), 700), simplify_mesh(sphere(), 700)
    assert np.array_equal(first.vertices, second.vertices)
    assert np.array_equal(first.faces, second.faces)


def test_cloud_is_thinned_with_its_colours():
    points = np.random.default_rng(0).random((5000, 3)).astype(np.float32)
    small = simplify_mesh(Mesh(points, np.zeros((0, 3)), points), 100)
    assert len(small.vertices) == 100
    assert np.array_equal(small.vertices, small.colors)


@pytest.mark.parametrize("corners", [np.zeros((9, 3)), np.eye(3)[np.arange(9) % 3] * 1e-20, np.arange(27).reshape(9, 3) // 9])
def test_degenerate_meshes_end_in_few_triangles_without_a_complaint(corners):
    faces = np.arange(9).reshape(3, 3)
    small = simplify_mesh(Mesh(corners, faces), 2)
    assert len(small.faces) <= 2
    assert np.isfinite(small.vertices).all()


def test_empty_mesh_stays_empty():
    nothing = Mesh(np.zeros((0, 3)), np.zeros((0, 3)))
    assert simplify_mesh(nothing, 10) is nothing


def test_vertices_that_no_triangle_has_are_left_out():
    points = np.random.default_rng(0).random((5000, 3)).astype(np.float32)
    small = simplify_mesh(Mesh(points, [[7, 4000, 9]], points), 10)
    assert np.array_equal(small.vertices[small.faces[0]], points[[7, 4000, 9]])
    assert np.array_equal(small.vertices, small.colors)
    assert len(small.vertices) == 3
