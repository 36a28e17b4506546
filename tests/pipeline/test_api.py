"""The public API: what is named is there, documented, and typed as it is loaded."""

import ast
import inspect
from pathlib import Path

import pytest

import activation_atlas as aa
from activation_atlas.pipeline.results import RunFolder
from activation_atlas.pipeline.store import Store


def test_what_is_typed_is_what_is_loaded():
    """The block that type checkers read names the places that attributes come from."""
    tree = ast.parse(Path(aa.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {alias.asname or alias.name: f"{node.module}:{alias.name}" for node in block.body for alias in node.names}
    loaded = {name: f"{aa.__name__}.{place}" for name, place in aa._PLACES.items()}
    assert typed == {n: place if ":" in place else f"{place}:{n}" for n, place in loaded.items()}
    assert sorted(typed) == sorted(aa.__all__) and set(aa.__all__) <= set(dir(aa))


@pytest.mark.parametrize("name", aa.__all__)
def test_what_is_public_is_documented(name):
    found = getattr(aa, name)
    members = vars(found).items() if inspect.isclass(found) else ()
    assert inspect.getdoc(found)
    assert not [n for n, m in members if callable(getattr(m, "fget", m)) and n[0] != "_" and not inspect.getdoc(m)]


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'activation_atlas' has no attribute 'atlas'"):
        aa.atlas  # noqa: B018


def test_classes_are_those_of_whichever_stage_opened_the_model(tmp_path):
    with pytest.raises(aa.UserError, match="the classes are not known yet: run the pipeline until it has opened"):
        RunFolder(tmp_path).classes  # noqa: B018
    Store(tmp_path).write_state("doubt", "", {"metrics": {}}, {})
    Store(tmp_path).write_state("extract", "", {"classes": ["a", "b"]}, {})
    assert RunFolder(tmp_path).classes == ["a", "b"]
