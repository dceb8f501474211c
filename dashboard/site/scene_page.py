"""The pages of scenes: the results of all entries for one scene, as values, pictures and in 3D."""

import json
from collections.abc import Collection, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from deep3dmap.core.errors import UserError
from deep3dmap.dashboard import scene_cards
from deep3dmap.dashboard.look import number, with_unit
from deep3dmap.dashboard.markup import breakable
from deep3dmap.dashboard.site.folder import SiteFolder
from deep3dmap.dashboard.site.shell import page, slug
from deep3dmap.dashboard.verdicts import best_index, names_of, ordered_scenes
from deep3dmap.dashboard.viewer3d.component import SCRIPTS
from deep3dmap.dashboard.viewer3d.scene_panels import scene_payload
from deep3dmap.results.board import Board
from deep3dmap.results.kept_scenes import SavedScene, find_saved_scenes, select_best_files
from deep3dmap.results.store import ResultStore

VIEWER = (*(f"static/{name}" for name in SCRIPTS), "static/site.js")
SIDE_BY_SIDE, ENTRIES_SHOWN = 3, 12


class ScenePages:
    """Writes the pages of the scenes of a group. trail: (address, text) links to the parent pages."""

    def __init__(
        self, site: SiteFolder, store: ResultStore, runs: pd.DataFrame, found: list[Board], trail: Sequence[tuple[str, str]]
    ) -> None:
        self.site, self.board, self.trail = site, found[0], trail
        self.names = names_of(self.board.rows)
        self.metrics = {board.metric: board for board in found}
        scenes = sorted({scene for board in found for scene in board.scenes if scene})
        few = runs[["run_id", "attempt", "seed", "status"]]
        self.kept = [_find_row_scenes(store, few, row.run_ids, scenes) for row in self.board.rows]
        available = [scene for scene in self._ordered(scenes) if any(scene in own for own in self.kept)]
        self.scenes = sorted(available, key=lambda scene: not any(own[scene].has_picture for own in self.kept if scene in own))

    def write(self) -> str:
        """Write a page for each scene with saved files, and return links to the pages, with pictures, as HTML."""
        if not self.scenes:
            return ""
        cards = "".join(self._card(scene, self._page(scene)) for scene in self.scenes)
        note = "Scenes with saved files: those with pictures come first, sorted by how much the methods differ."
        return f"<h2>Scenes</h2><p class=scene-note>{note}</p><div class=site-scenes>{cards}</div>"

    def _ordered(self, scenes: list[str]) -> list[str]:
        disputed = [self.board.scenes[place] for place in ordered_scenes(self.board, self.board.compared, "disputed")]
        return [*disputed, *(scene for scene in scenes if scene not in disputed)]

    def _page(self, scene: str) -> str:
        own = {name: kept[scene] for name, kept in zip(self.names, self.kept) if scene in kept}
        parts = [self._values(scene, own), scene_cards.tiles_of_entries(own, self._picture)]
        parts += [self._viewer(own), *(self._sheets(title, kept) for title, kept in own.items())]
        address = f"scenes/{slug(*vars(self.board.group).values(), scene)}.html"
        return self.site.write(address, page(scene, "".join(parts), 1, VIEWER, self.trail))

    def _values(self, scene: str, kept: Collection[str]) -> str:
        """Return a table of the values of a scene, for the entries that saved files of it first, then others."""
        places = sorted(range(len(self.names)), key=lambda place: self.names[place] not in kept)[:ENTRIES_SHOWN]
        rows, best = [], []
        for name, board in self.metrics.items():
            if scene not in board.scenes:
                continue
            values = {row.run_ids: own for row, own in zip(board.rows, board.per_scene[:, board.scenes.index(scene)])}
            mine = np.array([values.get(self.board.rows[place].run_ids, np.nan) for place in places])
            rows.append([with_unit(name, board.rows[0].unit), *map(number, mine)])
            place = best_index(mine, board.rows[0].better)
            best.append(None if place is None else 1 + place)
        if not rows:
            return ""
        left = len(self.names) - len(places)
        note = f"<p class=scene-note>{left} more entries are listed on the leaderboard page.</p>" if left else ""
        return scene_cards.table(["metric", *(self.names[place] for place in places)], rows, best) + note

    def _viewer(self, own: dict[str, SavedScene]) -> str:
        available = {title: kept for title, kept in own.items() if kept.has_surface}
        first = dict(list(available.items())[:SIDE_BY_SIDE])
        if not first:
            return ""
        note = f"<p class=scene-note>Showing the first {SIDE_BY_SIDE} of {len(available)} entries with a surface.</p>"
        return "<h2>In 3D</h2>" + (note if len(available) > SIDE_BY_SIDE else "") + viewer(self.site, first)

    def _sheets(self, title: str, kept: SavedScene) -> str:
        if not kept.pictures:
            return ""
        pictures = "".join(scene_cards.tile(self._picture(kept, name), name) for name in kept.pictures)
        inner = f"<summary>Pictures of {escape(title)}</summary><div class=site-sheets>{pictures}</div>"
        # Expanded if there are no other pictures.
        return f"<details{'' if kept.tiles else ' open'}>{inner}</details>"

    def picture_of_first(self) -> str | None:
        """Return the address of a picture of the first scene that has one, relative to a page in a subfolder."""
        return next((found for scene in self.scenes if (found := self._picture_of(scene))), None)

    def _card(self, scene: str, address: str) -> str:
        found = self._picture_of(scene)
        image = f'<img src="{escape(found)}" alt="">' if found else ""
        return f'<a href="../{escape(address)}">{image}<span>{breakable(scene)}</span></a>'

    def _picture_of(self, scene: str) -> str | None:
        """Return the address of a picture of a scene from the first entry that has one, preferring its prediction."""
        for own in self.kept:
            kept = own.get(scene)
            if kept is not None:
                made = [names["prediction"] for names in reversed(kept.tiles.values()) if "prediction" in names]
                names = [*made, *filter(None, [kept.photograph]), *kept.pictures]
                if names:
                    return self._picture(kept, names[0])
        return None

    def _picture(self, kept: SavedScene, name: str) -> str:
        return picture(self.site, kept, name)


