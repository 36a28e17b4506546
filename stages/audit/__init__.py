"""The tables of an audit -> site/audit.html: its findings in plain words, each with its evidence and its test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from activation_atlas.stages.audit import beside, forest
from activation_atlas.stages.audit.chosen import address, chosen, named, sure_slices
from activation_atlas.stages.audit.findings import alike, finding, wanted
from activation_atlas.stages.audit.lacking import PARTS, lacking
from activation_atlas.stages.audit.pictures import embedded, source
from activation_atlas.stages.drawing.numbers import file_size
from activation_atlas.stages.drawing.pages import rendered
from activation_atlas.stages.feed import Feed, at_size, uris_of
from activation_atlas.stages.intervals import wilson
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.significance import IMAGES as FEWEST
from activation_atlas.stages.specs import ReadImages, Spec
from activation_atlas.stages.stage import Inputs, Shard, Stage, State, one_shard
from activation_atlas.stages.tables import VERDICTS
from activation_atlas.stages.tasks import assigned

PAGE = "site/audit.html"
SCRIPTS = ("data.js", "controls.js", "closer.js", "audit.js")
STYLES = ("style.css", "closer.css", "verdicts.css", "audit.css")
GROUPS = 12
"""Groups that are shown."""
TABLES = ("cues", "placements", "slices", "groups", "repair", "concepts", "concept_effects")
"""Of which at least one is there."""


class Params(Spec):
    """Everything the page depends on."""

    title: str
    images: ReadImages
    tables: tuple[str, ...]
    tried: bool
    least: float
    lacking: dict[str, str] = Field(default_factory=dict)
    about: dict[str, Any] = Field(default_factory=dict, exclude=True)


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    found = tuple(name for name in TABLES if name in asked.written)
    if asked.config.audit is not None and found:
        tried = "trials" in asked.written
        values = {"title": asked.config.run.name, "images": asked.images, "least": asked.config.audit.least}
        yield "", {**values, "tables": found, "tried": tried, "lacking": lacking(asked), "about": dict(asked.about)}


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, bytes]:
    """The page, with its pictures in it, and ``figures/cues.*``."""
    extract, state = inputs.state("extract", ""), inputs.state()
    classes, seen = extract["classes"], state["seen"]
    rows = {name: inputs.table(name).to_pylist() for name in params.tables}
    cues, slices = rows.get("cues", []), sure_slices(rows.get("slices", []))
    shown = [cue for cue in cues if params.tried and cue["verdict"] != "refuted"]
    trials = {cue["candidate"]: inputs.part("trials", cue["candidate"]) for cue in shown}
    ids: dict[str, None] = {}
    for cue in shown:
        exemplars, pairs = wanted(cue, trials[cue["candidate"]])
        ids |= dict.fromkeys([e["image_id"] for e in (*exemplars, *cue["exemplars"])] + [p["image_id"] for p in pairs])
    ids |= dict.fromkeys(own for some in state["members"] for own in some)
    evidence = {row["candidate"]: row for row in inputs.table("evidence").to_pylist()} if cues else {}
    atlas = {one["id"]: address(one) for one in state["found"]}
    carried = {one["candidate"]: one for one in state["cues"]}
    # An image that the page of mistakes has leads there.
    mistakes = {own: f"errors.html#image={own}" for own in state["mistakes"]}
    pixels, labels = _pixels(inputs, params, extract, list(ids)), _said(inputs, extract, set(ids), mistakes)
    found = [
        finding(cue, evidence[cue["candidate"]], trials[cue["candidate"]], pixels, classes, labels, mistakes)
        | {"on": atlas.get(f"cue-{cue['candidate']}"), "carried": carried.get(cue["candidate"])}
        | {"corners": _corners(rows.get("placements", []), cue)}
        for cue in shown
    ]
    for one, members in zip(slices, state["members"], strict=True):
        one["on"] = atlas.get(f"slice-{one['rank']}")
        one["pictures"] = [
            {"src": source(pixels[own]), "label": labels.get(own, ""), "href": mistakes.get(own)}
            for own in members
            if own in pixels
        ]
    asked = beside.concepts(rows.get("concepts", []), rows.get("concept_effects", []), classes)
    files, drawn = _figure(inputs, params, cues, classes)
    values = {
        "counts": {name: sum(cue["verdict"] == name for cue in cues) for name in VERDICTS},
        "cues": found,
        "refuted": _listed([cue for cue in cues if cue["verdict"] == "refuted"], classes, atlas),
        "slices": slices,
        "tested": any(row["q_value"] is not None for row in rows.get("slices", [])),
        "groups": rows.get("groups", [])[:GROUPS],
        "concepts": [{**one, "on": atlas.get(one["id"])} for one in asked],
        "repair": _repair(inputs, rows, classes) if "repair" in rows else None,
        "figure": drawn,
        "least": params.least,
        "fewest": FEWEST,
        "few": beside.FEW,
        "seen": seen | {"accuracy": wilson(seen["right"], seen["labelled"])},
        "alike": alike([cue for cue in cues if cue["verdict"] == "verified"]),
        "tables": params.tables,
        "lacking": {part: params.lacking.get(part, "") for part in PARTS},
        "untried": [] if params.tried else _listed(cues, classes, atlas),
        "unlabelled": bool(slices) and slices[0]["q_value"] is None,
    }
    return {PAGE: rendered("audit.html", params.title, {"links": {}}, SCRIPTS, STYLES, values), **files}


def _listed(
    cues: Sequence[Mapping[str, Any]], classes: Sequence[str], atlas: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Those of which a row of a table is all that is shown."""
    return [{**cue, "name": classes[cue["class"]], "on": atlas.get(f"cue-{cue['candidate']}")} for cue in cues]


