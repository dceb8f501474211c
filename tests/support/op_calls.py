"""Random calls of the ops: public functions, registered operators and the kernels behind them, with arguments right and wrong.

Each call is told by a seed and its number, so that any one of them can be made again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap import ops
from deep3dmap.core.errors import UserError
from deep3dmap.ops import _backend, neural_mesh, sparse

# What an op may say to arguments that it cannot take. RuntimeError and IndexError are torch's own words.
REFUSALS = (ValueError, TypeError, RuntimeError, IndexError, UserError)
SIZES = {"X": 5, "Y": 4, "Z": 9, "V": 9, "F": 12, "H": 12, "W": 12, "K": 4, "C": 9, "D": 9, "N": 40, "M": 40, "P": 60, "B": 3}
ODD_NUMBERS = (float("nan"), float("inf"), -float("inf"), 0.0, 1e-30, 1e6, 3e38, -3e38)
ODD_IDS = (-(2**63), 2**63 - 1, 2**40, 2**31, 2**29, -(2**29), -2, -1)
ODD_COUNTS = (0, -1, 2**12)
ODD_SIDES = (0, -1, 2**12, 2**31)


@dataclass(frozen=True)
class Call:
    """A function with its arguments, ready to be made."""

    name: str
    function: Callable[..., Any]
    arguments: list[Any]

    def run(self) -> str:
        """Make the call; returns what came of it, `ok` or `refused`."""
        try:
            self.function(*self.arguments)
        except REFUSALS:
            return "refused"
        return "ok"


def random_call(seed: int, number: int) -> Call:
    """Return one call. Half of them have an argument that is wrong in some way."""
    rng = np.random.default_rng([seed, number])
    table = _table()
    name = list(table)[int(rng.integers(len(table)))]
    function, words = table[name]
    sizes = {symbol: int(rng.integers(0 if rng.random() < 0.05 else 1, most + 1)) for symbol, most in SIZES.items()}
    given = words.split("; ")
    arguments = [_argument(rng, word, sizes) for word in given]
    if rng.random() < 0.5:
        place = int(rng.integers(len(arguments)))
        arguments[place] = _spoil(rng, given[place], arguments[place])
    return Call(name, function, arguments)


def run_case(seed: int, number: int) -> tuple[str, str]:
    """Make one call; returns the op's name and what came of it: `ok`, `refused`, or what went wrong."""
    call = random_call(seed, number)
    try:
        return call.name, call.run()
    except Exception as error:
        return call.name, f"{type(error).__name__}: {error}"


def _argument(rng: np.random.Generator, word: str, sizes: dict[str, int]) -> Any:
    kind, _, rest = word.partition(" ")
    if kind in sizes:
        return sizes[kind]
    if kind == "bool":
        return bool(rng.integers(2))
    if kind == "any":
        return float(rng.choice([0.0, 0.01, 0.5, 1.0, 4.0, 100.0]))
    if kind == "count":
        return int(rng.integers(0, int(rest) + 1))
    if kind == "one":
        return str(rng.choice(rest.split(",")))
    shape, _, bound = rest.partition(" ")
    size = [sizes.get(side) if side in sizes else int(side) for side in shape.split(",") if side]
    if kind == "f":
        return torch.from_numpy(rng.normal(3, 4, size).astype(np.float32))
    if kind == "splits":
        cuts = np.sort(rng.integers(0, sizes["P"] + 1, max(size[0] - 1, 0)))
        return torch.from_numpy(np.concatenate([[0], cuts, [sizes["P"]]]).astype(np.int64))
    if kind == "cells":
        batch, axes = rng.integers(0, 3, (size[0], 1)), rng.integers(-6, 7, (size[0], 3))
        return torch.from_numpy(np.unique(np.concatenate([batch, axes], 1), axis=0).astype(np.int32))
    low, high = _range(bound, sizes)
    return torch.from_numpy(rng.integers(low, max(high, low + 1), size).astype(np.int32 if kind == "i4" else np.int64))


def _range(bound: str, sizes: dict[str, int]) -> tuple[int, int]:
    """`V`: ids of V things. `~F`: -1 as well. A number: from minus that to that."""
    name = bound.removeprefix("~")
    if name in sizes:
        return (-1 if bound.startswith("~") else 0), sizes[name]
    return -int(name or 8), int(name or 8)


def _spoil(rng: np.random.Generator, word: str, given: Any) -> Any:
    if isinstance(given, Tensor):
        return _spoiled(rng, given)
    if isinstance(given, bool | str):
        return None
    if isinstance(given, int):
        return int(rng.choice(ODD_SIDES if word in ("H", "W") else ODD_COUNTS))
    return float(rng.choice(ODD_NUMBERS))


def _spoiled(rng: np.random.Generator, given: Tensor) -> Tensor:
    choice = int(rng.integers(8))
    if choice == 0:
        return given.double() if given.is_floating_point() else given.to(torch.int16)
    if choice == 1 and given.dim():
        return given.narrow(int(rng.integers(given.dim())), 0, 0)
    if choice == 2 and given.dim():
        axis = int(rng.integers(given.dim()))
        return torch.cat([given, given], axis)
    if choice == 3:
        return given[None]
    if choice == 4 and given.dim() > 1:
        return given.transpose(0, -1)
    odd = ODD_NUMBERS if given.is_floating_point() else ODD_IDS
    spoiled = given.clone().reshape(-1)
    for place in rng.integers(0, max(len(spoiled), 1), int(rng.integers(1, 4))) if len(spoiled) else ():
        value = odd[int(rng.integers(len(odd)))]
        spoiled[int(place)] = value if spoiled.dtype != torch.int32 else max(-(2**31), min(2**31 - 1, int(value)))
    return spoiled.reshape(given.shape)


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


