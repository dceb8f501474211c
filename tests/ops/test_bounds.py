"""No argument makes a native op access memory outside its arrays: ids, rows, offsets and sizes are checked."""

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from deep3dmap import ops
from deep3dmap.ops import _backend, sparse
from deep3dmap.ops.neural_mesh import depth_of_faces, find_faces, follow_edges

VERTICES = torch.tensor([[1.0, 1, 2], [9, 1, 2], [1, 9, 2], [9, 9, 3]])
FACES = torch.tensor([[0, 2, 1], [1, 2, 3]])
SEEN = torch.zeros(10, 10, dtype=torch.int64)
IMAGE = torch.rand(3, 10, 10)
ODD = (-2, 2, 10**6, 2**40, -(2**62))


def beyond(value: int) -> torch.Tensor:
    ids = SEEN.clone()
    ids[4, 4] = value
    return ids


def fragments(face_id: torch.Tensor) -> ops.Fragments:
    return ops.Fragments(torch.ones(10, 10), face_id, torch.full((10, 10, 3), 1 / 3))


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("value", ODD)
def test_face_ids_that_are_not_there(value: int, backend: Any) -> None:
    with pytest.raises(ValueError, match="indexes faces"):
        follow_edges(IMAGE, VERTICES, FACES, beyond(value), backend=backend)
    with pytest.raises(ValueError, match="indexes faces"):
        depth_of_faces(VERTICES, FACES, fragments(beyond(value)), backend=backend)
    with pytest.raises(ValueError, match="indexes faces"):
        ops.look_at_faces(VERTICES, FACES, beyond(value)[..., None], backend=backend)


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("value", [-1, 4, 2**40])
def test_vertices_that_are_not_there(value: int, backend: Any) -> None:
    faces = torch.tensor([[0, 2, value]])
    for call in (
        lambda: ops.rasterize(VERTICES, faces, 10, 10, backend=backend),
        lambda: find_faces(VERTICES, faces, 10, 10, backend=backend),
        lambda: follow_edges(IMAGE, VERTICES, faces, SEEN, backend=backend),
        lambda: depth_of_faces(VERTICES, faces, fragments(SEEN), backend=backend),
        lambda: ops.rasterize_soft(VERTICES, faces, 10, 10, backend=backend),
        lambda: ops.look_at_faces(VERTICES, faces, SEEN[..., None], backend=backend),
    ):
        with pytest.raises(ValueError, match="faces index vertices"):
            call()


@pytest.mark.parametrize("value", ODD)
def test_the_operators_and_kernels_themselves(value: int) -> None:
    """Also when bypassing the public functions through torch.library."""
    registered, ids = torch.ops.deep3dmap, beyond(value)
    image, corners = IMAGE.permute(1, 2, 0).contiguous(), torch.zeros(2, 3, 2)
    calls: list[Callable[[], Any]] = [
        lambda: registered.neural_mesh_edges_backward(IMAGE, IMAGE, VERTICES, FACES, ids, 1e-3, True),
        lambda: registered.neural_mesh_depth_backward(
            SEEN[None].float(), VERTICES[None], FACES, ids[None], SEEN[None].float(), torch.zeros(1, 10, 10, 3), True
        ),
        lambda: registered.evaluate_faces(VERTICES, FACES, ids[..., None], True, True),
        lambda: _backend.native().neural_mesh_edges_backward_cpu(VERTICES, FACES, ids, image, image, corners, 0.1, 0.1, 1),
        lambda: _backend.native().rasterize_cpu(
            VERTICES[None], torch.tensor([[0, 1, value if value >= 4 else -2]]), SEEN[None].float(), SEEN[None].clone(),
            torch.zeros(1, 10, 10, 3), True, 0, 1,
        ),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ValueError, match=r"not there|out of range"):
            call()


def composite_arguments() -> list[torch.Tensor]:
    """Two rays with three samples: inputs, then outputs."""
    given = [torch.ones(3), torch.ones(3, 3), torch.ones(3), torch.ones(3), torch.tensor([0, 1, 3])]
    return [*given, torch.ones(2, 3), torch.ones(2), torch.ones(2), torch.ones(3)]


