"""responses, predictions -> channels, peaks: what each channel of a layer responds to, over all images and positions.

Extract has looked at every position of the maps and stored four numbers for each image and channel; what is asked of
them here (how many peaks, of which classes) sends no image through the model again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from activation_atlas.stages import tables
from activation_atlas.stages.channels.counting import Counted, Peaks
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import OpenedModel, PositiveInt, Spec, folder
from activation_atlas.stages.stage import Inputs, Shard, Stage, State, UserError, one_shard
from activation_atlas.stages.tasks import assigned, labelled


class ChannelsSpec(Spec):
    """What is asked of single channels; an empty section, `channels: {}`, asks it of the layers that are sampled."""

    layers: list[str] = Field(
        default_factory=list, description="layers looked at besides those that are sampled; none of it is stored whole"
    )
    peaks: PositiveInt = Field(9, description="images kept for each channel, those in which it responds most")
    shown: PositiveInt = Field(64, description="channels of a layer in the figure of its peaks, the first that respond")


class Params(Spec):
    """Everything the tables of one layer depend on."""

    model: OpenedModel
    layer: str
    peaks: PositiveInt


def fit(inputs: Inputs, params: Params) -> State:
    """Where the layer's positions lie on the image.

    Returns:
        kind; channels, height, width, receptive_field [h, w], stride [h, w], offset [y, x] as extract has them of
        sampled layers; compute: share of the model's operations up to the layer, its depth; input_size [h, w].
    """
    from activation_atlas.stages.vision.model import open_model

    model = open_model(params.model)
    info = model.placed(params.layer)
    plain = {name: getattr(info, name) for name in ("kind", "channels", "height", "width", "compute")}
    lists = {name: list(getattr(info, name)) for name in ("receptive_field", "stride", "offset")}
    return {**plain, **lists, "input_size": list(model.input_size)}


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """A row for each channel, and one for each of its peaks."""
    state, name = inputs.state(), folder(params.layer)
    said = inputs.table("predictions", ["image_id", "label", "pred"])
    by = "label" if labelled(said["label"]).any() else "pred"
    counted = Counted(state["channels"], state["height"] * state["width"], by)
    peaks = Peaks(params.peaks)
    start = 0
    for part in inputs.stream(f"responses/{name}"):
        ids = np.array([int(i, 16) for i in part["image_id"].to_pylist()], np.uint64)
        found = {column: tables.to_numpy(part[column]) for column in ("peak", "at", "mean", "zeros")}
        # One pass over an image writes both tables: their rows are the same images.
        counted.add(found, assigned(said[by].slice(start, len(part))))
        peaks.add(ids, found, found["zeros"] < counted.positions)
        start += len(part)
    return {f"channels/{name}": counted.table(), f"peaks/{name}": peaks.table(state["width"])}


def _end(inputs: Inputs, params: Params) -> None:
    """Says how many channels never respond, and where largest responses are largest because they are capped."""
    name = folder(params.layer)
    peaks = inputs.table(f"peaks/{name}", ["channel", "rank", "response"])
    channel, rank, response = (peaks[column].to_numpy() for column in peaks.column_names)
    last = np.flatnonzero(rank == params.peaks - 1)
    capped = int((response[last] == response[last - params.peaks + 1]).sum()) if params.peaks > 1 else 0
    if capped:
        inputs.note(
            f"layer {params.layer}: {capped} of {len(np.unique(channel))} channels have the same largest response in "
            f"{params.peaks} images or more, of which those of the largest mean are kept; where a ReLU is capped, "
            "the layer in front of it tells them apart"
        )
    dead = inputs.table(f"channels/{name}", ["dead"])["dead"].to_pylist()
    if any(dead):
        first = ", ".join(str(k) for k, one in enumerate(dead) if one)
        first = first if len(first) <= 40 else first[:40].rpartition(",")[0] + ", ..."
        inputs.note(f"layer {params.layer}: {sum(dead)} of {len(dead)} channels are 0 in every image: {first}")


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    section = asked.config.channels
    if section is not None and not asked.counted:
        raise UserError("channels: no layer is sampled; give channels.layers, as `activation-atlas layers MODEL` lists")
    for layer in asked.counted:
        yield folder(layer), {"model": asked.model, "layer": layer, "peaks": section.peaks}


STAGE = Stage(
    name="channels",
    version=1,
    about="what each channel of a layer responds to: means, zeros, most exciting class, images of largest response",
    params=Params,
    shards=one_shard,
    run=run,
    reads=lambda params: {f"responses/{folder(params.layer)}": "all", "predictions": "all"},
    writes=lambda params: [f"{table}/{folder(params.layer)}" for table in ("channels", "peaks")],
    fit=fit,
    libraries=("tensorflow", "keras", "numpy", "scipy"),
    model=True,
    steps=_steps,
    end=_end,
)
