"""cues + patches -> placements: each verified cue at every size and corner, as the atlas article tried its patches.

Carter et al. (2019): static, one size and corner for all images; dynamic, the best for each image. The exemplar, size
and corner are chosen on one half of the images and reported on the other, beside noise and parts of other images.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from activation_atlas.stages import tables
from activation_atlas.stages.audited import Images, drawn, taken, task_in
from activation_atlas.stages.feed import Feed, at_size, uris_of
from activation_atlas.stages.intervention import cut
from activation_atlas.stages.intervention.corners import PLACES, Outcome, Place, experiment
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import OpenedModel, PositiveInt, ReadImages, Spec
from activation_atlas.stages.stage import Inputs, Shard, Stage

MOST = 100
"""Images of either half, however many a cue is pasted on."""
FEWEST = 20
SOURCES = 50


class Params(Spec):
    """Everything the figures depend on."""

    model: OpenedModel
    images: ReadImages
    hosts: PositiveInt
    seed: int = 0
    batch: PositiveInt = Field(64, exclude=True)


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    if asked.searched is not None and "trials" in asked.written:
        section = asked.config.audit
        yield "", {**asked.opened, "hosts": min(section.images, MOST), "batch": section.batch}


def _verified(inputs: Inputs) -> list[dict[str, Any]]:
    cues = inputs.table("cues", ["candidate", "class", "verdict", "exemplars"])
    return cues.filter(pc.equal(cues["verdict"], "verified")).to_pylist()


def _shards(inputs: Inputs, params: Params) -> list[Shard]:
    return [Shard(k, k, k + 1) for k in range(max(1, len(_verified(inputs))))]


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """One verified cue; an empty table where there is none, or too few images."""
    cues = _verified(inputs)[shard.index : shard.index + 1]
    rows = [row for cue in cues for row in _tried(inputs, params, cue)]
    return {"placements": pa.Table.from_pylist(rows, schema=tables.placements())}


def _tried(inputs: Inputs, params: Params, cue: dict[str, Any]) -> list[dict[str, Any]]:
    from activation_atlas.stages.vision.model import open_model
    from activation_atlas.stages.vision.scoring import scorer

    extract, task, kind = inputs.state("extract", ""), task_in(inputs), int(cue["class"])
    column = list(extract["attributed"]).index(kind)

    def able(of: Images, held: bool) -> np.ndarray:
        return (of.held == held) & ~of.own[:, column] & ~of.called[:, column]

    salt = int(cue["candidate"]) + 500
    search = drawn(inputs, extract, lambda of: able(of, False), params.hosts, params.seed, salt)
    held = drawn(inputs, extract, lambda of: able(of, True), params.hosts, params.seed, salt)
    sources = drawn(inputs, extract, lambda of: able(of, False), SOURCES, params.seed, salt, 1)
    model = open_model(params.model)
    shown = params.images.settled(extract.get("images", {}))
    feed = Feed(params.images, at_size(shown, tuple(extract["input_size"]), model.channels))
    wanted = uris_of(inputs, [*search, *held, *sources, *(own["image_id"] for own in cue["exemplars"])])
    pixels = feed.first(wanted, len(wanted))
    to_choose, to_try, parts = ([pixels[own] for own in some if own in pixels] for some in (search, held, sources))
    there = [own for own in cue["exemplars"] if own["image_id"] in pixels]
    if min(len(to_choose), len(to_try)) < FEWEST or not there:
        few = f"{len(to_choose)} images to choose on and {len(to_try)} to try on; {FEWEST} of each are needed"
        inputs.warn(f"audit: cue {cue['candidate']} is not tried in corners: {few}")
        return []
    sides = ("top", "left", "bottom", "right")
    patches = [cut(pixels[own["image_id"]], tuple(own[side] for side in sides)) for own in there]

    def becomes(scores: np.ndarray) -> np.ndarray:
        return taken(scores, extract, task)[..., kind]

    batch = params.batch
    came = experiment(patches, to_choose, to_try, parts, kind, scorer(model, batch), becomes, batch, params.seed)
    return list(_rows(cue, there[came.patch]["image_id"], came, len(to_choose), len(to_try)))


def _rows(cue: dict[str, Any], exemplar: str, came: Outcome, search: int, held: int) -> Iterator[dict[str, Any]]:
    place: Place = PLACES[came.static]
    for kind, rates in came.rates.items():
        row = {"candidate": cue["candidate"], "class": cue["class"], "pasted": kind, "exemplar": exemplar}
        row |= {"side": place.side, "corner": place.words, "searched": search, "images": held}
        for name in ("static", "dynamic"):
            share, low, high = getattr(rates, name)
            row |= {name: share, f"{name}_low": low, f"{name}_high": high}
        yield row


STAGE = Stage(
    name="placements",
    version=1,
    about="each verified cue at every size and corner: the article's static and dynamic figures",
    params=Params,
    shards=_shards,
    run=run,
    reads=lambda params: dict.fromkeys(("cues", "images", "predictions"), "all"),
    writes=lambda params: ("placements",),
    state_of=lambda params: (("extract", ""),),
    libraries=("tensorflow", "keras", "pillow", "numpy", "scipy"),
    model=True,
    steps=_steps,
)
