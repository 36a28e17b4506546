"""The page of an audit that was asked for little, or found little: no heading without a word below it, no dead link."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest

from activation_atlas.stages import tables
from activation_atlas.stages.audit import STAGE, Params
from tests.memory import MemoryInputs
from tests.stages.audit.test_beside import change, effect

LACKING = {"trials": "tables hold no network to try cues on"}
EXTRACT = {"classes": [f"class {k} <b>" for k in range(20)], "input_size": [8, 8], "kind": "softmax"}


def page(found: dict[str, list[dict[str, Any]]], layer: str | None = "dense") -> str:
    """Of tables that hold no photograph."""
    schemas = {name: getattr(tables, name)() for name in found}
    made = {name: [pa.Table.from_pylist(rows, schemas[name])] for name, rows in found.items()}
    evidence = [{"candidate": cue["candidate"], "images": 5, "suspicion": 1.25} for cue in found.get("cues", [])]
    made["evidence"] = [pa.Table.from_pylist(evidence, tables.evidence())]
    said = {"image_id": ["0"], "correct": [True], "label": pa.array([0], pa.int32()), "pred": pa.array([0], pa.int32())}
    inputs = MemoryInputs(
        made | {"predictions": [pa.table(said)], "images": [pa.table({"image_id": ["0"], "uri": ["0.png"]})]},
        {("extract", ""): EXTRACT, ("repair", ""): {"layer": layer}},
    )
    params = Params(
        title="A run",
        images={"path": "."},
        tables=tuple(found),
        tried=False,
        least=0.05,
        lacking=LACKING if found.get("cues") else {},
    )
    files = inputs.run(STAGE, params)
    assert list(files) == ["site/audit.html"], "no figure of nothing"
    return files["site/audit.html"].decode()


def bare(html: str) -> str:
    """What is read."""
    html = re.sub(r"<(style|script).*?</\1>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))


def well(html: str) -> str:
    """The page, once it is seen that each heading has words below it and each link within the page an end."""
    empty = re.findall(r"<h[23][^>]*>[^<]*</h[23]>\s*(?:</section>|</article>|<h[12])", html)
    assert not empty, empty
    for anchor in re.findall(r'href="#([^"]*)"', html):
        assert f'id="{anchor}"' in html, anchor
    assert "class 0 <b>" not in html, "names stay text"
    return bare(html)


def test_little_was_asked_for():
    text = well(page({"groups": [], "slices": []}))
    assert "Not looked for: cues need classes" in text and "No slice could be tested" in text
    assert "Concepts" not in text and "fitted anew" not in text and "Groups" not in text


def test_nothing_is_suspicious():
    text = well(page({"cues": []}))
    assert "There is no candidate" in text and "Verified:" not in text and "Refuted" not in text


@pytest.mark.parametrize("useful", [True, False])
def test_a_concept_is_told_with_its_test(useful):
    row = dict.fromkeys(tables.concepts().names) | {"concept": "tag", "layer": "deep", "useful": useful}
    row |= {"accuracy": 0.9, "low": 0.8, "high": 0.95, "images_with": 40, "images_without": 60, "atlas": "all"}
    row["cells"] = [{"grid": 4, "cell_x": 1, "cell_y": 2}]
    span = {"low": 1.5, "high": 2.5, "random_low": -0.1, "random_high": 0.2}
    moved = effect(0, 2.0, 0.001, score=0.9, score_low=0.8, score_high=0.95, score_q=0.01, **span)
    still = effect(1, None, None, about="3 images of the class, and its derivative needs 10")
    html = page({"concepts": [row], "concept_effects": [moved, still] if useful else [still]})
    text = well(html)
    assert "it tells 90 % rightly [80, 95]" in text
    assert ("It surely moves class 0" in text) == useful == ("index.html#atlas=all&amp;mark=concept-0" in html)
    assert ("+2.00 [1.50, 2.50]" in text) == useful == ("3 images of the class" in text)
    assert ("The layer does not know it" in text) != useful


def share(shown: str, low: float, high: float, **of: Any) -> dict[str, Any]:
    row = change(shown, low, high, **of) | {"images": 100, "before": 0.8, "after": 0.8 + (low + high) / 2}
    return row | {"fit": "pasted" if shown == "with" else None}


def test_what_a_repair_makes_worse_is_said_as_loudly():
    cue = dict.fromkeys(tables.cues().names) | {"candidate": 3, "class": 7, "verdict": "verified", "cells": []}
    cue |= {"exemplars": [], "rank": 0, "suspicion": 1.25}
    rows = [share("all", 0.01, 0.05), share("with", 0.3, 0.5, candidate=3), share("without", -0.3, -0.1, of=2)]
    html = page({"cues": [cue], "repair": rows})
    text = well(html)
    assert "1 share surely got worse, 2 better" in text and "What got worse" in text
    assert "−20.0 [−30.0, −10.0] points: images labelled class 2" in text and "(fitted with the cue pasted in)" in text
    few = [share("all", 0.01, 0.05), share("with", 0.3, 0.5, of=2) | {"images": 5, "before": 0.2, "after": 0.6}]
    assert "1 → 3 of 5 right: images labelled class 2" in well(
        page({"cues": [cue], "repair": [few[0], few[1] | {"candidate": 3}]})
    )
    assert "Not known: tables hold no network to try cues on" in text and "1.2" in text
    unwritten = bare(page({"cues": [cue], "repair": rows[:1]}, layer=None))
    assert "no model is written" in unwritten and "What got worse" not in unwritten
    assert "no cue is verified" in well(page({"cues": [], "repair": []}))