def march_arguments() -> list[torch.Tensor]:
    """Two rays through the centre of a fully occupied grid."""
    eyes, towards = torch.tensor([[-1.0, 0, 0]] * 2), torch.tensor([[1.0, 0, 0]] * 2)
    return [eyes, towards, torch.zeros(2), torch.full((2,), 2.0), torch.zeros(2), torch.ones(4, 4, 4, dtype=torch.uint8)]


def shrunk(arguments: list[torch.Tensor], place: int, axis: int) -> list[torch.Tensor]:
    value = arguments[place]
    return [*arguments[:place], value.narrow(axis, 0, value.shape[axis] - 1).contiguous(), *arguments[place + 1 :]]


def each_shrunk(arguments: list[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Return the arguments once for each axis of each argument, with that axis shortened by one."""
    return [shrunk(arguments, place, axis) for place, value in enumerate(arguments) for axis in range(value.dim())]


def test_kernels_of_radiance_fields_refuse_what_does_not_fit() -> None:
    native = _backend.native()
    composited, marched = composite_arguments(), march_arguments()
    gradients = [*composited, torch.ones(3), torch.ones(3, 3)]
    counted = [*marched, torch.zeros(2, dtype=torch.int64)]
    filled = [*marched, torch.tensor([0, 8, 16]), torch.ones(16), torch.ones(16)]
    for kernel, arguments, settings in (
        (native.composite_forward_cpu, composited, (1e-4, 1)),
        (native.composite_backward_cpu, gradients, (1e-4, 1)),
        (native.march_count_cpu, counted, (False, 0.25, 0.0, 1)),
        (native.march_fill_cpu, filled, (False, 0.25, 0.0, 1)),
    ):
        kernel(*arguments, *settings)
        for wrong in each_shrunk(arguments):
            with pytest.raises(ValueError, match=r"must"):
                kernel(*wrong, *settings)
    levels = ([2], [27])
    encoded = [torch.ones(5, 3), torch.ones(27, 2), torch.ones(5, 2), torch.ones(5, 3)]
    native.hash_grid_backward_positions_cpu(*encoded, *levels, 1)
    for axis in (0, 1):
        with pytest.raises(ValueError, match="shape of positions"):
            native.hash_grid_backward_positions_cpu(*shrunk(encoded, 3, axis), *levels, 1)


@pytest.mark.parametrize(
    ("resolutions", "sizes", "words"),
    [
        ([0], [27], "a resolution is out of range"),
        ([-1], [27], "a resolution is out of range"),
        ([2**20], [2**10], "a resolution is out of range"),
        ([2**63 - 1], [2**10], "a resolution is out of range"),
        ([2], [0], "a size is out of range"),
        ([2], [2**31 + 1], "a size is out of range"),
        ([2], [-(2**63)], "a size is out of range"),
        ([2], [26], "must be a power of two"),
        ([2], [28], "as many entries as its levels need"),
        ([2], [], "there must be 1 to 32 levels"),
        ([], [], "there must be 1 to 32 levels"),
        ([2] * 33, [27] * 33, "there must be 1 to 32 levels"),
    ],
)
def test_levels_that_no_table_holds(resolutions: list[int], sizes: list[int], words: str) -> None:
    positions, table = torch.rand(5, 3), torch.rand(27, 2)
    for kernel, given in (
        ("hash_grid_forward_cpu", (positions, table, torch.empty(5, 2))),
        ("hash_grid_backward_table_cpu", (positions, torch.rand(5, 2), table)),
        ("hash_grid_backward_positions_cpu", (positions, table, torch.rand(5, 2), torch.empty(5, 3))),
    ):
        with pytest.raises(ValueError, match=words):
            getattr(_backend.native(), kernel)(*given, resolutions, sizes, 1)


@pytest.mark.parametrize(
    ("backend", "odd"), [("native", -3e38), ("native", float("nan")), ("native", float("inf")), ("reference", float("inf"))]
)
def test_an_odd_density_spoils_no_other_ray(backend: Any, odd: float) -> None:
    """Regression: the exponential of a large negative density exceeded the integer range, which is undefined."""
    density = torch.tensor([2.0, odd, 2.0, 3.0])
    offsets, halves = torch.tensor([0, 1, 2, 4]), torch.full((4,), 0.5)
    density.requires_grad_()
    drawn = ops.composite(density, torch.ones(4, 3), torch.ones(4), halves, offsets, backend=backend)
    expected = torch.tensor([1 - math.exp(-1), 1 - math.exp(-1), math.exp(-1) * (1 - math.exp(-1.5))])
    torch.testing.assert_close(drawn.weights[[0, 2, 3]], expected)
    drawn.opacity[[0, 2]].sum().backward()
    assert density.grad is not None
    torch.testing.assert_close(density.grad[[0, 2, 3]], 0.5 * torch.tensor([-1.0, -2.5, -2.5]).exp())
    if odd == float("inf"):
        assert drawn.weights[1] == 1


@pytest.mark.parametrize("offsets", [[1, 1, 3], [0, 1, 4], [0, 1, 2], [0, 5, 3], [0, -1, 3], [0, 2**62, 3]])
def test_offsets_of_samples_that_do_not_rise(offsets: list[int]) -> None:
    native, wrong = _backend.native(), torch.tensor(offsets)
    composited = [*composite_arguments()[:4], wrong, *composite_arguments()[5:]]
    for call in (
        lambda: native.composite_forward_cpu(*composited, 1e-4, 1),
        lambda: native.composite_backward_cpu(*composited, torch.ones(3), torch.ones(3, 3), 1e-4, 1),
        lambda: native.march_fill_cpu(*march_arguments(), wrong, torch.ones(3), torch.ones(3), False, 0.25, 0.0, 1),
    ):
        with pytest.raises(ValueError, match=r"offsets must run from 0 .* without decreasing"):
            call()  # type: ignore[no-untyped-call]


def test_a_ray_that_finds_more_samples_than_it_has_room_for_writes_no_further() -> None:
    distances, lengths = torch.full((6,), -1.0), torch.full((6,), -1.0)
    offsets = torch.tensor([0, 2, 3])
    _backend.native().march_fill_cpu(*march_arguments(), offsets, distances[:3], lengths[:3], False, 0.25, 0.0, 1)
    assert distances.tolist() == [0.125, 0.375, 0.125, -1, -1, -1]
    assert lengths.tolist() == [0.25] * 3 + [-1] * 3


@pytest.mark.parametrize(
    ("place", "value"), [(0, 2**30), (2, 2**30), (3, 2**40), (4, 2**31 - 1), (5, -(2**31) - 5), (5, -(2**63)), (1, 0), (2, -1)]
)
def test_filters_whose_places_an_int_cannot_count(place: int, value: int) -> None:
    """Up x and y, down x and y, pads x and y: a product of two of them overflowed and determined the memory to allocate."""
    images, kernel, out = torch.ones(1, 4, 4), torch.ones(2, 2), torch.empty(1, 4, 4)
    geometry = [1, 1, 1, 1, 1, 1]
    _backend.native().upfirdn2d_cpu(images, kernel, out, *geometry, 1)
    geometry[place] = value
    with pytest.raises(ValueError, match=r"fewer than 2\^31 samples|at least 1"):
        _backend.native().upfirdn2d_cpu(images, kernel, out, *geometry, 1)


def test_levels_are_looked_at_before_memory_is_taken_for_their_gradient() -> None:
    positions, grad_output = torch.rand(5, 3), torch.rand(5, 2)
    with pytest.raises(ValueError, match=r"sizes in 1 \.\. 2\^31, got 2 and 1099511627776"):
        torch.ops.deep3dmap.hash_grid_backward_table(positions, grad_output, [2], [1 << 40])


def test_filters_and_rectifiers_refuse_what_does_not_fit() -> None:
    native = _backend.native()
    with pytest.raises(ValueError, match="same number of planes"):
        native.upfirdn2d_cpu(torch.ones(2, 4, 4), torch.ones(1, 1), torch.empty(1, 4, 4), 1, 1, 1, 1, 0, 0, 1)
    with pytest.raises(ValueError, match="at least 1"):
        native.upfirdn2d_cpu(torch.ones(1, 4, 4), torch.ones(0, 1), torch.empty(1, 4, 4), 1, 1, 1, 1, 0, 0, 1)
    values, bias, nothing = torch.ones(2, 3, 4), torch.ones(3), torch.empty(0)
    native.leaky_relu_cpu(values, bias, nothing, torch.empty(2, 3, 4), 0.2, 1.0, 1)
    for wrong in (
        (values, torch.ones(4), nothing, torch.empty(2, 3, 4)),
        (values, bias, torch.ones(2, 3, 3), torch.empty(2, 3, 4)),
        (values, bias, nothing, torch.empty(2, 3, 3)),
    ):
        with pytest.raises(ValueError, match="must"):
            native.leaky_relu_cpu(*wrong, 0.2, 1.0, 1)


@pytest.mark.gpu
def test_offsets_on_cuda_lead_nowhere_beyond_the_samples() -> None:
    given = [value.cuda() for value in composite_arguments()[:4]]
    for offsets in ([0, 2**40, 3], [-(2**40), 1, 3], [2**40, 2**41, -(2**40)]):
        density = given[0].clone().requires_grad_()
        ops.composite(density, *given[1:], torch.tensor(offsets).cuda()).color.sum().backward()
        torch.cuda.synchronize()


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_batches_that_do_not_fit(backend: Any) -> None:
    for call in (ops.rasterize, find_faces):
        with pytest.raises(ValueError, match=r"floating \(V, 3\) or \(B, V, 3\), B >= 1, got torch.float32 \(0, 4, 3\)"):
            call(VERTICES[None][:0], FACES, 10, 10, backend=backend)
    with pytest.raises(ValueError, match=r"must be floating \(V, 3\), got"):
        follow_edges(IMAGE, VERTICES[None], FACES, SEEN, backend=backend)
    with pytest.raises(ValueError, match="int64 with 3 dimensions"):
        depth_of_faces(VERTICES[None], FACES, fragments(SEEN), backend=backend)
    two = ops.Fragments(*(image[None].repeat(2, *[1] * image.dim()) for image in fragments(SEEN)))
    with pytest.raises(ValueError, match="an image for each mesh, got 2 images for 1 meshes"):
        depth_of_faces(VERTICES[None], FACES, two, backend=backend)


def test_images_that_cannot_be_counted() -> None:
    for call in (
        lambda: ops.rasterize(VERTICES, FACES, 1 << 16, 1 << 15),
        lambda: find_faces(VERTICES, FACES, 1 << 16, 1 << 15),
        lambda: ops.rasterize_soft(VERTICES, FACES, 1 << 20, 1 << 11),
        lambda: torch.ops.deep3dmap.rasterize(VERTICES[None], FACES, 1 << 31, 1, True, False),
        lambda: torch.ops.deep3dmap.back_project_backward(
            torch.ones(1, 1), torch.ones(1, 3, 4), torch.ones(1, 3), torch.ones(1, dtype=torch.int32), 1 << 20, 1 << 20
        ),
        lambda: torch.ops.deep3dmap.upfirdn2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1), [1, 1, 1, 1, 0, 0], 1 << 40, 1),
        lambda: ops.look_at_faces(VERTICES, FACES, SEEN[:1, :1, None].expand(1 << 16, 1 << 15, 1)),
        lambda: ops.integrate(
            torch.ones(2, 2, 2), torch.zeros(2, 2, 2), torch.ones(1, 1).expand(1 << 16, 1 << 15), torch.eye(3), torch.eye(4),
            torch.zeros(3), 0.1, 0.3,
        ),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="fewer than 2\\^31 pixels"):
            call()  # type: ignore[no-untyped-call]


def test_rows_that_float32_cannot_count() -> None:
    """Of 2^24 + 3 rows the last but one was rounded to a row beyond the last."""
    with pytest.raises(ValueError, match=r"at most 2\^24 pixels high and wide"):
        ops.integrate(
            torch.ones(2, 2, 2), torch.zeros(2, 2, 2), torch.ones((1 << 24) + 3, 1), torch.eye(3), torch.eye(4),
            torch.zeros(3), 0.1, 0.3,
        )  # fmt: skip


def test_maps_without_channels() -> None:
    with pytest.raises(ValueError, match="a feature map must have a channel"):
        torch.ops.deep3dmap.back_project(torch.ones(1, 0, 3, 4), torch.ones(1, 3, 4), torch.ones(1, 3))


WITHOUT_MEMORY = """
import resource, torch
from deep3dmap.ops import _backend
vertices, faces = torch.tensor([[1.0, 1, 2], [900, 1, 2], [1, 900, 2]]), torch.tensor([[0, 2, 1]])
face_id = torch.full((1024, 1024, 16), -1)
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (4 << 20), resource.RLIM_INFINITY))
try:
    _backend.native().select_faces_cpu(vertices, faces, face_id, 1.0, True, True, 0, False, 1)
