"""Which model is meant, however it is named."""

from pathlib import Path

import pytest

from activation_atlas.stages import demo
from activation_atlas.stages.origin import model_spec
from activation_atlas.stages.specs import ModelSpec

SHIPPED = Path(demo.__file__).parent


@pytest.mark.parametrize("form", [dict, lambda **given: ModelSpec(**given)])
def test_what_ships_is_found_by_its_name(form):
    spec = model_spec(form(path="demo:scenes.keras", classes="demo:scenes_classes.txt"))
    assert (spec.path, spec.classes) == (str(SHIPPED / "scenes.keras"), str(SHIPPED / "scenes_classes.txt"))
    assert model_spec("demo:scenes_vit.keras").path == str(SHIPPED / "scenes_vit.keras")
    assert model_spec("demo:none.keras").path == "demo:none.keras"  # and opening it says that there is none
    other = model_spec(form(path="scenes.keras", classes=["demo:scenes_classes.txt"]))
    assert (other.path, other.classes) == ("scenes.keras", ["demo:scenes_classes.txt"])
