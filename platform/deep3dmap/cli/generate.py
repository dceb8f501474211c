"""`deep3dmap generate`: samples of a trained generator as one picture."""

from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.config.overrides import split_override
from deep3dmap.core.errors import UserError, unknown

EXAMPLES = """\
  deep3dmap generate CHECKPOINT -o grid.png
  deep3dmap generate CHECKPOINT -o grid.png --count 64 --columns 16 seed=3
  deep3dmap generate CHECKPOINT -o grid.png truncation=0.7
  deep3dmap generate CHECKPOINT -o sweep.png --count 6 --sweep truncation=0,0.35,0.7,1
  deep3dmap generate CHECKPOINT -o moved.png --count 6 --sweep translate=[0,-0.2,0],[0,0,0],[0,0.2,0]
  deep3dmap generate CHECKPOINT -o line.png --count 9 --columns 9 between=8
  deep3dmap generate stylegan2 -o faces.png method.weights=550000.pt

key=value is a control of the method: one of `generate` of its class, such as truncation (1 = all variety, 0 = the mean picture)
and between (number of pictures from one random sample to the next) of stylegan2; `deep3dmap methods NAME` and the method's
README name them. method.KEY=, seed= and device= are those of the other verbs. The same seed gives the same pictures."""
PORTION = 16


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = VerbParser("generate", "Draw samples of a trained generator, and lay them out in one picture.", EXAMPLES)
    parser.add_argument("checkpoint", help="a checkpoint (folder or URI), or NAME/VARIANT with official weights")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the PNG file to write")
    parser.add_argument("--count", type=int, default=16, help="samples (default: 16); with --sweep in every row")
    parser.add_argument("--first", type=int, default=0, help="number of the first sample (default: 0)")
    parser.add_argument("--columns", type=int, default=0, help="samples in a row (default: a square grid)")
    parser.add_argument("--sweep", metavar="KEY=A,B,...", help="one row for each value of a control, with the same samples")
    flags, pairs = parser.parse(_kept_together(argv))
    if flags.count < 1 or flags.first < 0 or flags.columns < 0:
        raise UserError("--count is at least 1, --first and --columns at least 0")
    if flags.out.suffix.lower() != ".png":
        raise UserError(f"{flags.out}: the picture is a PNG; give a name that ends in .png")
    rows = _rows(flags.sweep)

    from deep3dmap.cli.inference_method import method_for_inference
    from deep3dmap.core.method import Generates

    values = dict(split_override(text) for text in pairs)
    method, job = method_for_inference(flags.checkpoint, values)
    if not isinstance(method, Generates) or "samples" not in method.card.produces:
        raise UserError(f"method '{job.method}' generates no samples; it produces {', '.join(method.card.produces)}")
    _check_controls(method, job.method, {key for controls in rows for key in {**values, **controls}})
    indices = range(flags.first, flags.first + flags.count)
    pictures = [_draw(method, indices, int(job.config["seed"]), {**values, **controls}) for controls in rows]
    _write(pictures, flags.columns or _square(flags.count, len(rows)), flags.out)
    print(f"{flags.count * len(rows)} samples in {flags.out}")
    return 0


def _kept_together(argv: list[str]) -> list[str]:
    """Join `--sweep KEY=VALUES` to one argument, so that it is not taken for a `key=value` of its own."""
    joined: list[str] = []
    for text in argv:
        if joined and joined[-1] == "--sweep":
            joined[-1] = f"--sweep={text}"
        else:
            joined.append(text)
    return joined


def _rows(sweep: str | None) -> list[dict[str, Any]]:
    if sweep is None:
        return [{}]
    key, equals, listed = sweep.partition("=")
    if not key or not equals or not listed:
        raise UserError(f"--sweep {sweep}: expected a control and its values, such as truncation=0,0.5,1")
    # As one list, so that a control whose values are lists themselves can be swept too.
    _, values = split_override(f"{key}=[{listed}]")
    return [{key: value} for value in values]


def _square(count: int, rows: int) -> int:
    return count if rows > 1 else max(1, round(count**0.5))


def _check_controls(method: Any, name: str, given: set[str]) -> None:
    parameters = signature(method.generate).parameters.values()
    if any(one.kind is Parameter.VAR_KEYWORD for one in parameters):
        return
    known = [one.name for one in parameters if one.name not in ("indices", "seed")]
    for key in sorted(given):
        if key not in known:
            raise unknown(f"control of {name}", key, known)


def _draw(method: Any, indices: range, seed: int, controls: dict[str, Any]) -> Any:
    import torch

    portions = [indices[start : start + PORTION] for start in range(0, len(indices), PORTION)]
    with torch.no_grad():
        return torch.cat([method.generate(portion, seed, **controls).float().cpu() for portion in portions])


def _write(pictures: list[Any], columns: int, file: Path) -> None:
    import torch

    from deep3dmap.render.pictures import save_png

    bands = []
    for samples in pictures:
        missing = -len(samples) % columns
        filled = torch.cat([samples, samples.new_ones(missing, *samples.shape[1:])])
        rows = filled.unflatten(0, (-1, columns)).permute(2, 0, 3, 1, 4)
        bands.append(rows.flatten(1, 2).flatten(2, 3))
    file.parent.mkdir(parents=True, exist_ok=True)
    save_png(torch.cat(bands, 1), file)