def _corners(placements: Sequence[Mapping[str, Any]], cue: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What one patch of a cue does at every size and corner, beside noise and other parts, by what was pasted."""
    return {row["pasted"]: row for row in placements if row["candidate"] == cue["candidate"]}


def _repair(inputs: Inputs, rows: Mapping[str, list[dict[str, Any]]], classes: list[str]) -> dict[str, Any]:
    written = inputs.state("repair", "")["layer"] is not None
    return beside.repair(rows["repair"], rows.get("cues", []), classes, written)


def _figure(
    inputs: Inputs, params: Params, cues: list[dict[str, Any]], classes: list[str]
) -> tuple[dict[str, bytes], dict[str, Any] | None]:
    """The files of the figure, and what the page shows of it; nothing where no cue was tested."""
    rows = [
        forest.measured(cue, inputs.part("trials", cue["candidate"]), named(cue, classes))
        for cue in cues
        if params.tried and cue["gap"] is not None
    ]
    if not rows:
        return {}, None
    most = max(cue["images"] for cue in cues if cue["images"] is not None)
    sheet = forest.forest(rows, params.title, params.least, most)
    files = {"png": sheet.png(), "svg": sheet.vector("svg"), "pdf": sheet.vector("pdf")}
    pixels = sheet.pixels()
    shown = {
        "src": embedded(pixels),
        "size": pixels.shape[1::-1],
        "files": [{"form": form.upper(), "size": file_size(len(content))} for form, content in files.items()],
    }
    return {f"figures/cues.{form}": content for form, content in files.items()}, shown


def _pixels(inputs: Inputs, params: Params, extract: dict[str, Any], ids: list[str]) -> dict[str, np.ndarray]:
    """Images as the model is shown them."""
    uris = uris_of(inputs, ids)
    shown = params.images.settled(extract.get("images", {}))
    feed = Feed(params.images, at_size(shown, tuple(extract["input_size"])))
    found: dict[str, np.ndarray] = {}
    for batch in feed.batches(uris, 64):
        found |= dict(zip(batch.keys, batch.images, strict=True))
        for own, reason in batch.rejected.items():
            inputs.warn(f"{uris[own]} cannot be shown: {reason}")
    return found


def _said(inputs: Inputs, extract: dict[str, Any], ids: set[str], wrong: Mapping[str, Any]) -> dict[str, str]:
    """What images are labelled as, and what they are taken for where that is wrong."""
    found: dict[str, str] = {}
    for part in inputs.stream("predictions", ["image_id", "label", "pred"]):
        some = part.filter(pc.is_in(part["image_id"], value_set=pa.array(sorted(ids), pa.string())))
        label, pred = (assigned(some[name]).names(extract["classes"]) for name in ("label", "pred"))
        for own, is_, called in zip(some["image_id"].to_pylist(), label, pred, strict=True):
            if is_ is not None:
                found[own] = f"{is_} → {called}" if own in wrong else str(is_)
    return found


def _fit(inputs: Inputs, params: Params) -> State:
    """What is shown, and how other pages lead to it, see :func:`chosen`."""
    return chosen(inputs, params)


def _fit_reads(params: Params) -> tuple[str, ...]:
    own = [name for name in ("cues", "slices", "concepts") if name in params.tables]
    return ("predictions", *own, *(("evidence", "spuriosity", "trials") if params.tried else ()))


def _reads(params: Params) -> dict[str, Any]:
    own = ["images", "predictions", *params.tables, *(["evidence"] if "cues" in params.tables else [])]
    return dict.fromkeys([*own, *(["trials"] if params.tried else [])], "all")


STAGE = Stage(
    name="audit",
    version=6,
    about="the page of what the model fails on and leans on, with the proof",
    params=Params,
    shards=one_shard,
    run=run,
    reads=_reads,
    writes=lambda params: (PAGE,),
    fit=_fit,
    fit_reads=_fit_reads,
    state_of=lambda params: (("extract", ""), *((("repair", ""),) if "repair" in params.tables else ())),
    libraries=("pillow", "jinja2", "matplotlib", "numpy"),
    files=True,
    steps=_steps,
)