def picture(site: SiteFolder, kept: SavedScene, name: str) -> str:
    """Copy a picture of a scene to the site and return its address relative to a page in a subfolder."""
    return "../" + site.keep("pictures", ".png" if name.endswith(".png") else ".jpg", kept.read(name))


def viewer(site: SiteFolder, kept: dict[str, SavedScene]) -> str:
    """Write the geometry of a scene to the site and return the HTML of its viewer; an error message if a file is damaged."""
    try:
        data = scene_payload(kept)
    except UserError as error:
        return f"<p class=scene-note>{escape(str(error))}</p>"
    return "" if data is None else write_viewer(site, data)


def write_viewer(site: SiteFolder, data: dict[str, Any]) -> str:
    """Write a payload as a script, since pages opened from disk cannot read other files, and return the viewer's HTML."""
    # Escape "<", so that the data could not close a script element if embedded in a page.
    content = json.dumps(data, sort_keys=True).replace("<", "\\u003c")
    name = f"geometry/{data['id']}.js"
    site.write_once(name, f'deep3dmapSite.receive("{data["id"]}", {content});\n')
    size = max(1, round(len(content) / 1000))
    return (
        f'<div class="site-3d" data-geometry="{data["id"]}"><button type="button">Show in 3D ({size:,} kB)</button>'
        "<noscript>3D needs JavaScript.</noscript></div>"
    )


def _find_row_scenes(
    store: ResultStore, runs: pd.DataFrame, run_ids: Sequence[str], scenes: list[str]
) -> dict[str, SavedScene]:
    own = runs[runs.run_id.isin(list(run_ids)) & (runs.status == "ok")].sort_values("seed")
    pairs = zip(own.run_id, own.attempt)
    return select_best_files(find_saved_scenes(store, str(run_id), int(attempt), scenes) for run_id, attempt in pairs)
