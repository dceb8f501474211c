"""`deep3dmap doctor`: check what works on this machine, and suggest fixes for the rest."""

import importlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.printable import shown
from deep3dmap.cli.tables import print_table, table
from deep3dmap.config.plugins import get_load_error
from deep3dmap.core.registry import datasets, methods, suites


@dataclass(frozen=True)
class Diagnosis:
    """One line of the report. needed: whether deep3dmap requires this component."""

    what: str
    works: bool
    detail: str
    remedy: str = ""
    needed: bool = False


def main(argv: list[str]) -> int:
    """Run the verb; exit code 0 unless a required component does not work."""
    parser = VerbParser(
        "doctor",
        "Check what works on this machine, and suggest fixes for the rest.",
        "  deep3dmap doctor\n  deep3dmap doctor --json",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    flags, _ = parser.parse(argv)
    findings = [*(check() for check in CHECKS), *_plugins()]
    if flags.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        rows = table("", "component", "found", "fix")
        for finding in findings:
            mark = "[green]ok[/green]" if finding.works else ("[red]no[/red]" if finding.needed else "[yellow]no[/yellow]")
            rows.add_row(mark, *map(shown, (finding.what, finding.detail, "" if finding.works else finding.remedy)))
        print_table(rows)
    return 0 if all(finding.works or not finding.needed for finding in findings) else 1


def _torch() -> Diagnosis:
    import torch

    return Diagnosis("torch", True, f"{torch.__version__}, {torch.get_num_threads()} threads", needed=True)


def _cuda() -> Diagnosis:
    import torch

    found = torch.cuda.is_available()
    detail = torch.cuda.get_device_name() if found else "no CUDA device"
    return Diagnosis("GPU", found, detail, "optional: a CUDA build of torch and a driver")


def _native() -> Diagnosis:
    from deep3dmap.ops import available_backends

    backends = available_backends()
    remedy = "install a C++17 compiler (Debian: g++) and run `pip install .` again; until then the torch reference is used"
    return Diagnosis("native kernels", "native" in backends, ", ".join(backends), remedy)


def _ray() -> Diagnosis:
    import ray

    return Diagnosis("ray", True, ray.__version__, needed=True)


def _memory() -> Diagnosis:
    free = shutil.disk_usage("/dev/shm").free / 2**20 if Path("/dev/shm").is_dir() else 0
    return Diagnosis(
        "shared memory", free > 250, f"{free:.0f} MB free in /dev/shm", "containers: pass --shm-size=1g, or Ray spills to disk"
    )


def _home() -> Diagnosis:
    home = Path.home()
    writable = os.access(home, os.W_OK)
    return Diagnosis(
        "home folder", writable, str(home), "Ray keeps its token in ~/.ray: set HOME to a writable folder", needed=True
    )


def _plugins() -> Iterator[Diagnosis]:
    """Yield one line each for methods, datasets and suites, and one for every plugin that does not load."""
    for registry in (methods, datasets, suites):
        failing = {name: error for name in registry.names() if (error := get_load_error(registry, name))}
        yield Diagnosis(f"{registry.kind}s", True, f"{len(registry.names()) - len(failing)} load correctly")
        for name, error in failing.items():
            yield Diagnosis(f"{registry.kind} {name}", False, error, f"reinstall or remove {registry.provider(name)}")


def _importable(module: str, what: str, remedy: str) -> Callable[[], Diagnosis]:
    def check() -> Diagnosis:
        try:
            found = importlib.import_module(module)
        except Exception as error:  # importing a broken library may raise anything
            return Diagnosis(
                what, False, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:80], remedy
            )
        return Diagnosis(what, True, str(getattr(found, "__version__", "found")))

    return check


def _chromium() -> Diagnosis:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return Diagnosis("chromium", found is not None, found or "not found", "only for the browser tests: Debian package chromium")


CHECKS: tuple[Callable[[], Diagnosis], ...] = (
    _torch,
    _cuda,
    _native,
    _ray,
    _home,
    _memory,
    _importable("mmcv", "mmcv image pipeline", "OpenCV needs the system's libGL: Debian package libgl1"),
    _importable("streamlit", "dashboard", "pip install streamlit"),
    _importable(
        "OpenGL.osmesa",
        "OSMesa for pyrender",
        "pip install 'deep3dmap[pyrender]', Debian package libosmesa6, PYOPENGL_PLATFORM=osmesa",
    ),
    _importable("spconv.pytorch", "spconv", "optional peer: pip install spconv"),
    _importable("torchsparse.nn", "torchsparse", "optional peer, from source: github.com/mit-han-lab/torchsparse"),
    _importable("pytorch3d.ops", "pytorch3d", "optional peer, from source: github.com/facebookresearch/pytorch3d"),
    _chromium,
)
