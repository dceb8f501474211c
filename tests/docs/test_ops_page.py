"""The code on the page about ops runs from top to bottom, and the listed ops are exported under their names."""

import importlib
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ops.md"


def test_the_code_of_the_page_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 4
    exec("\n".join(blocks), {})


def test_the_ops_that_it_lists_are_exported() -> None:
    table = PAGE.read_text().partition("| op |")[2].partition("\n\n")[0]
    names = [
        name for row in table.splitlines() if row.startswith("| `") for name in re.findall(r"`([\w.]+)`", row.split("|")[1])
    ]
    assert "rasterize_soft" in names
    for name in names:
        module, _, function = f"deep3dmap.ops.{name}".rpartition(".")
        assert callable(getattr(importlib.import_module(module), function)), name
