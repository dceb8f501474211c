"""Viewable files that an attempt saved for its scenes: pictures, simplified surfaces, full meshes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deep3dmap.core.preview import ABOUT, Preview, read_preview
from deep3dmap.core.reconstruction_files import ABOUT_FILE, MESH_FILE
from deep3dmap.core.scene_names import folder_name
from deep3dmap.results.store import ResultStore

PREVIEW = "preview"
# In display order.
SHOWN = ("prediction", "truth", "error")
KINDS = ("view", "surface")


@dataclass(frozen=True)
class SavedScene:
    """The files of one scene. folder: path within the store. names: paths relative to the folder."""

    store: ResultStore
    folder: str
    names: tuple[str, ...]

    @property
    def pictures(self) -> list[str]:
        """Names of the pictures made by the suite, contact sheets first."""
        own = [name for name in self.names if name.endswith(".png") and "/" not in name]
        return sorted(own, key=lambda name: ("sheet" not in name, name))

    @property
    def tiles(self) -> dict[str, dict[str, str]]:
        """Names of the available thumbnails as {"view" or "surface": {"prediction", "truth" or "error": name}}."""
        found = {}
        for kind in KINDS:
            own = {part: f"{PREVIEW}/{kind}_{part}.jpg" for part in SHOWN}
            available = {part: name for part, name in own.items() if name in self.names}
            if available:
                found[kind] = available
        return found

    @property
    def photograph(self) -> str | None:
        """Name of the thumbnail of the input, if there is one."""
        name = f"{PREVIEW}/input.jpg"
        return name if name in self.names else None

    @property
    def has_picture(self) -> bool:
        """Whether there is any picture."""
        return any(name.endswith((".png", ".jpg")) for name in self.names)

    @property
    def has_preview(self) -> bool:
        """Whether there are simplified surfaces."""
        return f"{PREVIEW}/{ABOUT}" in self.names

    @property
    def has_mesh(self) -> bool:
        """Whether the full reconstructed mesh is available."""
        return {MESH_FILE, ABOUT_FILE} <= set(self.names)

    @property
    def has_surface(self) -> bool:
        """Whether there is a surface to show in 3D."""
        return self.has_preview or self.has_mesh

    def read(self, name: str) -> bytes:
        """Return the bytes of a file of this scene."""
        return self.store.storage.read(f"{self.folder}/{name}")

    def preview(self) -> Preview:
        """Read the simplified surfaces; raises UserError naming a damaged file."""
        own = [name for name in self.names if name.startswith(f"{PREVIEW}/") and name.endswith((".ply", ".json"))]
        files = {name.removeprefix(f"{PREVIEW}/"): self.read(name) for name in own}
        return read_preview(files, f"{self.store.uri}/{self.folder}/{PREVIEW}")


def find_saved_scenes(store: ResultStore, run_id: str, attempt: int, scenes: Sequence[str]) -> dict[str, SavedScene]:
    """Return the files that an attempt saved for the given scenes; scenes without files are left out."""
    root = store.artifacts_name(run_id, attempt)
    by_folder: dict[str, list[str]] = {}
    for name in store.storage.names(root, "", recursive=True):
        folder, _, rest = name.partition("/")
        if rest:
            by_folder.setdefault(folder, []).append(rest)
    folders = {scene: folder_name(scene) for scene in scenes}
    return {
        scene: SavedScene(store, f"{root}/{folder}", tuple(by_folder[folder]))
        for scene, folder in folders.items()
        if folder in by_folder
    }


def select_best_files(of_runs: Iterable[Mapping[str, SavedScene]]) -> dict[str, SavedScene]:
    """Return the files to show for each scene: those of the first run with simplified surfaces, else of the first run."""
    found: dict[str, SavedScene] = {}
    for own in of_runs:
        for scene, kept in own.items():
            if scene not in found or (kept.has_preview and not found[scene].has_preview):
                found[scene] = kept
    return found
