"""Z-buffer rasterisation of a bumpy sphere: our kernel and the hard renderer based on it, OSMesa (llvmpipe) and Embree.

Run as `python -m deep3dmap.benchmarks.kernels.rasterize [--rounds 15] [--quick]`; `--quick`: 5,000 triangles at 256x256 only.
OSMesa and Embree compute depth only; our kernel also faces and barycentrics; the hard renderer adds colours, normals,
gradients.
"""

from deep3dmap.benchmarks.kernels.side_by_side import measure, table  # isort: skip - it sets the threads before torch loads

import argparse
import os
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from deep3dmap.benchmarks.kernels.side_by_side import Timing
from deep3dmap.cli.arguments import how_many
from deep3dmap.ops import rasterize
from deep3dmap.render.hard import HardRenderer
from deep3dmap.render.renderer import Surface, View

SIZE = 512
FOCAL = 1.24  # focal length relative to the image's side
REFERENCE_TRIANGLES = 6_000  # limit for the reference, which processes triangles one by one over the whole image


class ScreenMesh(NamedTuple):
    """Vertices (V, 3) float32 in pixels and depth, faces (F, 3) int64."""

    vertices: Tensor
    faces: Tensor


def scene(triangles: int, size: int = SIZE) -> ScreenMesh:
    """Return a bumpy sphere that fills most of the image; half of its triangles are hidden by the others."""
    rings = max(3, round((triangles / 4) ** 0.5))
    polar, around = np.linspace(0.01, np.pi - 0.01, rings + 1), np.linspace(0, 2 * np.pi, 2 * rings + 1)
    theta, phi = np.meshgrid(polar, around, indexing="ij")
    radius = 1 + 0.05 * np.sin(9 * theta) * np.sin(11 * phi)
    points = radius[..., None] * np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)], -1)
    x, y, z = (points.reshape(-1, 3) + np.array([0, 0, 3])).T
    focal = FOCAL * size
    index = np.arange(theta.size).reshape(theta.shape)
    a, b, c, d = (part.reshape(-1) for part in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)])
    pixels = np.stack([focal * x / z + size / 2, focal * y / z + size / 2, z], -1)
    return ScreenMesh(torch.tensor(pixels, dtype=torch.float32), torch.tensor(faces))


class OSMesaDepth:
    """OSMesa's rasteriser drawing the same triangles into a depth buffer and reading it back. Raises ImportError if absent."""

    NEAR, FAR = 1.0, 5.0

    def __init__(self, given: ScreenMesh, size: int) -> None:
        self.size = size
        os.environ["PYOPENGL_PLATFORM"] = "osmesa"
        os.environ.setdefault("LP_NUM_THREADS", "0")  # draw on the calling thread
        try:
            from OpenGL import GL, arrays, osmesa
        except AttributeError as error:  # raised by PyOpenGL if the library is missing
            raise ImportError(f"libOSMesa: {error}") from error
        self.gl = GL
        settings = [osmesa.OSMESA_FORMAT, GL.GL_RGBA, osmesa.OSMESA_DEPTH_BITS, 24, 0]
        context = osmesa.OSMesaCreateContextAttribs(arrays.GLintArray.asArray(settings), None)
        buffer = arrays.GLubyteArray.zeros((size, size, 4))
        self.make_current = lambda: osmesa.OSMesaMakeCurrent(context, buffer, GL.GL_UNSIGNED_BYTE, size, size)
        # OSMesa writes to the buffer again when another context becomes current, so destroy the context before the buffer.
        weakref.finalize(self, _destroy, osmesa.OSMesaDestroyContext, context, buffer).atexit = False
        if not self.make_current():
            raise ImportError("OSMesa could not create a context")
        self.renderer = GL.glGetString(GL.GL_RENDERER).decode()
        self.faces = given.faces.numpy().astype(np.uint32)
        self._upload(given)

    def _upload(self, given: ScreenMesh) -> None:
        GL = self.gl
        x, y, z = given.vertices.double().unbind(-1)
        near, far = self.NEAR, self.FAR
        clip_depth = ((far + near) * z - 2 * far * near) / (far - near)
        clip = torch.stack([(x / self.size * 2 - 1) * z, (y / self.size * 2 - 1) * z, clip_depth, z], -1)
        vertices = np.ascontiguousarray(clip.numpy().astype(np.float32))
        for target, data in ((GL.GL_ARRAY_BUFFER, vertices), (GL.GL_ELEMENT_ARRAY_BUFFER, self.faces)):
            GL.glBindBuffer(target, GL.glGenBuffers(1))
            GL.glBufferData(target, data.nbytes, data, GL.GL_STATIC_DRAW)
        GL.glEnableClientState(GL.GL_VERTEX_ARRAY)
        GL.glVertexPointer(4, GL.GL_FLOAT, 0, None)
        GL.glEnable(GL.GL_DEPTH_TEST)
        GL.glColorMask(False, False, False, False)
        GL.glViewport(0, 0, self.size, self.size)

    def __call__(self) -> np.ndarray:
        """Draw and return window depths (size, size) in [0, 1], with row 0 at the top of our image."""
        GL = self.gl
        self.make_current()
        GL.glClear(GL.GL_DEPTH_BUFFER_BIT)
        GL.glDrawElements(GL.GL_TRIANGLES, self.faces.size, GL.GL_UNSIGNED_INT, None)
        return GL.glReadPixels(0, 0, self.size, self.size, GL.GL_DEPTH_COMPONENT, GL.GL_FLOAT)

    def metres(self) -> np.ndarray:
        """Draw and return depth in metres, 0 where empty."""
        window = np.asarray(self()).reshape(self.size, self.size)
        depth = 2 * self.FAR * self.NEAR / (self.FAR + self.NEAR - (2 * window - 1) * (self.FAR - self.NEAR))
        return np.where(window < 1, depth, 0)


