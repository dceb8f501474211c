"""The id of a run changes with every line of code that determines its results, but not with docstrings or comments."""

import pytest

from deep3dmap.runs.code_version import code_version, read_source

PRNET = "deep3dmap.methods.prnet.method"
INDOOR = "deep3dmap.benchmarks.indoor.protocol"


def edited(module: str, change):
    """Return a reader of sources that modifies the source of one module."""

    def read(name: str) -> str | None:
        source = read_source(name)
        if name != module:
            return source
        assert source is not None, f"{module} is not there"
        changed = change(source)
        assert changed != source
        return changed

    return read


def adds_code(source: str) -> str:
    return source + "\nDECIDES = 1\n"


def adds_prose(source: str) -> str:
    assert '"""' in source
    return "# A comment.\n" + source.replace('"""', '"""More words. ', 1)


@pytest.mark.parametrize(
    ("roots", "module"),
    [
        ((PRNET,), "deep3dmap.methods.prnet.losses"),
        ((PRNET,), "deep3dmap.nn.resfcn"),
        ((PRNET,), "deep3dmap.nn.same_padding"),
        ((PRNET,), "deep3dmap.frameworks.batches"),
        ((PRNET,), "deep3dmap.core.reconstruction"),
        ((PRNET,), "deep3dmap.train.session"),
        ((PRNET,), "deep3dmap.train.seeding"),
        ((PRNET, INDOOR), "deep3dmap.metrics.surface_points"),
        ((PRNET, INDOOR), "deep3dmap.benchmarks.indoor.surfaces"),
        ((PRNET, INDOOR), "deep3dmap.geometry.tsdf_volume"),
    ],
)
def test_code_that_decides_gives_another_version_and_prose_the_same(roots: tuple[str, ...], module: str) -> None:
    before = code_version(roots)
    assert code_version(roots, read=edited(module, adds_code)) != before
    assert code_version(roots, read=edited(module, adds_prose)) == before


def test_another_methods_code_changes_nothing() -> None:
    before = code_version((PRNET,))

    def read(name: str) -> str | None:
        source = read_source(name)
        return adds_code(source) if source and name.startswith(("deep3dmap.methods.neuralrecon", "deep3dmap.cli")) else source

    assert code_version((PRNET,), read=read) == before


def test_the_native_build_counts() -> None:
    assert len({code_version((PRNET,)), code_version((PRNET,), "build 1"), code_version((PRNET,), "build 2")}) == 3


def test_a_third_partys_package_is_followed_through_all_its_modules() -> None:
    sources = {
        "theirs": "",
        "theirs.method": "from theirs.parts import layers\nfrom . import losses\nimport os\n",
        "theirs.parts": "",
        "theirs.parts.layers": "A = 1\n",
        "theirs.losses": "B = 1\n",
        "theirs.unused": "C = 1\n",
    }

    def version(**changed: str) -> str:
        present = {**sources, **{name.replace("_", "."): text for name, text in changed.items()}}
        return code_version(("theirs.method",), read=lambda name: present.get(name, read_source(name)))

    before = version()
    assert version(theirs_parts_layers="A = 2\n") != before
    assert version(theirs_losses="B = 2\n") != before
    assert version(theirs_unused="C = 2\n") == before
    assert version(theirs_losses="'''Prose.'''\nB = 1\n") == before


def test_a_module_in_a_single_file_is_hashed(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    name = f"lonely_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text("A = 1\n")
    read_source.cache_clear()
    before = code_version((name,))
    (tmp_path / f"{name}.py").write_text("A = 2\n")
    read_source.cache_clear()
    assert code_version((name,)) != before
