"""What of an audit the pages show and lead to: decided once, for this page, the explorer and the page of mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.audit.findings import wanted
from activation_atlas.stages.drawing.numbers import percent, plural
from activation_atlas.stages.stage import Inputs, State
from activation_atlas.stages.tasks import mistaken

SLICES, MEMBERS, WORST = 8, 10, 8
"""Slices, pictures of each, and mistakes with a verified cue that the page of mistakes always shows."""
SURE = 0.05
ORDER = ("verified", "undecided", "refuted")


def sure_slices(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Those that are surely worse than the rest, each once; where no image has a label, those of least confidence."""
    once = [row for row in rows if row["same_as"] is None]
    sure = [row for row in once if row["q_value"] is not None and row["q_value"] < SURE]
    shown = sure if any(row["labelled"] for row in once) else once
    return [dict(row) for row in shown[:SLICES]]


def pictured(slices: Sequence[Mapping[str, Any]], wrong: set[str]) -> list[list[str]]:
    """Of each slice the images that are shown: mistakes first, those that are most of it before others."""
    return [sorted(one["members"], key=lambda own: own not in wrong)[:MEMBERS] for one in slices]


def chosen(inputs: Inputs, params: Any) -> State:
    """What is shown, and how other pages lead to it.

    Returns:
        headline: two texts for the run's main page;
        found: what can be marked on an atlas, each with ``id`` (of its place on the page), ``words``, ``badge`` (of
        a cue its verdict, else slice or concept), ``class`` (None: of none), ``atlas`` and ``cells`` [grid, x, y];
        cues: the verified ones, each with ``candidate``, ``words``, ``typical`` (None: not known), ``images`` of other
        classes with a label that have it, and ``wrong`` of them;
        members: of each slice that is shown the images that are;
        seen: ``images``, ``labelled``, and how many of these are ``right``;
        mistakes: ids of the misclassified images that the page shows, or that show a verified cue most.
    """
    classes = inputs.state("extract", "")["classes"]
    cues, slices, concepts = (
        inputs.table(name).to_pylist() if name in params.tables else [] for name in ("cues", "slices", "concepts")
    )
    slices = sure_slices(slices)
    verified = [cue for cue in cues if cue["verdict"] == "verified"]
    having = _having(inputs, verified, classes, params.tried)
    ids = dict.fromkeys(own for cue in having for own in cue.pop("worst"))
    for cue in cues:
        if params.tried and cue["verdict"] != "refuted":
            exemplars, _ = wanted(cue, inputs.part("trials", cue["candidate"]))
            ids |= dict.fromkeys(own["image_id"] for own in exemplars)
    wrong = set(_wrong(inputs, [own for one in slices for own in one["members"]]))
    members = pictured(slices, wrong)
    ids |= dict.fromkeys(own for some in members for own in some)
    return {
        "headline": _headline(params.tables, cues, slices),
        "found": [*_marked_cues(cues, classes), *_marked_slices(slices), *_marked_concepts(concepts)],
        "cues": having,
        "members": members,
        "seen": _seen(inputs),
        "mistakes": _wrong(inputs, list(ids)),
    }


def _headline(tables: Sequence[str], cues: Sequence[Mapping[str, Any]], slices: Sequence[Any]) -> list[str]:
    if "cues" in tables:
        count = sum(cue["verdict"] == "verified" for cue in cues)
        said = f"of {plural(len(cues), 'candidate')} that the model may lean on; and where it fails"
        return [plural(count, "verified cue"), said]
    if slices:
        said = "of images that fail together" if slices[0]["labelled"] else "of images that the model is least sure of"
        return [plural(len(slices), "slice"), said]
    return ["Groups", "of images, the worst first"]


def _having(inputs: Inputs, cues: Sequence[Mapping[str, Any]], classes: Sequence[str], tried: bool) -> list[State]:
    """The verified cues, with how often images of other classes that have them are wrong; ``worst``: the mistakes that
    show each most."""
    if not cues or not tried:
        return []
    evidence = {row["candidate"]: row for row in inputs.table("evidence", ["candidate", "typical"]).to_pylist()}
    found = []
    for cue in cues:
        typical = evidence[cue["candidate"]]["typical"]
        rows = having(inputs, [cue["candidate"]], {cue["candidate"]: typical}, ["strongest", "own", "correct"])
        rows = rows.filter(pc.and_(pc.invert(rows["own"]), pc.is_valid(rows["correct"])))
        wrong = rows.filter(pc.invert(rows["correct"]))
        worst = wrong.sort_by([("strongest", "descending"), ("image_id", "ascending")])["image_id"][:WORST]
        told = {"candidate": cue["candidate"], "words": named(cue, classes), "typical": typical}
        found.append({**told, "images": len(rows), "wrong": len(wrong), "worst": worst.to_pylist()})
    return found


