"""`deep3dmap generate`: draw samples from a trained generator into one picture, or one file each."""

from collections.abc import Iterator
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.places import check_folder
from deep3dmap.config.overrides import split_override
from deep3dmap.core.errors import UserError, unknown

EXAMPLES = """\
  deep3dmap generate CHECKPOINT -o grid.png
  deep3dmap generate CHECKPOINT -o grid.png --count 64 --columns 16 seed=3
  deep3dmap generate CHECKPOINT -o samples/ --count 1000      (000000.png, 000001.png ...)
  deep3dmap generate CHECKPOINT -o grid.png truncation=0.7
  deep3dmap generate CHECKPOINT -o sweep.png --count 6 --sweep truncation=0,0.35,0.7,1
  deep3dmap generate CHECKPOINT -o moved.png --count 6 --sweep translate=[0,-0.2,0],[0,0,0],[0,0.2,0]
  deep3dmap generate CHECKPOINT -o line.png --count 9 --columns 9 between=8
  deep3dmap generate stylegan2 -o faces.png method.weights=550000.pt

key=value sets a control of the method, an argument of its `generate`: for stylegan2, for example, truncation (1 = full variety,
0 = the mean image) and between (number of images from one random sample to the next). `deep3dmap methods NAME` and the method's
README list the controls. method.KEY=, seed= and device= work as in the other verbs. The same seed gives the same images."""
BATCH_SIZE = 16
MIN_DISPLAY_SIZE = 96  # pixels


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = VerbParser("generate", "Draw samples from a trained generator, as one picture or one file each.", EXAMPLES)
    parser.add_argument("checkpoint", help="a checkpoint (folder or URI), or NAME/VARIANT with official weights")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a PNG file, or a folder for one file per sample")
    parser.add_argument("--count", type=int, default=16, help="number of samples (default: 16); with --sweep, per row")
    parser.add_argument("--first", type=int, default=0, help="index of the first sample (default: 0)")
    parser.add_argument("--columns", type=int, default=0, help="samples per row (default: a square grid)")
    parser.add_argument(
        "--scale",
        type=int,
        default=0,
        help="enlarge pixels by this factor (default: enlarge small samples to about 100 pixels)",
    )
    parser.add_argument("--sweep", metavar="KEY=A,B,...", help="one row per value of a control, with the same samples in each")
    flags, pairs = parser.parse(_join_sweep_argument(argv))
    if flags.count < 1 or min(flags.first, flags.columns, flags.scale) < 0:
        raise UserError("--count must be at least 1; --first, --columns and --scale at least 0")
    _check_output(flags.out, flags.sweep)
    rows = _parse_sweep(flags.sweep)

    from deep3dmap.cli.inference_method import method_for_inference
    from deep3dmap.core.method import Generates

    values = dict(split_override(text) for text in pairs)
    method, job = method_for_inference(flags.checkpoint, values)
    if not isinstance(method, Generates) or "samples" not in method.card.produces:
        raise UserError(f"method '{job.method}' generates no samples; it produces {', '.join(method.card.produces)}")
    _check_controls(method, job.method, {key for controls in rows for key in {**values, **controls}})
    indices = range(flags.first, flags.first + flags.count)
    seed = int(job.config["seed"])
    if not flags.out.suffix:
        _write_samples(_generate_batches(method, indices, seed, values), flags.first, flags.out)
        print(f"{flags.count} samples in {flags.out}, one file each")
        return 0
    pictures = [_generate_samples(method, indices, seed, {**values, **controls}) for controls in rows]
    _write_grid(pictures, flags.columns or _default_columns(flags.count, len(rows)), flags.scale, flags.out)
    print(f"{flags.count * len(rows)} samples in {flags.out}")
    return 0


def _check_output(out: Path, sweep: str | None) -> None:
    if out.suffix.lower() not in ("", ".png"):
        raise UserError(f"{out}: pictures are written as PNG; give a file name ending in .png, or a folder")
    if not out.suffix and sweep:
        raise UserError(f"{out}: --sweep writes a single picture; give a file name ending in .png")
    if out.suffix and out.is_dir():
        raise UserError(f"{out} is a folder; give the name of a picture in it")
    check_folder(out.parent if out.suffix else out, "-o")


def _join_sweep_argument(argv: list[str]) -> list[str]:
    """Join `--sweep KEY=VALUES` into one argument, so that KEY=VALUES is not parsed as a `key=value` argument."""
    joined: list[str] = []
    for text in argv:
        if joined and joined[-1] == "--sweep":
            joined[-1] = f"--sweep={text}"
        else:
            joined.append(text)
    return joined


def _parse_sweep(sweep: str | None) -> list[dict[str, Any]]:
    if sweep is None:
        return [{}]
    key, equals, listed = sweep.partition("=")
    if not key or not equals or not listed:
        raise UserError(f"--sweep {sweep}: expected a control and its values, such as truncation=0,0.5,1")
    # Parsed as one list, so that controls whose values are lists can be swept too.
    _, values = split_override(f"{key}=[{listed}]")
    return [{key: value} for value in values]


def _default_columns(count: int, rows: int) -> int:
    return count if rows > 1 else max(1, round(count**0.5))


def _check_controls(method: Any, name: str, given: set[str]) -> None:
    parameters = signature(method.generate).parameters.values()
    if any(one.kind is Parameter.VAR_KEYWORD for one in parameters):
        return
    known = [one.name for one in parameters if one.name not in ("indices", "seed")]
    for key in sorted(given):
        if key not in known:
            raise unknown(f"control of {name}", key, known)


def _generate_batches(method: Any, indices: range, seed: int, controls: dict[str, Any]) -> Iterator[Any]:
    """Yield the samples in batches, (N, 3, H, W), so that they are never all in memory at once."""
    import torch

    for start in range(0, len(indices), BATCH_SIZE):
        with torch.no_grad():
            yield method.generate(indices[start : start + BATCH_SIZE], seed, **controls).float().cpu()


def _generate_samples(method: Any, indices: range, seed: int, controls: dict[str, Any]) -> Any:
    import torch

    return torch.cat(list(_generate_batches(method, indices, seed, controls)))


def _write_samples(batches: Iterator[Any], first: int, folder: Path) -> None:
    from deep3dmap.render.visualization import save_png

    folder.mkdir(parents=True, exist_ok=True)
    number = first
    for samples in batches:
        for sample in samples:
            save_png(sample, folder / f"{number:06d}.png")
            number += 1


def _write_grid(pictures: list[Any], columns: int, scale: int, file: Path) -> None:
    import torch

    from deep3dmap.render.visualization import save_png

    bands = []
    for samples in pictures:
        missing = -len(samples) % columns
        filled = torch.cat([samples, samples.new_ones(missing, *samples.shape[1:])])
        rows = filled.unflatten(0, (-1, columns)).permute(2, 0, 3, 1, 4)
        bands.append(rows.flatten(1, 2).flatten(2, 3))
    sheet = torch.cat(bands, 1)
    # Pixels are repeated, not interpolated: the picture shows the samples' own pixels.
    times = scale or max(1, MIN_DISPLAY_SIZE // pictures[0].shape[-1])
    file.parent.mkdir(parents=True, exist_ok=True)
    save_png(sheet.repeat_interleave(times, 1).repeat_interleave(times, 2), file)
