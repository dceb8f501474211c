"""The functions that are called when ops are fuzzed: public functions, registered operators and the kernels behind them.

Each has a specification of every argument. `f N,3`: normal floats of that shape; dimensions are letters in `op_calls.SIZES`.
`u`: floats in [0, 1). `b`, `u1`: 0 and 1 as bool and uint8. `i4`, `i8`: integers, up to a bound. `splits N`: increasing offsets
of N parts, from 0 to P. `cells`: rows of voxels. `list 1,2`: that list. `ints 2,0,3`: two integers from 0 to 2. `any`, `count`,
`bool`, `one`: a number, a small integer, a flag, a name. A single letter: that size.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from deep3dmap import ops
from deep3dmap.ops import _backend, cube_light, neural_mesh, solid_texture, sparse
from deep3dmap.ops.rasterize import interpolate_at

Table = dict[str, tuple[Callable[..., Any], str]]
MESH = "f V,3; i8 F,3 V"
MESHES = "f B,V,3; i8 F,3 V"
SEEN = "i8 B,H,W ~F; f B,H,W; f B,H,W,3"
CELLS = "cells N"
MAP = "i4 P N; i4 P M; splits K"
LEVELS = "list 1,3,6; list 8,64,64"  # of a hash grid of 136 entries, the last level hashed
RAYS = "f N,3; f N,3; f N; f N"
MARCHED = f"{RAYS}; u N; u1 X,X,X"
SAMPLES = "f P; f P,3; f P; f P; splits N"
COMPOSITED = "f N,3; f N; f N; f P"


@cache
def op_table() -> Table:
    """Return {name: (function, specification of its arguments)}."""
    return _public() | _operators() | _kernels()


def _public() -> Table:
    def convolve(features: Tensor, weight: Tensor, *rows: Any) -> Tensor:
        return sparse.sparse_conv3d(features, weight, sparse.KernelMap(*rows))

    def soft(vertices: Tensor, faces: Tensor, height: int, width: int, count: int, blur: float, clip: bool, order: Any) -> Any:
        return ops.rasterize_soft(
            vertices, faces, height, width, faces_per_pixel=count, blur_radius=blur, clip_barycentrics=clip, order=order
        )

    def depth_of_faces(vertices: Tensor, faces: Tensor, face_id: Tensor, depth: Tensor, barycentrics: Tensor) -> Tensor:
        return neural_mesh.depth_of_faces(vertices, faces, ops.Fragments(depth, face_id, barycentrics))

    def drawn(vertices: Tensor, faces: Tensor, height: int, width: int) -> Any:
        return neural_mesh.render_neural_mesh(vertices, faces, height, width)

    def encoded(table: Tensor, positions: Tensor, resolutions: list[int], sizes: list[int]) -> Tensor:
        return ops.hash_grid(positions, table, ops.HashGridLevels(tuple(resolutions), tuple(sizes)))

    def marched(*given: Any) -> Any:
        *rays, step, cone, contracted, jitter = given
        return ops.march_rays(*rays, step, cone=cone, contracted=contracted, jitter=jitter)

    def filtered(images: Tensor, kernel: Tensor, up: list[int], down: list[int], padding: list[int]) -> Tensor:
        return ops.upfirdn2d(images, kernel, up=up, down=down, padding=padding)

    def coloured(points: Tensor, material: Tensor, *materials: Any) -> Tensor:
        return solid_texture.solid_albedo(points, material, solid_texture.SolidMaterials(*materials))

    def shaded(points: Tensor, material: Tensor, pattern: Tensor, numbers: Tensor, received: Tensor, glow: Tensor) -> Tensor:
        return solid_texture.solid_shade(points, material, solid_texture.SolidMaterials(pattern, numbers), received, glow)

    def lit(received: Tensor, points: Tensor, normals: Tensor, *light: Any) -> None:
        cube_light.add_cube_light(received, points, normals, cube_light.CubeLight(*light))

    return {
        "rasterize": (ops.rasterize, f"{MESH}; H; W"),
        "rasterize a batch": (ops.rasterize, f"{MESHES}; H; W"),
        "rasterize_camera": (ops.rasterize_camera, f"{MESH}; f 3,3; H; W"),
        "rasterize_soft": (_backwards(soft), f"{MESH}; H; W; K; any; bool; one depth,distance"),
        "look_at_faces": (_backwards(ops.look_at_faces), f"{MESH}; i8 H,W,K ~F"),
        "find_faces": (neural_mesh.find_faces, f"{MESH}; H; W"),
        "find_faces in a batch": (neural_mesh.find_faces, f"{MESHES}; H; W"),
        "follow_edges": (lambda v, f, i, p: _backwards(neural_mesh.follow_edges)(p, v, f, i), f"{MESH}; i8 H,W ~F; f C,H,W"),
        "follow_edges to corners": (
            _backwards(lambda v, f, i, p: neural_mesh.follow_edges(p, v, f, i)),
            f"{MESH}; i8 H,W ~F; f C,H,W",
        ),
        "depth_of_faces": (_backwards(depth_of_faces), f"{MESH}; i8 H,W ~F; f H,W; f H,W,3"),
        "depth_of_faces in a batch": (_backwards(depth_of_faces), f"{MESHES}; {SEEN}"),
        "render_neural_mesh": (_backwards(drawn), f"{MESH}; H; W"),
        "back_project": (_backwards(ops.back_project), "f B,C,H,W; f B,3,4; f N,3"),
        "integrate": (ops.integrate, "f X,Y,Z; f X,Y,Z; f H,W; f 3,3; f 4,4; f 3; any; any"),
        "kernel_map": (sparse.kernel_map, f"{CELLS}; cells M; i4 K,3 3"),
        "lookup": (sparse.lookup, f"{CELLS}; i4 M,4 9"),
        "downsample": (sparse.downsample, f"{CELLS}; K"),
        "sparse_conv3d": (_backwards(convolve), f"f N,C; f K,C,D; {MAP}; N; M"),
        "voxelize_mean": (_backwards(sparse.voxelize_mean), "f P,C; i8 P ~N; N"),
        "trilinear_map": (sparse.trilinear_map, f"f P,3; i8 P B; {CELLS}; K"),
        "devoxelize": (_backwards(sparse.devoxelize), "f N,C; i8 P,8 ~N; f P,8"),
        "composite": (_backwards(ops.composite), f"{SAMPLES}; any"),
        "march_rays": (marched, f"{RAYS}; b X,X,X; any; any; bool; u N"),
        "hash_grid": (_backwards(encoded), f"f 136,2; u N,3; {LEVELS}"),
        "hash_grid to positions": (_backwards(lambda p, t, *levels: encoded(t, p, *levels)), f"u N,3; f 136,2; {LEVELS}"),
        "upfirdn2d": (_backwards(filtered), "f B,C,H,W; f K,X; ints 2,1,4; ints 2,1,4; ints 4,-2,4"),
        "fused_leaky_relu": (_backwards(ops.fused_leaky_relu), "f N,C,K; f C; any; any"),
        "solid_albedo": (coloured, "f 3,N; i8 N K; u1 K; f K,8"),
        "solid_shade": (shaded, "f 3,N; i8 N K; u1 K; f K,8; f N; f K"),
        "interpolate_at": (interpolate_at, "i8 N F; f N,3; i8 F,3 V; f V,C"),
        "value_noise": (solid_texture.value_noise, "f 3,N"),
        "add_cube_light": (lit, "f N; f 3,N; f 3,N; f 3; any; f 6,Z,Z; any"),
    }


def _operators() -> Table:
    registered = torch.ops.deep3dmap
    return {
        "neural_mesh_faces": (registered.neural_mesh_faces, f"{MESHES}; H; W; any; any; bool"),
        "neural_mesh_edges": (registered.neural_mesh_edges, f"f C,H,W; {MESH}; i8 H,W ~F; any; bool"),
        "neural_mesh_depth": (registered.neural_mesh_depth, f"{MESHES}; {SEEN}; bool"),
        "back_project operator": (registered.back_project, "f B,C,H,W; f B,3,4; f N,3"),
        "back_project_backward": (registered.back_project_backward, "f N,C; f B,3,4; f N,3; i4 N 9; H; W"),
        "neural_mesh_edges_backward": (
            registered.neural_mesh_edges_backward,
            f"f C,H,W; f C,H,W; {MESH}; i8 H,W ~F; any; bool",
        ),
        "neural_mesh_depth_backward": (
            registered.neural_mesh_depth_backward,
            f"f B,H,W; {MESHES}; {SEEN}; bool",
        ),
        "rasterize operator": (registered.rasterize, f"{MESHES}; H; W; bool; bool"),
        "rasterize_soft operator": (registered.rasterize_soft, f"{MESH}; H; W; K; any; bool; bool; count 1; bool"),
        "evaluate_faces": (registered.evaluate_faces, f"{MESH}; i8 H,W,K ~F; bool; bool"),
        "evaluate_faces_backward": (
            registered.evaluate_faces_backward,
            f"{MESH}; i8 H,W,K ~F; f H,W,K; f H,W,K,3; f H,W,K; bool; bool",
        ),
        "sparse_convolve": (registered.sparse_convolve, f"f N,C; f K,C,D; {MAP}; M"),
        "sparse_convolve_weight_gradient": (registered.sparse_convolve_weight_gradient, f"f N,C; f M,D; {MAP}"),
        "sparse_voxelize": (registered.sparse_voxelize, "f P,C; i8 P ~N; N"),
        "sparse_voxelize_backward": (registered.sparse_voxelize_backward, "f N,C; i8 P ~N; i4 N 9"),
        "sparse_devoxelize": (registered.sparse_devoxelize, "f N,C; i8 P,8 ~N; f P,8"),
        "sparse_devoxelize_backward": (registered.sparse_devoxelize_backward, "f P,C; i8 P,8 ~N; f P,8; N"),
        "sparse_neighbours": (registered.sparse_neighbours, f"{CELLS}; cells M; i4 K,3 3"),
        "sparse_lookup operator": (registered.sparse_lookup, f"{CELLS}; i4 M,4 9"),
        "composite operator": (registered.composite, f"{SAMPLES}; any"),
        "composite_backward": (registered.composite_backward, f"{SAMPLES}; {COMPOSITED}; any"),
        "march_count": (registered.march_count, f"{MARCHED}; bool; any; any"),
        "march_fill": (registered.march_fill, f"{MARCHED}; splits N; P; bool; any; any"),
        "hash_grid operator": (registered.hash_grid, f"u N,3; f 136,2; {LEVELS}"),
        "hash_grid_backward_table": (registered.hash_grid_backward_table, f"u N,3; f N,6; {LEVELS}"),
        "hash_grid_backward_positions": (registered.hash_grid_backward_positions, f"u N,3; f 136,2; f N,6; {LEVELS}"),
        "upfirdn2d operator": (registered.upfirdn2d, "f B,C,H,W; f K,X; ints 6,1,4; H; W"),
        "fused_leaky_relu operator": (registered.fused_leaky_relu, "f N,C,K; f C; any; any"),
        "leaky_slope": (registered.leaky_slope, "f N,C,K; f N,C,K; any; any"),
    }


def _kernels() -> Table:
    words = {
        "integrate_cpu": "f X,Y,Z; f X,Y,Z; f 3,X,Y,Z; f H,W; f 3,H,W; f 3,3; f 4,4; f 3; any; any; any",
        "rasterize_cpu": f"{MESHES}; f B,H,W; i8 B,H,W; f B,H,W,3; bool; count 1",
        "select_faces_cpu": f"{MESH}; i8 H,W,K ~F; any; bool; bool; count 1; bool",
        "evaluate_faces_cpu": f"{MESH}; i8 H,W,K ~F; f H,W,K; f H,W,K,3; f H,W,K; bool; bool",
        "evaluate_faces_backward_cpu": f"{MESH}; i8 H,W,K ~F; f H,W,K; f H,W,K,3; f H,W,K; f V,3; bool; bool",
        "neural_mesh_faces_cpu": f"{MESHES}; f B,H,W; i8 B,H,W; f B,H,W,3; any; any; bool",
        "neural_mesh_edges_backward_cpu": f"{MESH}; i8 H,W ~F; f H,W,C; f H,W,C; f F,3,2; any; any",
        "neural_mesh_depth_backward_cpu": f"{MESHES}; {SEEN}; f B,H,W; f B,F,3,3; bool",
        "back_project_forward_cpu": "f B,H,W,C; f B,3,4; f N,3; f N,C; f N; i4 N 9",
        "back_project_backward_cpu": "f N,C; f B,3,4; f N,3; i4 N 9; f B,H,W,C",
        "sparse_pair_counts_cpu": "i4 K,M ~N; i8 K",
        "sparse_pairs_cpu": "i4 K,M ~N; splits K; i4 P N; i4 P M",
        "sparse_conv_forward_cpu": f"f N,C; f K,C,D; {MAP}; f M,D",
        "sparse_conv_weight_gradient_cpu": f"f N,C; f M,D; {MAP}; f K,C,D",
        "sparse_lookup_cpu": f"{CELLS}; i4 M,4 9; i8 M",
        "sparse_neighbours_cpu": f"{CELLS}; cells M; i4 K,3 3; i4 K,M",
        "sparse_voxelize_backward_cpu": "f N,C; i8 P ~N; i4 N 9; f P,C",
        "sparse_devoxelize_forward_cpu": "f N,C; i8 P,8 ~N; f P,8; f P,C",
        "sparse_voxelize_forward_cpu": "f P,C; i8 P ~N; f N,C; i4 N 9",
        "sparse_devoxelize_backward_cpu": "f P,C; i8 P,8 ~N; f P,8; f N,C",
        "composite_forward_cpu": f"{SAMPLES}; {COMPOSITED}; any",
        "composite_backward_cpu": f"{SAMPLES}; {COMPOSITED}; f P; f P,3; any",
        "march_count_cpu": f"{MARCHED}; i8 N; bool; any; any",
        "march_fill_cpu": f"{MARCHED}; splits N; f P; f P; bool; any; any",
        "hash_grid_forward_cpu": f"u N,3; f 136,2; f N,6; {LEVELS}",
        "hash_grid_backward_table_cpu": f"u N,3; f N,6; f 136,2; {LEVELS}",
        "hash_grid_backward_positions_cpu": f"u N,3; f 136,2; f N,6; f N,3; {LEVELS}",
        "upfirdn2d_cpu": f"f B,Y,Z; f K,X; f B,H,W; {'; '.join(['count 4'] * 6)}",
        "leaky_relu_cpu": "f N,C,K; f C; f N,C,K; f N,C,K; any; any",
        "solid_albedo_cpu": "f 3,N; i8 N K; u1 K; f K,8; u 35937; f 3,N",
        "solid_shade_cpu": "f 3,N; i8 N K; u1 K; f K,8; u 35937; f N; f K; f 3,N",
        "interpolate_at_cpu": "i8 N F; f N,3; i8 F,3 V; f V,C; f C,N",
        "value_noise_cpu": "f 3,N; u 35937; f N",
        "cube_light_cpu": "f 3,N; f 3,N; f 6,Z,Z; f 3; any; any; f N",
    }
    return {f"kernel {name}": (_on_two_threads(name), word) for name, word in words.items()}


def _on_two_threads(kernel: str) -> Callable[..., Any]:
    run = getattr(_backend.native(), kernel)
    return lambda *arguments: run(*arguments, 2)


def _backwards(function: Callable[..., Any]) -> Callable[..., None]:
    """Call the function, then differentiate all that it gives in its first floating-point tensor."""

    def run(*arguments: Any) -> None:
        given = list(arguments)
        first = next(i for i, value in enumerate(given) if isinstance(value, Tensor) and value.is_floating_point())
        given[first] = given[first].detach().requires_grad_()
        result = function(*given)
        outputs = [result] if isinstance(result, Tensor) else list(result)
        sum(value.sum() for value in outputs if value.requires_grad).backward()  # type: ignore[union-attr]

    return run
