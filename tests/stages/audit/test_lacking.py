"""What an audit cannot give is said before the run, and is no step of it."""

from __future__ import annotations

import pytest

from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.steps import left_out, steps

ATLAS = {"name": "all", "layer": "deep"}
CUES = {"evidence", "spuriosity", "trials", "cues"}


@pytest.mark.parametrize(
    ("sections", "said", "audit"),
    [
        ({}, None, {}),
        ({"atlases": []}, "without cues: no atlas shows all activations of a layer; give one", {}),
        ({"atlases": [{**ATLAS, "class": "cat"}]}, "without cues: no atlas shows all activations", {}),
        ({"atlases": [{**ATLAS, "images": True}]}, "without cues: atlas all shows whole images", {"atlas": "all"}),
        ({"extract": {"attribution": "none"}}, "without cues: extract.attribution is none; set it to all", {}),
        ({"model": {"path": "m.keras", "task": "quantities"}}, "without slices: the model's outputs are", {}),
        ({"atlases": []}, "audit without repair: no cue is put to the test", {"repair": True}),
    ],
)
def test_what_is_not_looked_for_is_said(sections, said, audit):
    given = {"model": {"path": "m.keras", "classes": ["cat", "dog"]}, "images": {"path": "i"}, "atlases": [ATLAS]}
    config = Config(**{**given, **sections}, audit=audit)
    told, made = left_out(config), {step.stage.name for step in steps(config)}
    assert told is None if said is None else said in told
    assert CUES <= made if said is None else not CUES & made
    assert "subgroups" in made and "audit" in made and "repair" not in made
    assert left_out(config.model_copy(update={"audit": None})) is None
