"""`deep3dmap render`: render a mesh with every renderer, side by side in one picture."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deep3dmap.cli.arguments import VerbParser, is_terminal
from deep3dmap.cli.places import check_folder
from deep3dmap.cli.printable import shown
from deep3dmap.cli.tables import print_table, table
from deep3dmap.config.overrides import split_override
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.files import require_file

if TYPE_CHECKING:
    from deep3dmap.render.renderer import Lights, Renderer, Surface, View
    from deep3dmap.render.renderer_comparison import Drawing

DESCRIPTION = """\
Render a mesh (textured OBJ, PLY or GLB) with every available renderer, side by side in one picture: colour, depth, normals
and silhouette, with the median time of a few runs. Unavailable renderers are listed with the reason.

  renderers=[a,b]     subset of hard, soft, neural_mesh, pyrender, pytorch3d, volume (default: all available)
  size=256            width and height of each image in pixels
  azimuth=30          camera azimuth in degrees; 0 is the front: +z if y is up, -y if z is up
  elevation=15        camera elevation in degrees
  up=y                up axis, y or z
  projection=...      perspective (default) or orthographic
  NAME.OPTION=value   option of a renderer, e.g. soft.sigma=1e-6; see docs/renderers.md"""
EXAMPLES = """\
  deep3dmap render cow.obj
  deep3dmap render cow.obj -o cow.png azimuth=150 size=384
  deep3dmap render scan.ply renderers=[hard,soft] up=z soft.sigma=1e-6 soft.gamma=1e-5
  deep3dmap render head.glb renderers=[hard,volume] projection=orthographic volume.resolution=128
  deep3dmap render cow.obj --json"""
DEFAULTS: dict[str, Any] = {"size": 256, "azimuth": 30.0, "elevation": 15.0, "up": "y", "projection": "perspective"}
MAX_SIZE = 2048


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = VerbParser("render", DESCRIPTION, EXAMPLES)
    parser.add_argument("mesh", type=Path, help="an OBJ, PLY or GLB file")
    parser.add_argument("-o", "--out", type=Path, help="output PNG or JPEG (default: MESH_renderers.png in this folder)")
    parser.add_argument("--json", action="store_true", help="print times and agreement between renderers as JSON")
    flags, pairs = parser.parse(argv)
    values = dict(split_override(text) for text in pairs)
    out = _check_output_file(flags.out, flags.mesh)
    require_file(flags.mesh, "a mesh file")
    # Imported here so that neither --help nor the errors above load torch and OpenGL.
    from rich.progress import track

    from deep3dmap.render.mesh_files import read_surface
    from deep3dmap.render.renderer_comparison import comparison_picture, light_from_upper_left
    from deep3dmap.render.renderers import available

    absent = {name: reason for name, reason in available().items() if reason}
    chosen = _select_renderers(values, absent)
    surface = read_surface(flags.mesh)
    view = _parse_view(values, surface)
    lights = light_from_upper_left(view)
    progress = track(chosen, "drawing", disable=not is_terminal() or flags.json, transient=True)
    drawings = [_draw(one, surface, view, lights) for one in progress]
    counts = f"{len(surface.vertices)} vertices, {len(surface.faces)} triangles"
    caption = f"{flags.mesh.name}: {counts}, {view.width} x {view.height} pixels"
    missing = {name: reason for name, reason in absent.items() if "renderers" not in values}
    comparison_picture(drawings, missing, caption).save(out)
    report = _build_report(drawings)
    if flags.json:
        about = {"mesh": str(flags.mesh), "vertices": len(surface.vertices), "faces": len(surface.faces), "size": view.width}
        print(json.dumps({**about, "picture": str(out), "renderers": report, "absent": missing}, indent=1))
    else:
        _print_report(caption, report, missing)
        print(f"picture in {out}")
    return 0


def _select_renderers(values: dict[str, Any], absent: dict[str, str]) -> list["Renderer"]:
    """Return the renderers to use, with their options. Raises UserError for unknown keys."""
    from deep3dmap.render.renderers import names, renderer, renderer_type

    asked = values.get("renderers", [name for name in names() if name not in absent])
    asked = [asked] if isinstance(asked, str) else asked
    if not isinstance(asked, list) or not asked:
        raise UserError(f"renderers={asked}: expected a list of renderers such as [hard,soft]")
    options: dict[str, dict[str, Any]] = {str(name): {} for name in asked}
    for name in options:
        renderer_type(name)
    for key in list(values):
        name, dot, option = key.partition(".")
        if dot:
            if name not in options:
                raise UserError(f"{key}: renderer {name} is not in use; the renderers are {', '.join(options)}")
            options[name][option] = values[key]
        elif key not in DEFAULTS and key != "renderers":
            raise unknown("argument", key, [*DEFAULTS, "renderers"])
    return [renderer(name, **own) for name, own in options.items()]


def _draw(chosen: "Renderer", surface: "Surface", view: "View", lights: "Lights") -> "Drawing":
    from deep3dmap.render.renderer_comparison import draw

    try:
        return draw(chosen, surface, view, lights)
    except ValueError as error:  # an option whose range is checked only when it is used
        raise UserError(f"renderer {chosen.name}: {error}") from error


def _check_output_file(out: Path | None, mesh: Path) -> Path:
    file = out or Path(f"{mesh.stem}_renderers.png")
    if file.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UserError(f"{file}: the output file must be a .png or .jpg file")
    if not file.parent.is_dir():
        raise UserError(f"{file}: there is no folder {file.parent}")
    if file.is_dir():
        raise UserError(f"{file} is a folder; give the name of a picture")
    check_folder(file.parent, "-o")
    return file


def _parse_view(values: dict[str, Any], surface: "Surface") -> "View":
    from deep3dmap.render.renderer_comparison import view_of

    given = {**DEFAULTS, **{key: values[key] for key in DEFAULTS if key in values}}
    for key in ("azimuth", "elevation", "size"):
        if isinstance(given[key], bool) or not isinstance(given[key], int | float):
            raise UserError(f"{key}={given[key]}: expected a number")
    if given["size"] != int(given["size"]) or not 8 <= given["size"] <= MAX_SIZE:
        raise UserError(f"size={given['size']}: expected a whole number of pixels from 8 to {MAX_SIZE}")
    if not -90 <= given["elevation"] <= 90:
        raise UserError(f"elevation={given['elevation']}: expected degrees from -90 to 90")
    for key, choices in (("up", ("y", "z")), ("projection", ("perspective", "orthographic"))):
        if given[key] not in choices:
            raise unknown(key, str(given[key]), choices)
    used = surface.vertices[surface.faces.unique()]
    return view_of(used, int(given["size"]), *(given[key] for key in ("azimuth", "elevation", "up", "projection")))


def _build_report(drawings: list["Drawing"]) -> dict[str, dict[str, Any]]:
    from deep3dmap.render.renderer_comparison import agreement

    first = drawings[0].rendering
    report = {}
    for drawing in drawings:
        agrees = agreement(first, drawing.rendering)
        report[drawing.renderer.name] = {
            "seconds": round(drawing.seconds, 6),
            "differentiable": sorted(drawing.renderer.differentiable),
            "options": drawing.renderer.options(),
            "silhouette_iou": round(agrees.iou, 5),
            "depth_difference": None if agrees.depth != agrees.depth else agrees.depth,
        }
    return report


def _print_report(caption: str, report: dict[str, dict[str, Any]], absent: dict[str, str]) -> None:
    from rich.console import Console

    first = next(iter(report))
    console = Console(soft_wrap=True, highlight=False)
    console.print(shown(caption))
    rows = table("renderer", "seconds", f"IoU with {first}", f"depth difference to {first}", "differentiable")
    for name, row in report.items():
        depth = "-" if row["depth_difference"] is None else f"{row['depth_difference']:.1e}"
        differentiable = ", ".join(row["differentiable"]) or "nothing"
        rows.add_row(name, f"{row['seconds']:.4f}", f"{row['silhouette_iou']:.4f}", depth, differentiable)
    print_table(rows)
    for name, reason in absent.items():
        console.print(f"{name} is unavailable: {shown(reason)}", style="yellow")
