"""images, predictions -> looks: what the network has learned, and what it sees in a few photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import Field

from activation_atlas.stages import tables
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import OpenedModel, PositiveInt, ReadImages, Spec, folder
from activation_atlas.stages.stage import Inputs, Shard, Shared, Stage, State

if TYPE_CHECKING:
    from activation_atlas.stages.look.photographs import Photograph


class LookSpec(Spec):
    """What is drawn for the textbook's page; an empty section, `look: {}`, draws everything by default."""

    filters: list[str] = Field(
        default_factory=list, description="layers whose learned filters are drawn; default: the first that has any"
    )
    maps: list[str] = Field(
        default_factory=list, description="layers whose every channel is drawn; default: eight, evenly over the depth"
    )
    photographs: PositiveInt = Field(2, description="photographs whose feature maps are drawn, the first by their ids")
    layer: str | None = Field(
        None,
        description="whose channels get a picture that makes them answer; default: at two thirds of the depth, or the "
        "nearest of the section `channels`",
    )
    channels: int = Field(64, ge=0, description="channels of it that are drawn, the first; 0: none")
    patches: int = Field(
        64, ge=0, description="photographs looked through for what excites a channel most, where no `peaks` tell of all"
    )
    classes: list[str] | None = Field(
        None,
        description="classes that get a picture; default: the most probable of the photographs; []: none",
    )
    size: int = Field(96, ge=8, description="side of a picture, pixels")
    steps: PositiveInt = Field(256, description="steps in which a picture is drawn")


class Params(Spec):
    """``peaks``: layers that have that table."""

    peaks: list[str] = Field(default_factory=list)
    model: OpenedModel
    images: ReadImages
    seed: int
    look: LookSpec


Piece = tuple[str, str | None]
"""What one shard draws: a part of ``interactive.PARTS``, and of which layer or photograph, if of one."""


def fit(inputs: Inputs, params: Params) -> State:
    """Which photographs are looked at.

    Returns:
        model: its name; attends: whether it has attention among patches; layer: whose channels are drawn, None by
        default; shown: ids of the photographs; stems: what files about each are called after, by id; patches: ids of
        those that are looked through.
    """
    from activation_atlas.stages.look.attention import attends
    from activation_atlas.stages.look.export import stems_of
    from activation_atlas.stages.vision.model import open_model

    asked, model = params.look, open_model(params.model)
    layer = asked.layer or _peaked(model, params.peaks)
    through = 0 if layer in params.peaks else asked.patches
    ids = inputs.table("predictions", ["image_id"])["image_id"].to_pylist()[: max(asked.photographs, through)]
    found = _read(inputs, params, model, ids)
    shown = found[: asked.photographs]
    return {
        "model": model.name,
        "attends": attends(model),
        "layer": layer,
        "shown": [one.image_id for one in shown],
        "stems": stems_of(shown),
        "patches": [one.image_id for one in found[:through]],
    }


def _read(inputs: Inputs, params: Params, model: Any, ids: Sequence[str]) -> list[Photograph]:
    from activation_atlas.stages.look.photographs import read

    if not ids:
        return []
    rows = inputs.table("images", ["image_id", "uri"])
    where = dict(zip(rows["image_id"].to_pylist(), rows["uri"].to_pylist(), strict=True))
    return read({i: where[i] for i in ids}, model, params.images, _lost(inputs))


def _lost(inputs: Inputs) -> Callable[[str, str], None]:
    def lost(uri: str, reason: str) -> None:
        inputs.warn(f"look: {uri} could not be read again and is left out: {reason}")

    return lost


def pieces(params: Params, state: State) -> list[Piece]:
    """What is drawn, in the order of the page: so much is lost when a run is killed, or done by one worker."""
    asked, shown = params.look, state["shown"]
    found: list[Piece] = [("filters", layer) for layer in asked.filters] or [("filters", None)]
    found += [("maps", image_id) for image_id in shown]
    if state["attends"] and shown:
        found.append(("attention", None))
    if asked.channels:
        found.append(("channels", None))
    return [*found, ("classes", None)]


def shards(inputs: Inputs, params: Params) -> list[Shard]:
    """One for each piece."""
    return [Shard(k, k, k + 1) for k in range(len(pieces(params, inputs.state())))]


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """The pictures of one piece, as PNG and PDF, and the numbers behind them."""
    from activation_atlas.stages.look.export import rows_of
    from activation_atlas.stages.look.interactive import looked_at
    from activation_atlas.stages.look.patches import of_run
    from activation_atlas.stages.look.shown import Shown
    from activation_atlas.stages.vision.model import open_model

    asked, model, state = params.look, open_model(params.model), inputs.state()
    (part, which), layer = pieces(params, state)[shard.index], state["layer"]
    own = {"filters": [], "maps": [which], "channels": state["patches"]}
    shown = _read(inputs, params, model, own[part] if part in own else state["shown"])
    seen = looked_at(
        params.model,
        shown,
        only=[part],
        filters=which if part == "filters" else None,
        maps=asked.maps or None,
        layer=layer,
        channels=None if asked.channels == 64 else range(asked.channels),
        classes=asked.classes,
        size=asked.size,
        steps=asked.steps,
        seed=params.seed,
    )
    if part == "channels" and layer in params.peaks:
        found = (params.images, asked.size, _lost(inputs))
        seen = replace(seen, maximised=Shown(of_run(one, inputs, model, *found) for one in seen.maximised))
    rows = [{"piece": shard.index, **row} for row in rows_of(seen, state["stems"])]
    return {"looks": pa.Table.from_pylist(rows, schema=tables.looks())}


def _peaked(model: Any, layers: Sequence[str]) -> str | None:
    """Of the layers that the run has peaks of, the one nearest in depth to where pictures are drawn by default."""
    from activation_atlas.stages.vision.responses import deep

    depth = {layer.name: layer.compute for layer in model.layers()}
    middle = depth.get(deep(model) or "", 2 / 3)
    return min(layers, key=lambda name: (abs(depth[name] - middle), name), default=None)


def _reads(params: Params) -> dict[str, Shared]:
    tables = [
        "images",
        *(["predictions"] if params.peaks else ()),
        *(f"peaks/{folder(layer)}" for layer in params.peaks),
    ]
    return {name: "all" for name in tables}


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    if asked.config.look is not None:
        yield "", {"peaks": asked.counted, "look": asked.config.look, **asked.opened}


STAGE = Stage(
    name="look",
    version=5,
    about="what the network has learned and sees in a few photographs: filters, feature maps, attention, what it "
    "answers to",
    params=Params,
    shards=shards,
    run=run,
    reads=_reads,
    writes=lambda params: ("looks",),
    fit=fit,
    fit_reads=lambda params: ("images", "predictions"),
    libraries=("tensorflow", "keras", "numpy", "matplotlib", "pillow"),
    model=True,
    threads=False,
    steps=_steps,
)