except MemoryError:
    print("refused")
"""


def test_memory_that_is_not_there_does_not_end_the_process() -> None:
    """Regression: it was allocated in threads, from which no exception propagates."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_MEMORY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("far", [1 << 18, 1 << 29, (1 << 31) - 1, -(1 << 29), -(1 << 31)])
def test_offsets_that_lead_out_of_the_range(far: int, backend: Any) -> None:
    """2^29 times the key's step exceeds 64 bits: it overflowed, and a far offset could match a near voxel."""
    cells = torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0], [1, -131072, 5, 131071]], dtype=torch.int32)
    for axis in range(3):
        offset = torch.zeros(3, 3, dtype=torch.int32)
        offset[0, axis], offset[2, axis] = far, -far if far > -(1 << 31) else (1 << 31) - 1
        pairs = sparse.kernel_map(cells, cells, offset, backend)
        assert pairs.splits.tolist() == [0, 0, 3, 3]
        assert pairs.in_rows.tolist() == [0, 1, 2]


def test_the_longest_offset_within_the_range() -> None:
    ends = torch.tensor([[0, -131072, 0, 0], [0, 131071, 0, 0]], dtype=torch.int32)
    offsets = torch.tensor([[262143, 0, 0], [0, 0, 0], [-262143, 0, 0]], dtype=torch.int32)
    for backend in ("native", "reference"):
        pairs = sparse.kernel_map(ends, ends, offsets, backend)  # type: ignore[arg-type]
        assert pairs.splits.tolist() == [0, 1, 3, 4]
        assert (pairs.in_rows.tolist(), pairs.out_rows.tolist()) == ([1, 0, 1, 0], [0, 0, 1, 1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"in_rows": torch.tensor([0, 3], dtype=torch.int32)},
        {"out_rows": torch.tensor([-1, 0], dtype=torch.int32)},
        {"out_rows": torch.tensor([0], dtype=torch.int32)},
        {"in_rows": torch.tensor([0, 1])},
        {"splits": torch.tensor([0, 3])},
        {"splits": torch.tensor([0, 2, 1, 2])},
        {"splits": torch.tensor([], dtype=torch.int64)},
    ],
)
def test_kernel_maps_that_do_not_fit(wrong: dict[str, torch.Tensor]) -> None:
    rows = torch.tensor([0, 1], dtype=torch.int32)
    fitting: dict[str, Any] = {"in_rows": rows, "out_rows": rows, "splits": torch.tensor([0, 2]), "inputs": 3, "outputs": 2}
    sparse.KernelMap(**fitting)
    with pytest.raises(ValueError, match=r"in_rows|out_rows|splits"):
        sparse.KernelMap(**{**fitting, **wrong})


