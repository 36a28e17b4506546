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
    rows, largest = counted.table(), peaks.table(state["width"])
    _tell(inputs, params, rows, largest)
    return {f"channels/{name}": rows, f"peaks/{name}": largest}


def _tell(inputs: Inputs, params: Params, counted: pa.Table, peaks: pa.Table) -> None:
    """Says how many channels never respond, and of how many the largest responses are equal: a ReLU may be capped."""
    channel, rank, response = (peaks[name].to_numpy() for name in ("channel", "rank", "response"))
    last = np.flatnonzero(rank == params.peaks - 1)
    equal = int((response[last] == response[last - params.peaks + 1]).sum()) if params.peaks > 1 else 0
    if equal:
        inputs.note(
            f"layer {params.layer}: {equal} of {len(np.unique(channel))} channels have the same largest response in "
            f"{params.peaks} images or more, of which those of the largest mean are kept; where a ReLU is capped, "
            "the layer in front of it tells them apart"
        )
    dead = np.flatnonzero(counted["dead"].to_numpy()).tolist()
    if dead:
        first = ", ".join(map(str, dead[:8])) + (", ..." if len(dead) > 8 else "")
        inputs.note(f"layer {params.layer}: {len(dead)} of {len(counted)} channels are 0 in every image: {first}")


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
)
