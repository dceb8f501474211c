"""The four methods of docs/add_a_method.md, copied from the page, pass the contract."""

import re
import sys
from pathlib import Path

import pytest

from deep3dmap.testing import CHECKS, Subject

PAGE = Path(__file__).resolve().parents[2] / "docs" / "add_a_method.md"
HEADS = ("dataset.train=16", "dataset.val=4", "dataset.test=2")
BODIES = ("dataset.train=4", "dataset.val=2", "dataset.test=2")
EXAMPLES = {
    "trained": ("doc_trained:Landmarks", HEADS),
    "fitted": ("doc_fitted:Ball", BODIES),
    "adversarial": ("doc_adversarial:TinyGan", HEADS),
    "generative": ("doc_generative:Eigenheads", HEADS),
}


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    blocks = re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert {name for name, _ in blocks} == set(EXAMPLES)
    for name, code in blocks:
        (folder / f"doc_{name}.py").write_text(code)
    sys.path.insert(0, str(folder))
    return folder


@pytest.mark.parametrize("kind", EXAMPLES)
def test_it_passes_the_contract(kind: str, modules: Path, tmp_path: Path) -> None:
    method, small = EXAMPLES[kind]
    subject = Subject(method, tmp_path, overrides=(*small, f"data.cache='{modules / 'cache'}'"))
    subject.dataset.prepare()
    for name, check in CHECKS.items():
        if name != "two workers":
            assert check(subject), name
