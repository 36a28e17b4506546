"""The tables of an audit -> site/audit.html: its findings in plain words, each with its evidence and its test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import Field

from activation_atlas.stages.audit.findings import finding, wanted
from activation_atlas.stages.audit.lacking import PARTS, lacking
from activation_atlas.stages.audit.pictures import source
from activation_atlas.stages.drawing.pages import rendered
from activation_atlas.stages.feed import Feed, at_size, uris_of
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import ReadImages, Spec
from activation_atlas.stages.stage import Inputs, Shard, Stage, one_shard
from activation_atlas.stages.tables import VERDICTS
from activation_atlas.stages.tasks import assigned

PAGE = "site/audit.html"
SLICES, GROUPS, MEMBERS = 8, 12, 10
"""Rows that are shown, and pictures of a slice."""
TABLES = ("cues", "slices", "groups", "repair", "concepts", "concept_effects")
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
    """The page, with its pictures in it."""
    extract = inputs.state("extract", "")
    rows = {name: inputs.table(name).to_pylist() for name in params.tables}
    cues, slices = rows.get("cues", []), _slices(rows.get("slices", []))
    shown = [cue for cue in cues if params.tried and cue["verdict"] != "refuted"]
    trials = {cue["candidate"]: inputs.part("trials", cue["candidate"]) for cue in shown}
    ids: dict[str, None] = {}
    for cue in shown:
        exemplars, pairs = wanted(cue, trials[cue["candidate"]])
        ids |= dict.fromkeys([e["image_id"] for e in (*exemplars, *cue["exemplars"])] + [p["image_id"] for p in pairs])
    ids |= dict.fromkeys(own for one in slices for own in one["members"])
    pixels, labels = _pixels(inputs, params, extract, list(ids)), _labels(inputs, extract, set(ids))
    evidence = {row["candidate"]: row for row in inputs.table("evidence").to_pylist()} if cues else {}
    found = [
        finding(cue, evidence[cue["candidate"]], trials[cue["candidate"]], pixels, extract["classes"], labels)
        for cue in shown
    ]
    for one in slices:
        one["pictures"] = [
            {"src": source(pixels[own]), "label": labels.get(own, "")} for own in one["members"] if own in pixels
        ]
    counts = {name: sum(cue["verdict"] == name for cue in cues) for name in VERDICTS}
    values = {
        "counts": counts,
        "cues": found,
        "refuted": [{**cue, "name": extract["classes"][cue["class"]]} for cue in cues if cue["verdict"] == "refuted"],
        "slices": slices,
        "groups": rows.get("groups", [])[:GROUPS],
        "least": params.least,
        "tables": params.tables,
        "lacking": {part: params.lacking.get(part, "") for part in PARTS},
        "untried": [] if params.tried else [{**cue, "name": extract["classes"][cue["class"]]} for cue in cues],
        "unlabelled": bool(slices) and slices[0]["q_value"] is None,
    }
    return {PAGE: rendered("audit.html", params.title, {}, (), ("style.css", "audit.css"), values)}


def _slices(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are surely worse than the rest, each once; where no image has a label, those of least confidence."""
    rows = [row for row in rows if row["same_as"] is None]
    shown = [row for row in rows if row["q_value"] is not None and row["q_value"] < 0.05]
    if not any(row["labelled"] for row in rows):
        shown = rows
    return [{**row, "members": row["members"][:MEMBERS]} for row in shown[:SLICES]]


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


def _labels(inputs: Inputs, extract: dict[str, Any], ids: set[str]) -> dict[str, str]:
    """What images are labelled as."""
    found: dict[str, str] = {}
    for part in inputs.stream("predictions", ["image_id", "label"]):
        names = assigned(part["label"]).names(extract["classes"])
        own = part["image_id"].to_pylist()
        found |= {own[k]: str(names[k]) for k in range(len(own)) if own[k] in ids and names[k] is not None}
    return found


def _reads(params: Params) -> dict[str, Any]:
    own = ["images", "predictions", *params.tables, *(["evidence"] if "cues" in params.tables else [])]
    return dict.fromkeys([*own, *(["trials"] if params.tried else [])], "all")


STAGE = Stage(
    name="audit",
    version=2,
    about="the page of what the model fails on and leans on, with the proof",
    params=Params,
    shards=one_shard,
    run=run,
    reads=_reads,
    writes=lambda params: (PAGE,),
    state_of=lambda params: (("extract", ""),),
    libraries=("pillow", "jinja2"),
    files=True,
    steps=_steps,
)