def _destroy(destroy: Callable[[Any], None], context: Any, buffer: np.ndarray) -> None:
    """Destroy an OSMesa context while its buffer still exists."""
    destroy(context)


def in_camera(given: ScreenMesh, size: int) -> Tensor:
    """Return the vertices (V, 3) in the axes of the camera that sees the scene."""
    x, y, z = given.vertices.unbind(-1)
    return torch.stack([(x - size / 2) * z / (FOCAL * size), (y - size / 2) * z / (FOCAL * size), z], -1)


class EmbreeDepth:
    """Embree's ray caster finding the depth at each pixel's centre. Raises ImportError if embreex is absent.

    rebuild: rebuild the tree of triangles in each call, as a moving mesh requires; otherwise it is built once and not timed.
    """

    def __init__(self, given: ScreenMesh, size: int, rebuild: bool) -> None:
        from embreex import mesh_construction, rtcore_scene

        corners = np.ascontiguousarray(in_camera(given, size)[given.faces].numpy())

        def build() -> tuple[Any, Any]:
            tree = rtcore_scene.EmbreeScene()
            # Return the mesh too, since the scene does not keep a reference to it.
            return tree, mesh_construction.TriangleMesh(tree, corners)

        self.build, self.kept = build, None if rebuild else build()
        across = (np.arange(size, dtype=np.float32) + 0.5 - size / 2) / (FOCAL * size)
        x, y = np.meshgrid(across, across)
        self.directions = np.ascontiguousarray(np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3))
        self.origins = np.zeros_like(self.directions)

    def __call__(self) -> np.ndarray:
        """Return depth in metres (size * size,), row by row, very large where empty."""
        tree, _mesh = self.kept or self.build()
        found: np.ndarray = tree.run(self.origins, self.directions, query="DISTANCE")
        return found


def hard_renderer(given: ScreenMesh, size: int, gradients: bool) -> Callable[[], object]:
    """Return a call that renders image, depth and normals, optionally with their gradients to the vertices."""
    vertices = in_camera(given, size).requires_grad_(gradients)
    intrinsics = torch.tensor([[FOCAL * size, 0, size / 2], [0, FOCAL * size, size / 2], [0, 0, 1]])
    view, draw = View(intrinsics, torch.eye(4), size, size), HardRenderer()

    def call() -> object:
        seen = draw.render(Surface(vertices, given.faces), view)
        if gradients:
            vertices.grad = None
            (seen.image.sum() + seen.depth.sum() + seen.normals.sum()).backward()
        return seen

    return call


def contenders(given: ScreenMesh, size: int) -> tuple[dict[str, Callable[[], object]], dict[str, str]]:
    """Return the calls to compare, which all draw the same picture, and the reasons why others are absent."""
    calls: dict[str, Callable[[], object]] = {
        "native kernel: depth, ids, barycentrics": lambda: rasterize(given.vertices, given.faces, size, size, backend="native")
    }
    absent = {}
    depth = rasterize(given.vertices, given.faces, size, size, backend="native").depth.numpy()
    try:
        mesa = OSMesaDepth(given, size)
        calls[f"OSMesa, depth only ({mesa.renderer.split('(')[0].strip()})"] = mesa
        _print_difference("OSMesa", mesa.metres(), depth)
    except (ImportError, OSError) as error:
        absent["OSMesa, depth only"] = str(error)
    try:
        embree = EmbreeDepth(given, size, rebuild=False)
        calls["Embree, depth only, tree given"] = embree
        calls["Embree, depth only, tree built"] = EmbreeDepth(given, size, rebuild=True)
        found = embree()
        _print_difference("Embree", np.where(found < 100, found, 0).reshape(size, size), depth)
    except ImportError as error:
        absent["Embree, depth only"] = str(error)
    calls["hard renderer: image, depth, normals"] = hard_renderer(given, size, False)
    calls["the same and its gradients"] = hard_renderer(given, size, True)
    return calls, absent


def _print_difference(peer: str, theirs: np.ndarray, ours: np.ndarray) -> None:
    differing = float((np.abs(theirs - ours) > 5e-3).mean())
    print(f"  pixels where the depth of {peer} differs by more than 5 mm: {100 * differing:.2f} %")


def compare(triangles: int, size: int, rounds: int, with_reference: bool) -> str:
    """Return the table of one problem."""
    given = scene(triangles, size)
    calls, absent = contenders(given, size)
    timings: list[Timing] = measure(calls, rounds)
    if with_reference and len(given.faces) <= REFERENCE_TRIANGLES:
        slow = {"torch reference": lambda: rasterize(given.vertices, given.faces, size, size, backend="reference")}
        timings += measure(slow, rounds=1, warm_up=0)
    elif with_reference:
        absent["torch reference"] = f"skipped for more than {REFERENCE_TRIANGLES} triangles, since it takes minutes"
    return table(f"{len(given.faces)} triangles, {size}x{size}, one thread", timings, absent)


def main() -> None:
    """Print one table for each number of triangles and image size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=how_many, default=15)
    parser.add_argument("--triangles", type=how_many, nargs="+", default=[5_000, 50_000])
    parser.add_argument("--sizes", type=how_many, nargs="+", default=[256, SIZE], help="side of the image in pixels")
    parser.add_argument("--reference", action="store_true", help="also time the torch reference once, which may take minutes")
    parser.add_argument("--quick", action="store_true", help="only the smallest problem")
    options = parser.parse_args()
    for triangles in options.triangles[:1] if options.quick else options.triangles:
        for size in options.sizes[:1] if options.quick else options.sizes:
            print(compare(triangles, size, options.rounds, options.reference), flush=True)


if __name__ == "__main__":
    main()
