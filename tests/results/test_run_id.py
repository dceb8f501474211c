import sys
from dataclasses import replace

import pytest

from deep3dmap.results.run_id import RunKey, code_version, content_hash

KEY = RunKey("face", 1, "quick", "prnet", "mini", "v1", {"method": {"width": 8, "loss": "l2"}}, "heads", "d1", 0)


def test_id_is_the_same_on_every_machine():
    assert KEY.run_id == "7d38941444023749"


def test_order_of_the_configuration_does_not_matter():
    assert replace(KEY, config={"method": {"loss": "l2", "width": 8}}).run_id == KEY.run_id


@pytest.mark.parametrize(
    "change",
    [
        {"suite": "indoor"},
        {"protocol_version": 2},
        {"tier": "smoke"},
        {"method": "mean_face"},
        {"variant": "paper"},
        {"method_version": "v2"},
        {"config": {"method": {"width": 16, "loss": "l2"}}},
        {"dataset": "aflw2000"},
        {"dataset_version": "d2"},
        {"seed": 1},
    ],
)
def test_whatever_decides_the_numbers_changes_the_id(change):
    assert replace(KEY, **change).run_id != KEY.run_id


def test_only_plain_data_have_a_hash():
    with pytest.raises(TypeError):
        content_hash({"method": object()})


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / f"made_up_{tmp_path.name}"
    (folder / "parts").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "method.py").write_text("WIDTH = 8\n")
    (folder / "config.yaml").write_text("mini: {}\n")
    (folder / "parts" / "layers.py").write_text("A = 1\n")
    (folder / "README.md").write_text("words\n")
    monkeypatch.syspath_prepend(tmp_path)
    code_version.cache_clear()
    yield folder
    code_version.cache_clear()
    for name in [name for name in sys.modules if name.startswith(folder.name)]:
        del sys.modules[name]


def version(folder, native=None):
    code_version.cache_clear()
    return code_version(f"{folder.name}.method", native)


@pytest.mark.parametrize("file", ["method.py", "config.yaml", "parts/layers.py"])
def test_code_version_changes_with_every_source(package, file):
    before = version(package)
    (package / file).write_text("# changed\n")
    assert version(package) != before


def test_code_version_ignores_documents_and_caches(package):
    before = version(package)
    (package / "README.md").write_text("other words\n")
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "junk.py").write_text("1\n")
    assert version(package) == before


def test_code_version_changes_with_the_native_build(package):
    assert len({version(package), version(package, "build 1"), version(package, "build 2")}) == 3


def test_a_module_in_no_package_is_hashed_alone(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    name = f"lonely_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text("A = 1\n")
    code_version.cache_clear()
    assert len(code_version(name)) == 12
