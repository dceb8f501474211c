"""StyleGAN2's two ops, native and plain torch, up to the double backward; and complete generators, in images per second.

Run as `python -m deep3dmap.benchmarks.kernels.stylegan_ops [--rounds 9] [--device cpu]`.
"""

from deep3dmap.benchmarks.kernels.side_by_side import measure, table  # isort: skip - it sets the threads before torch loads

import argparse
from collections.abc import Callable, Iterator
from unittest import mock

import torch
from torch import Tensor

from deep3dmap.cli.arguments import how_many
from deep3dmap.nn.stylegan2 import Generator, StyleGAN2Size, equalized, modulated, resample
from deep3dmap.ops.fused_leaky_relu import fused_leaky_relu
from deep3dmap.ops.upfirdn2d import upfirdn2d

COUNT, CHANNELS, SIDE = 4, 64, 64
SETTINGS = {
    "blur": {"padding": (2, 1, 2, 1)},
    "double": {"up": 2, "padding": (2, 1, 2, 1)},
    "halve": {"down": 2, "padding": (1, 1, 1, 1)},
}
ORDERS = ("forward", "backward", "double backward")


def _differentiate(call: Callable[[Tensor], Tensor], values: Tensor, order: str, device: str) -> Callable[[], object]:
    """Return a call that runs an op, only its gradient, or only the gradient of its gradient."""
    leaf = values.clone().requires_grad_()
    out = call(leaf)
    cotangent = torch.randn_like(out).requires_grad_()
    (gradient,) = torch.autograd.grad(out, leaf, cotangent, create_graph=True)
    second = torch.randn_like(gradient)

    def run() -> object:
        result: object
        if order == "forward":
            result = call(values)
        elif order == "backward":
            result = torch.autograd.grad(out, leaf, cotangent.detach(), retain_graph=True)
        else:
            result = torch.autograd.grad(gradient, cotangent, second, retain_graph=True)
        if device == "cuda":
            torch.cuda.synchronize()
        return result

    return run


def _ops(device: str) -> Iterator[tuple[str, Callable[[Tensor, str], Tensor]]]:
    line = torch.tensor(resample.BINOMIAL, device=device)
    kernel = torch.outer(line, line) / 64
    for name, settings in SETTINGS.items():
        yield f"upfirdn2d, {name}", lambda x, backend, s=settings: upfirdn2d(x, kernel, **s, backend=backend)  # type: ignore[misc]
    bias = torch.randn(CHANNELS, device=device)
    yield "fused_leaky_relu", lambda x, backend: fused_leaky_relu(x, bias, backend=backend)  # type: ignore[arg-type]


def compare_ops(device: str, rounds: int) -> Iterator[str]:
    """Yield a table for each op and order."""
    values = torch.randn(COUNT, CHANNELS, SIDE, SIDE, device=device)
    for name, call in _ops(device):
        for order in ORDERS:
            calls = {}
            for backend, label in (("native", "native"), ("reference", "plain torch")):
                calls[label] = _differentiate(lambda x, c=call, b=backend: c(x, b), values, order, device)  # type: ignore[misc]
            yield table(f"{name}, {order}, {CHANNELS} channels of {SIDE} px, batch {COUNT}", measure(calls, rounds), {})


def _plain_torch(run: Callable[[], object]) -> Callable[[], object]:
    """Run with the reference ops and with grouped convolutions, like the published networks."""

    def filtered(*given: object, **settings: object) -> Tensor:
        return upfirdn2d(*given, **settings, backend="reference")  # type: ignore[arg-type]

    def rectified(values: Tensor, bias: Tensor) -> Tensor:
        return fused_leaky_relu(values, bias, backend="reference")

    def plain() -> object:
        with (
            mock.patch.object(resample, "upfirdn2d", filtered),
            mock.patch.object(modulated, "fused_leaky_relu", rectified),
            mock.patch.object(equalized, "fused_leaky_relu", rectified),
            mock.patch.object(modulated.ModulatedConvolution, "form", "grouped"),
        ):
            return run()

    return plain


def compare_generators(device: str, rounds: int) -> Iterator[str]:
    """Yield the images per second of two generators, with and without gradients."""
    for name, size, batch in (("small", StyleGAN2Size(64, 128, 8, 2048, 128), 8), ("config-e", StyleGAN2Size(64), 2)):
        network = Generator(size).to(device)
        z = torch.randn(batch, size.style_dim, device=device)

        def draw(network: Generator = network, z: Tensor = z) -> object:
            with torch.no_grad():
                images = network(z)
            return images.sum().item()

        def learn(network: Generator = network, z: Tensor = z) -> object:
            network.zero_grad()
            loss = network(z).square().mean()
            loss.backward()
            return loss.item()

        for what, run in (("forward", draw), ("forward and backward", learn)):
            # Labelled "ours" and not "native", because on CUDA the leaky ReLU is torch's own.
            timings = measure({"ours": run, "plain torch": _plain_torch(run)}, rounds)
            yield table(f"generator, {name}, 64 px, batch {batch}, {what}", timings, {})
            yield "  " + ", ".join(f"{timing.name} {batch / timing.median:.1f} images/s" for timing in timings)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=how_many, default=9)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    for part in (compare_ops, compare_generators):
        for lines in part(options.device, options.rounds):
            print(lines, flush=True)


if __name__ == "__main__":
    main()