def _table() -> dict[str, tuple[Callable[..., Any], str]]:
    if not _TABLE:
        _TABLE.update(_public() | _operators() | _kernels())
    return _TABLE


_TABLE: dict[str, tuple[Callable[..., Any], str]] = {}
MESH = "f V,3; i8 F,3 V"
CELLS = "cells N"
MAP = "i4 P N; i4 P M; splits K"


def _public() -> dict[str, tuple[Callable[..., Any], str]]:
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

    return {
        "rasterize": (ops.rasterize, f"{MESH}; H; W"),
        "rasterize_camera": (ops.rasterize_camera, f"{MESH}; f 3,3; H; W"),
        "rasterize_soft": (_backwards(soft), f"{MESH}; H; W; K; any; bool; one depth,distance"),
        "look_at_faces": (_backwards(ops.look_at_faces), f"{MESH}; i8 H,W,K ~F"),
        "find_faces": (neural_mesh.find_faces, f"{MESH}; H; W"),
        "follow_edges": (lambda v, f, i, p: _backwards(neural_mesh.follow_edges)(p, v, f, i), f"{MESH}; i8 H,W ~F; f C,H,W"),
        "follow_edges to corners": (
            _backwards(lambda v, f, i, p: neural_mesh.follow_edges(p, v, f, i)),
            f"{MESH}; i8 H,W ~F; f C,H,W",
        ),
        "depth_of_faces": (_backwards(depth_of_faces), f"{MESH}; i8 H,W ~F; f H,W; f H,W,3"),
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
    }


def _operators() -> dict[str, tuple[Callable[..., Any], str]]:
    registered = torch.ops.deep3dmap
    return {
        "neural_mesh_faces": (registered.neural_mesh_faces, f"{MESH}; H; W; any; any; bool"),
        "neural_mesh_edges_backward": (
            registered.neural_mesh_edges_backward,
            f"f C,H,W; f C,H,W; {MESH}; i8 H,W ~F; any; bool",
        ),
        "neural_mesh_depth_backward": (
            registered.neural_mesh_depth_backward,
            f"f H,W; {MESH}; i8 H,W ~F; f H,W; f H,W,3; bool",
        ),
        "rasterize operator": (registered.rasterize, f"{MESH}; H; W; bool; bool"),
        "select_faces": (registered.select_faces, f"{MESH}; H; W; K; any; bool; bool; count 1; bool"),
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
    }


def _kernels() -> dict[str, tuple[Callable[..., Any], str]]:
    words = {
        "integrate_cpu": "f X,Y,Z; f X,Y,Z; f 3,X,Y,Z; f H,W; f 3,H,W; f 4; f 9; f 3; f 3; any; any; any",
        "rasterize_cpu": f"{MESH}; f H,W; i8 H,W; f H,W,3; bool; count 1",
        "select_faces_cpu": f"{MESH}; i8 H,W,K ~F; any; bool; bool; count 1; bool",
        "evaluate_faces_cpu": f"{MESH}; i8 H,W,K ~F; f H,W,K; f H,W,K,3; f H,W,K; bool; bool",
        "evaluate_faces_backward_cpu": f"{MESH}; i8 H,W,K ~F; f H,W,K; f H,W,K,3; f H,W,K; f V,3; bool; bool",
        "neural_mesh_faces_cpu": f"{MESH}; f H,W; i8 H,W; f H,W,3; any; any; bool",
        "neural_mesh_edges_backward_cpu": f"{MESH}; i8 H,W ~F; f H,W,C; f H,W,C; f F,3,2; any; any",
        "neural_mesh_depth_backward_cpu": f"{MESH}; i8 H,W ~F; f H,W; f H,W,3; f H,W; f F,3,3; bool",
        "back_project_forward_cpu": "f B,H,W,C; f B,3,4; f N,3; f N,C; f N; i4 N 9",
        "back_project_backward_cpu": "f N,C; f B,3,4; f N,3; i4 N 9; f B,H,W,C",
        "sparse_pair_counts_cpu": "i4 K,M ~N; i8 K",
        "sparse_pairs_cpu": "i4 K,M ~N; splits K; i4 P N; i4 P M",
        "sparse_conv_forward_cpu": f"f N,C; f K,C,D; {MAP}; f M,D",
        "sparse_conv_weight_gradient_cpu": f"f N,C; f M,D; {MAP}; f K,C,D",
        "sparse_voxelize_forward_cpu": "f P,C; i8 P ~N; f N,C; i4 N 9",
        "sparse_devoxelize_backward_cpu": "f P,C; i8 P,8 ~N; f P,8; f N,C",
    }
    return {f"kernel {name}": (_on_two_threads(name), word) for name, word in words.items()}


def _on_two_threads(kernel: str) -> Callable[..., Any]:
    run = getattr(_backend.native(), kernel)
    return lambda *arguments: run(*arguments, 2)