def test_faces_so_far_away_that_distances_overflow_have_a_gradient() -> None:
    """No edge is the nearest then; the index of the nearest edge was uninitialised memory, but was used."""
    vertices = torch.tensor([[3e38, 0, 1], [0, 3e38, 1], [-3e38, -3e38, 1.0]])
    faces, face_id = torch.tensor([[0, 1, 2]]), torch.zeros(9, 9, 1, dtype=torch.int64)
    depth, barycentrics = torch.ones(9, 9, 1), torch.ones(9, 9, 1, 3)
    for _ in range(20):
        found = torch.ops.deep3dmap.evaluate_faces_backward(vertices, faces, face_id, depth, barycentrics, depth, True, True)
        assert found.shape == (3, 3)


def test_edges_of_corners_that_are_not_finite_are_left_out() -> None:
    vertices = VERTICES.clone()
    vertices[0, 0] = float("inf")
    for native in (True, False):
        moved = torch.ops.deep3dmap.neural_mesh_edges_backward(IMAGE, IMAGE, vertices, FACES, SEEN, 1e-3, native)
        assert moved.isfinite().all()


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("unnoticed", [False, True])
def test_ids_are_looked_at_again_at_every_call(device: str, unnoticed: bool) -> None:
    """Writing through `.data` does not change a tensor's version."""
    vertices, faces = VERTICES.to(device), FACES.to(device, copy=True)
    find_faces(vertices, faces, 10, 10)
    (faces.data if unnoticed else faces)[1, 2] = 4
    with pytest.raises(ValueError, match=r"faces index vertices 0\.\.4, but there are 4"):
        find_faces(vertices, faces, 10, 10)
    faces[1, 2] = 3
    find_faces(vertices, faces, 10, 10)
