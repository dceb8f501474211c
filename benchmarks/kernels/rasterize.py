"""Rasterisation of a bumpy sphere at 512x512: native, torch reference, and OSMesa (llvmpipe) drawing depth alone.

Run as `python -m deep3dmap.benchmarks.kernels.rasterize [--rounds 15]`.
"""

from deep3dmap.benchmarks.kernels.side_by_side import measure, table  # isort: skip - it sets the threads before torch loads

import argparse
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from deep3dmap.ops import rasterize

SIZE = 512


class Scene(NamedTuple):
    """Vertices (V, 3) float32 in pixels and depth, faces (F, 3) int64."""

    vertices: Tensor
    faces: Tensor


def scene(triangles: int) -> Scene:
    """Return a sphere with bumps that fills most of the image; half of its triangles are hidden by the rest."""
    rings = max(3, round((triangles / 4) ** 0.5))
    polar, around = np.linspace(0.01, np.pi - 0.01, rings + 1), np.linspace(0, 2 * np.pi, 2 * rings + 1)
    theta, phi = np.meshgrid(polar, around, indexing="ij")
    radius = 1 + 0.05 * np.sin(9 * theta) * np.sin(11 * phi)
    points = radius[..., None] * np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)], -1)
    x, y, z = (points.reshape(-1, 3) + np.array([0, 0, 3])).T
    focal = 0.62 * SIZE * 2
    index = np.arange(theta.size).reshape(theta.shape)
    a, b, c, d = (part.reshape(-1) for part in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)])
    pixels = np.stack([focal * x / z + SIZE / 2, focal * y / z + SIZE / 2, z], -1)
    return Scene(torch.tensor(pixels, dtype=torch.float32), torch.tensor(faces))


class OSMesaDepth:
    """OSMesa's rasteriser drawing the same triangles into a depth buffer that is read back. Raises ImportError if absent."""

    NEAR, FAR = 1.0, 5.0

    def __init__(self, given: Scene) -> None:
        os.environ["PYOPENGL_PLATFORM"] = "osmesa"
        os.environ.setdefault("LP_NUM_THREADS", "0")  # draw on the calling thread
        try:
            from OpenGL import GL, arrays, osmesa
        except AttributeError as error:  # PyOpenGL's way of saying that the library is not there
            raise ImportError(f"libOSMesa: {error}") from error
        self.gl = GL
        settings = [osmesa.OSMESA_FORMAT, GL.GL_RGBA, osmesa.OSMESA_DEPTH_BITS, 24, 0]
        self.context = osmesa.OSMesaCreateContextAttribs(arrays.GLintArray.asArray(settings), None)
        self.buffer = arrays.GLubyteArray.zeros((SIZE, SIZE, 4))
        if not osmesa.OSMesaMakeCurrent(self.context, self.buffer, GL.GL_UNSIGNED_BYTE, SIZE, SIZE):
            raise ImportError("OSMesa made no context")
        self.make_current = lambda: osmesa.OSMesaMakeCurrent(self.context, self.buffer, GL.GL_UNSIGNED_BYTE, SIZE, SIZE)
        self.renderer = GL.glGetString(GL.GL_RENDERER).decode()
        self.faces = given.faces.numpy().astype(np.uint32)
        self._upload(given)

    def _upload(self, given: Scene) -> None:
        GL = self.gl
        x, y, z = given.vertices.double().unbind(-1)
        near, far = self.NEAR, self.FAR
        clip_depth = ((far + near) * z - 2 * far * near) / (far - near)
        clip = torch.stack([(x / SIZE * 2 - 1) * z, (y / SIZE * 2 - 1) * z, clip_depth, z], -1)
        vertices = np.ascontiguousarray(clip.numpy().astype(np.float32))
        for target, data in ((GL.GL_ARRAY_BUFFER, vertices), (GL.GL_ELEMENT_ARRAY_BUFFER, self.faces)):
            GL.glBindBuffer(target, GL.glGenBuffers(1))
            GL.glBufferData(target, data.nbytes, data, GL.GL_STATIC_DRAW)
        GL.glEnableClientState(GL.GL_VERTEX_ARRAY)
        GL.glVertexPointer(4, GL.GL_FLOAT, 0, None)
        GL.glEnable(GL.GL_DEPTH_TEST)
        GL.glColorMask(False, False, False, False)
        GL.glViewport(0, 0, SIZE, SIZE)

    def __call__(self) -> np.ndarray:
        """Draw and return window depths (512, 512) in [0, 1], row 0 at the top of our image."""
        GL = self.gl
        self.make_current()
        GL.glClear(GL.GL_DEPTH_BUFFER_BIT)
        GL.glDrawElements(GL.GL_TRIANGLES, self.faces.size, GL.GL_UNSIGNED_INT, None)
        return GL.glReadPixels(0, 0, SIZE, SIZE, GL.GL_DEPTH_COMPONENT, GL.GL_FLOAT)

    def metres(self) -> np.ndarray:
        """Draw and return depth in metres, 0 where empty."""
        window = np.asarray(self()).reshape(SIZE, SIZE)
        depth = 2 * self.FAR * self.NEAR / (self.FAR + self.NEAR - (2 * window - 1) * (self.FAR - self.NEAR))
        return np.where(window < 1, depth, 0)


def contenders(given: Scene, with_reference: bool) -> tuple[dict[str, Callable[[], object]], dict[str, str]]:
    """Return the calls to compare, and why others are absent; all draw the same picture."""
    calls: dict[str, Callable[[], object]] = {
        "native, depth+ids+barycentrics": lambda: rasterize(given.vertices, given.faces, SIZE, SIZE, backend="native")
    }
    if with_reference:
        calls["torch reference"] = lambda: rasterize(given.vertices, given.faces, SIZE, SIZE, backend="reference")
    try:
        mesa = OSMesaDepth(given)
    except (ImportError, OSError) as error:
        return calls, {"OSMesa, depth only": str(error)}
    calls[f"OSMesa, depth only ({mesa.renderer.split('(')[0].strip()})"] = mesa
    depth = rasterize(given.vertices, given.faces, SIZE, SIZE, backend="native").depth.numpy()
    differing = float((np.abs(mesa.metres() - depth) > 5e-3).mean())
    print(f"  pixels where OSMesa's depth differs by more than 5 mm: {100 * differing:.2f} %")
    return calls, {}


def main() -> None:
    """Print one table for each number of triangles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--triangles", type=int, nargs="+", default=[5_000, 50_000])
    parser.add_argument("--reference", action="store_true", help="time the torch reference too: minutes for 1000 triangles")
    options = parser.parse_args()
    for triangles in options.triangles:
        given = scene(triangles)
        calls, absent = contenders(given, options.reference)
        print(table(f"{len(given.faces)} triangles, {SIZE}x{SIZE}, one thread", measure(calls, options.rounds), absent))


if __name__ == "__main__":
    main()
