"""Scenes as HTML with thumbnails side by side. All values from the store are escaped."""

import base64
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from html import escape

from deep3dmap.core.preview import WORST_COLOR, WORST_DISTANCE
from deep3dmap.dashboard.look import replace_direction_controls
from deep3dmap.dashboard.markup import breakable
from deep3dmap.results.kept_scenes import KINDS, SHOWN, SavedScene

ERROR_NOTE = (
    f"Colours of errors: from 0 (dark) to {100 * WORST_DISTANCE:g} % of the size of the true surface or more (bright); "
    f"for views, to {100 * WORST_COLOR:g} % of the colour range or more."
)
PICTURES_KEPT = 128
# Returns the address of a picture: a data URI in the app, a file in an exported site.
Address = Callable[[SavedScene, str], str]
STYLE = """
.scene-card { border: 1px solid color-mix(in srgb, currentColor 16%, transparent); border-radius: 10px; padding: 12px 14px 14px;
  margin: 0 0 14px; }
.scene-card > header { display: flex; flex-wrap: wrap; gap: 2px 14px; align-items: baseline; margin-bottom: 8px; }
.scene-card h3 { font-size: 1rem; font-weight: 620; margin: 0; padding: 0; overflow-wrap: anywhere; }
.scene-card .value { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.scene-card .value small, .scene-note { opacity: .7; font-size: .85rem; }
.scene-tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(150px, 44%), 1fr)); gap: 10px; }
.scene-tiles figure { margin: 0; min-width: 0; }
.scene-tiles img { width: 100%; aspect-ratio: 4 / 3; object-fit: contain; border-radius: 6px; display: block;
  background: color-mix(in srgb, currentColor 8%, transparent); }
.scene-sheet img { aspect-ratio: auto; }
.scene-tiles figcaption { font-size: .8rem; opacity: .75; margin-top: 3px; overflow-wrap: break-word; }
.scene-tiles section { min-width: 0; display: grid; gap: 6px; grid-row: span 3; grid-template-rows: subgrid; }
.scene-tiles h4 { font-size: .9rem; font-weight: 600; margin: 0; padding: 0; overflow-wrap: break-word; align-self: end;
  display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical; overflow: hidden; }
.scene-tiles + .scene-tiles { margin-top: 14px; }
.scene-table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; width: 100%; }
.scene-table :is(th, td) { padding: .4rem .75rem .4rem 0; text-align: right; border: none;
  border-bottom: 1px solid color-mix(in srgb, currentColor 12%, transparent); }
.scene-table td { white-space: nowrap; }
.scene-table :is(th, td):first-child { text-align: left; white-space: normal; min-width: 6.5rem; }
.scene-table th { font-weight: 500; font-size: .8rem; opacity: .75; vertical-align: bottom; }
.scene-table td.best { font-weight: 650; }
.scene-scroll { overflow-x: auto; }
.scene-verdict { border-left: 4px solid #8c8c8c; padding: 4px 0 4px 12px; margin: 0 0 10px; overflow-wrap: anywhere; }
.scene-verdict.better { border-color: #009e73; } .scene-verdict.worse { border-color: #d55e00; }
.scene-verdict small { display: block; opacity: .72; font-variant-numeric: tabular-nums; }
"""


@lru_cache(PICTURES_KEPT)
def as_data_uri(kept: SavedScene, name: str) -> str:
    """Return a picture as a data URI."""
    kind = "png" if name.endswith(".png") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(kept.read(name)).decode()}"


def tile(address: str, caption: str) -> str:
    """Return one picture with a caption."""
    return (
        f'<figure><img src="{escape(address)}" alt="{escape(caption)}"><figcaption>{breakable(caption)}</figcaption></figure>'
    )


def tiles(kept: SavedScene, address: Address = as_data_uri) -> str:
    """Return the input, prediction, truth and error of a scene, for views and for surfaces as available."""
    photograph = kept.photograph
    parts = []
    for kind, names in kept.tiles.items():
        first = [tile(address(kept, photograph), "input")] if photograph else []
        rest = [tile(address(kept, names[part]), _kind_prefix(kept, kind) + part) for part in SHOWN if part in names]
        parts.append(f"<div class=scene-tiles>{''.join(first + rest)}</div>")
    return "".join(parts)


def tiles_of_entries(kept: Mapping[str, SavedScene], address: Address = as_data_uri) -> str:
    """Return one scene from several entries: a column with input and truth, then one with prediction and error per entry."""
    rows = []
    of_kinds = {kind: own for kind in KINDS if (own := {title: one for title, one in kept.items() if kind in one.tiles})}
    for kind, own in of_kinds.items():
        first = next(iter(own.values()))
        prefix = f"{kind}, " if len(of_kinds) > 1 else ""
        shared = [("input", first.photograph), (f"{prefix}truth", first.tiles[kind].get("truth"))]
        columns = [_column("input and truth", first, shared, address)]
        for title, one in own.items():
            own_pictures = [(prefix + part, one.tiles[kind].get(part)) for part in ("prediction", "error")]
            columns.append(_column(title, one, own_pictures, address))
        # Pad with empty columns, so that pictures have the same size if some entries lack one kind.
        columns += ["<section></section>"] * (max(map(len, of_kinds.values())) - len(own))
        rows.append(f"<div class=scene-tiles>{''.join(columns)}</div>")
    return "".join([*rows, error_note()] if rows else [])


def sheet(kept: SavedScene, address: Address = as_data_uri) -> str:
    """Return the first picture made by the suite, in its original aspect ratio."""
    name = kept.pictures[0]
    return f'<div class="scene-tiles scene-sheet">{tile(address(kept, name), name.removesuffix(".png"))}</div>'


def error_note() -> str:
    """Return the explanation of the colours of errors."""
    return f"<p class=scene-note>{ERROR_NOTE}</p>"


def _kind_prefix(kept: SavedScene, kind: str) -> str:
    return f"{kind}, " if len(kept.tiles) > 1 else ""


def _column(title: str, kept: SavedScene, named: Sequence[tuple[str, str | None]], address: Address) -> str:
    pictures = "".join(tile(address(kept, name), caption) for caption, name in named if name)
    return f"<section><h4>{breakable(title)}</h4>{pictures}</section>"


def card(title: str, value: str, note: str, content: str) -> str:
    """Return a frame for a scene. title, value, note: text. content: HTML."""
    small = f" <small>{escape(note)}</small>" if note else ""
    head = f"<header><h3>{breakable(title)}</h3><span class=value>{escape(value)}{small}</span></header>"
    return f"<article class=scene-card>{head}{content}</article>"


def verdict_box(kind: str, words: str, details: str) -> str:
    """Return a verdict in words with the numbers below it. kind: CSS class, see `Verdict`."""
    return (
        f'<p class="scene-verdict {escape(kind)}">{escape(replace_direction_controls(words))}'
        f"<small>{escape(details)}</small></p>"
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], best: Sequence[int | None]) -> str:
    """Return a table of text. best: index of the best column for each row, None if there is none."""
    head = "".join(f"<th>{breakable(one)}</th>" for one in heads)
    lines = []
    for row, good in zip(rows, best):
        cells = [breakable(row[0]), *map(escape, row[1:])]
        lines.append("".join(f"<td{' class=best' if place == good else ''}>{cell}</td>" for place, cell in enumerate(cells)))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<div class=scene-scroll><table class=scene-table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
