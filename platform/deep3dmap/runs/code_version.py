"""A hash of the code that determines a run's results, independent of docstrings and comments.

Imports are followed from the relevant modules in their syntax trees, without importing anything, so the hash includes for
example the network blocks in `nn/` that a method uses and the metrics of the suite.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

OWN_PACKAGE = __name__.partition(".")[0]
# Modules that train and score every method.
DRIVERS = (f"{OWN_PACKAGE}.train.session", f"{OWN_PACKAGE}.train.scene_fits", f"{OWN_PACKAGE}.runs.scoring")

# Returns the source of a module, or None for a name that is not a Python module.
ReadSource = Callable[[str], str | None]


def code_version(modules: Iterable[str], native: str | None = None, read: ReadSource | None = None) -> str:
    """Hash the given modules, the drivers, and everything they import from their own packages and from this one.

    native: hash of the native build.
    """
    roots = (*modules, *DRIVERS)
    packages = {OWN_PACKAGE, *(name.partition(".")[0] for name in roots)}
    digest = hashlib.sha256((native or "").encode())
    for name, content in sorted(_closure(roots, packages, read or read_source).items()):
        digest.update(f"{name}\0{content}\0".encode())
    return digest.hexdigest()[:12]


@cache
def read_source(module: str) -> str | None:
    """Return the source of a module, located as by an import; None if it has no source."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    if found is None or not found.origin or not found.origin.endswith(".py"):
        return None
    return Path(found.origin).read_text()


def _closure(roots: Iterable[str], packages: set[str], read: ReadSource) -> dict[str, str]:
    contents: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in contents or name.partition(".")[0] not in packages:
            continue
        source = read(name)
        if source is None:
            continue
        content, imported = _parsed(name, source)
        contents[name] = content
        # Importing a.b.c also executes a and a.b.
        waiting += imported + [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
    return contents


@cache
def _parsed(module: str, source: str) -> tuple[str, list[str]]:
    """Return the syntax tree of a module without docstrings, as text, and the names that it may import."""
    tree = ast.parse(source)
    imported = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(module, node)
            # `from package import name` imports the module package.name if it exists.
            imported += [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        _drop_docstring(node)
    return ast.dump(tree), imported


def _origin(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parent = module.rsplit(".", node.level)[0]
    return f"{parent}.{node.module}" if node.module else parent


def _drop_docstring(node: ast.AST) -> None:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        node.body = node.body[1:] or [ast.Pass()]
