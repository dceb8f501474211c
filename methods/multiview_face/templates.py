"""Templates by name: the built-in ones and user-supplied files."""

from pathlib import Path

from deep3dmap.core import UserError
from deep3dmap.core.errors import nearest
from deep3dmap.data.scenes.head_model import head_model
from deep3dmap.data.scenes.procedural_body import body_model
from deep3dmap.geometry.body_model import BodyTemplate
from deep3dmap.geometry.morphable_model import MorphableModel
from deep3dmap.geometry.smplx_template import SMPLXTemplate
from deep3dmap.geometry.template import HeadTemplate, MeshTemplate, Template, sphere

BUILT_IN = ("head", "body", "sphere")


def load_template(name: str, grid: int, size: float) -> Template:
    """Return a template. name: see MultiViewFaceConfig. grid: of the head. size: metres, radius of the sphere or a mesh's unit.

    Raises UserError if the name is not built in, a file or an SMPL-X folder, and for a head with an even grid.
    """
    if name == "head":
        if grid % 2 == 0:
            raise UserError(f"method.template_grid={grid}: must be odd, so that the head has a middle line")
        return HeadTemplate(head_model(grid))
    if name == "body":
        return BodyTemplate(body_model())
    if name == "sphere":
        return sphere(4, size)
    file = Path(name).expanduser()
    if file.is_dir():
        return SMPLXTemplate(file)
    if not file.is_file():
        hint = nearest(name, BUILT_IN)
        raise UserError(f"method.template='{name}' is neither one of {', '.join(BUILT_IN)} nor a file{hint}")
    return HeadTemplate(MorphableModel.load(file)) if file.suffix == ".npz" else MeshTemplate.load(file, size)
