"""evidence -> trials: what each candidate does to images that hold it not, and what becomes of those that do.

The patch experiment of Carter et al. (2019), with controls: a patch of the cue is pasted on held-out images of other
classes, beside a random patch of the same size, one of another part of the class, and noise of the patch's spectrum,
all at the same place; and where the cue is, it is taken out, beside as much taken out next to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from activation_atlas.stages import tables
from activation_atlas.stages.audited import taken, task_in
from activation_atlas.stages.drawing.numbers import plural
from activation_atlas.stages.feed import Feed, at_size
from activation_atlas.stages.intervention import middle
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import OpenedModel, PositiveInt, ReadImages, Spec
from activation_atlas.stages.stage import Inputs, Shard, Stage, State
from activation_atlas.stages.trials.carrier import AT_ONCE, Scores, carrier
from activation_atlas.stages.trials.chosen import draw
from activation_atlas.stages.trials.experiment import Change, Patch, pastings, removals, scored


class Params(Spec):
    """Everything the trials depend on."""

    model: OpenedModel
    images: ReadImages
    layer: str
    hosts: PositiveInt
    seed: int = 0
    batch: PositiveInt = Field(64, exclude=True)


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    if (atlas := asked.searched) is not None:
        section = asked.config.audit
        values = {"layer": atlas.layer, "hosts": section.images, "batch": section.batch}
        yield "", {**asked.opened, **values}


def _shards(inputs: Inputs, params: Params) -> list[Shard]:
    tested = sum(pc.sum(part["tested"]).as_py() or 0 for part in inputs.stream("evidence", ["tested"]))
    return [Shard(k, k, k + 1) for k in range(max(1, tested))]


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """The trial of one candidate; empty tables where there is none."""
    evidence = inputs.table("evidence", ["candidate", "class", "exemplars", "others", "typical", "tested"])
    cues = [cue for cue in evidence.to_pylist() if cue["tested"] and cue["candidate"] == shard.index]
    found: dict[str, list[dict[str, Any]]] = {"patches": [], "trials": []}
    for cue in cues:
        found = _Trial(inputs, params, cue).made()
    return {
        name: pa.Table.from_pylist(rows, schema=getattr(tables, name)()).sort_by(
            [(key, "ascending") for key in tables.TABLES[name].key]
        )
        for name, rows in found.items()
    }


class _Trial:
    """One candidate's: its images read, its patches cut."""

    def __init__(self, inputs: Inputs, params: Params, cue: dict[str, Any]) -> None:
        from activation_atlas.stages.vision.model import open_model
        from activation_atlas.stages.vision.scoring import scorer

        self.cue, self.params, self.kind = cue, params, int(cue["class"])
        self.extract: State = inputs.state("extract", "")
        self.layer = self.extract["layers"][params.layer]
        model = open_model(params.model)
        self.scores: Scores = scorer(model, params.batch)
        self.few: Scores = scorer(model, AT_ONCE)
        self.task = task_in(inputs)
        self.drawn = draw(inputs, self.extract, cue, params.hosts, params.seed)
        shown = params.images.settled(self.extract.get("images", {}))
        feed = Feed(params.images, at_size(shown, tuple(self.extract["input_size"]), model.channels))
        self.pixels: dict[str, np.ndarray] = {}
        for batch in feed.batches(self.drawn.uris, params.batch):
            self.pixels |= dict(zip(batch.keys, batch.images, strict=True))
        if lost := [uri for own, uri in self.drawn.uris.items() if own not in self.pixels]:
            inputs.warn(f"audit: {plural(len(lost), 'image')} of a trial cannot be read any more, e.g. {lost[0]}")

    def made(self) -> dict[str, list[dict[str, Any]]]:
        """Rows of both tables."""
        patches, rows = [], []
        for number, own in enumerate(e for e in self.cue["exemplars"] if e["image_id"] in self.pixels):
            rect, drop, whole = carrier(self.pixels[own["image_id"]], self._pixel(own), self.kind, self.few)
            patches.append(Patch(own["image_id"], own["row"], own["col"], rect))
            sides = dict(zip(("top", "left", "bottom", "right"), rect, strict=True))
            rows.append(
                {"candidate": self.cue["candidate"], "exemplar": number, **own, **sides, "drop": drop, "whole": whole}
            )
        tried: list[dict[str, Any]] = []
        if patches and (hosts := self._read(self.drawn.hosts)) and (sources := self._read(self.drawn.sources)):
            rng = np.random.default_rng([self.params.seed, 29, self.cue["candidate"]])
            others = [(o["image_id"], self._pixel(o)) for o in self.cue["others"] if o["image_id"] in self.pixels]
            tried += self._rows(pastings(hosts, patches, others, sources, self.pixels, rng), hosts)
            shape = tuple(int(np.ceil(np.median([p.rect[k + 2] - p.rect[k] for p in patches]))) for k in (0, 1))
            y, x = self._off(patches)
            centres = [(i, self._pixel({"row": r, "col": c})) for i, r, c in self.drawn.carriers if i in self.pixels]
            there = [(own, (centre[0] + y, centre[1] + x)) for own, centre in centres]
            gone = removals(there, (shape[0], shape[1]), sources, self.pixels, rng)
            tried += self._rows(gone, [own for own, _ in there])
        return {"patches": rows, "trials": tried}

    def _off(self, patches: list[Patch]) -> tuple[float, float]:
        """Pixels (down, right) from the middle of a position to that of what carries the cue there: the exemplars'
        medians. Large strides and receptive fields put the one beside the other."""
        middles = [self._pixel({"row": p.row, "col": p.col}) for p in patches]
        off = [
            [(p.rect[k] + p.rect[k + 2] - 1) / 2 - m[k] for k in (0, 1)] for p, m in zip(patches, middles, strict=True)
        ]
        down, right = np.median(np.array(off), 0)
        return float(down), float(right)

    def _read(self, ids: list[str]) -> list[str]:
        return [own for own in ids if own in self.pixels]

    def _pixel(self, position: dict[str, Any]) -> tuple[float, float]:
        """The pixel of the model's input at the middle of a position."""
        return middle(self.layer, position["row"], position["col"])

    def _rows(self, changes: Iterator[Change], images: list[str]) -> list[dict[str, Any]]:
        """Every change, beside the image as it was."""
        if not images:
            return []
        before = dict(zip(images, self.scores(np.stack([self.pixels[own] for own in images])), strict=True))
        made = []
        for change, after in scored(changes, self.scores, self.params.batch):
            was = before[change.image_id]
            made.append(
                {
                    "candidate": self.cue["candidate"],
                    "class": self.kind,
                    "intervention": change.kind,
                    "image_id": change.image_id,
                    "exemplar": change.exemplar,
                    **dict(zip(("top", "left", "bottom", "right"), change.rect, strict=True)),
                    "logit_before": float(was[self.kind]),
                    "logit_after": float(after[self.kind]),
                    "pred_before": self._called(was),
                    "pred_after": self._called(after),
                }
            )
        return made

    def _called(self, scores: np.ndarray) -> int:
        """The class of largest score; of several labels this class where it reaches its threshold, else -1."""
        if self.task.several:
            return self.kind if taken(scores, self.extract, self.task)[self.kind] else -1
        return int(scores.argmax())


STAGE = Stage(
    name="trials",
    version=4,
    about="each candidate pasted on held-out images and taken out of others, beside its controls",
    params=Params,
    shards=_shards,
    run=run,
    reads=lambda params: dict.fromkeys(("evidence", "spuriosity", "images", "predictions"), "all"),
    writes=lambda params: ("patches", "trials"),
    state_of=lambda params: (("extract", ""),),
    libraries=("tensorflow", "keras", "pillow", "numpy", "scipy"),
    model=True,
    steps=_steps,
    cost=lambda asked, images: _cost(asked),
)


def _cost(asked: Sections) -> Iterator[str]:
    if asked.searched is not None:
        section = asked.config.audit
        each = 45 * section.exemplars + 6 * section.images + 3 * section.images
        yield f"about {each:,} passes to try each of at most {section.candidates} cues"