def having(
    inputs: Inputs, candidates: Iterable[int], typical: Mapping[int, float | None], columns: Sequence[str]
) -> pa.Table:
    """Rows of `spuriosity` of the images that show a cue as clearly as its exemplars do, with ``image_id`` and
    ``candidate``.

    Args:
        typical: of each candidate, as in `evidence`.
    """
    names = list(dict.fromkeys(["image_id", "candidate", "strongest", *columns]))
    found = []
    for part in inputs.stream("spuriosity", names):
        for candidate in candidates:
            if (least := typical[candidate]) is not None:
                shows = pc.fill_null(pc.greater_equal(part["strongest"], least), False)
                found.append(part.filter(pc.and_(pc.equal(part["candidate"], candidate), shows)))
    if found:
        return pa.concat_tables(found)
    kinds = {"candidate": pa.int32(), "strongest": pa.float32(), "own": pa.bool_(), "correct": pa.bool_()}
    return pa.schema([(name, kinds.get(name, pa.string())) for name in names]).empty_table()


def _seen(inputs: Inputs) -> dict[str, int]:
    correct = pc.drop_null(inputs.table("predictions", ["correct"])["correct"])
    images = sum(len(part) for part in inputs.stream("predictions", ["image_id"]))
    return {"images": images, "labelled": len(correct), "right": pc.sum(correct).as_py() or 0}


def _wrong(inputs: Inputs, ids: Sequence[str]) -> list[str]:
    """Those that the model gets wrong, in the order given."""
    wrong: set[str] = set()
    for part in inputs.stream("predictions", ["image_id", "correct"]):
        some = part.filter(pc.is_in(part["image_id"], value_set=pa.array(ids, pa.string())))
        wrong |= set(some["image_id"].filter(pa.array(mistaken(some["correct"]))).to_pylist())
    return [own for own in ids if own in wrong]


def named(cue: Mapping[str, Any], classes: Sequence[str]) -> str:
    """What a cue is called on the pages."""
    return f"cue {cue['candidate']} of {classes[cue['class']]}"


def _marked_cues(cues: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> list[State]:
    return [
        _marked(f"cue-{cue['candidate']}", named(cue, classes), cue, cue["verdict"], cue["class"])
        for cue in sorted(cues, key=lambda cue: (ORDER.index(cue["verdict"]), cue["rank"]))
        if cue["cells"]
    ]


def _marked_slices(slices: Sequence[Mapping[str, Any]]) -> list[State]:
    return [
        _marked(f"slice-{own['rank']}", _words(own), own, "slice")
        for own in slices
        if own["cells"] and own["atlas"] is not None
    ]


def _words(own: Mapping[str, Any]) -> str:
    if own["labelled"]:
        return f"{own['errors']} of {own['labelled']} wrong"
    return f"{plural(own['images'], 'image')}, mean confidence {percent(own['confidence'], 0)}"


def _marked_concepts(concepts: Sequence[Mapping[str, Any]]) -> list[State]:
    return [
        _marked(f"concept-{k}", own["concept"], own, "concept")
        for k, own in enumerate(concepts)
        if own["cells"] and own["useful"]
    ]


def _marked(anchor: str, words: str, row: Mapping[str, Any], badge: str, of: int | None = None) -> State:
    cells = [[cell[name] for name in ("grid", "cell_x", "cell_y")] for cell in row["cells"]]
    return {"id": anchor, "words": words, "badge": badge, "class": of, "atlas": row["atlas"], "cells": cells}


def address(found: Mapping[str, Any]) -> str:
    """Of the explorer, with the cells of a finding marked and the first of them chosen."""
    shown = {"atlas": found["atlas"], "mark": found["id"], "cell": ",".join(map(str, found["cells"][0]))}
    return f"index.html#{urlencode(shown | ({} if found['class'] is None else {'class': found['class']}))}"
