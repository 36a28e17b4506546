"""images -> predictions, sampled activations with their attributions, rejects: ONE pass over the images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from activation_atlas.stages.classes import class_index, thresholds
from activation_atlas.stages.drawing.numbers import plural
from activation_atlas.stages.extract import elsewhere
from activation_atlas.stages.extract.foresight import foreseen_classes
from activation_atlas.stages.extract.rows import REJECTS, Extracted, positions
from activation_atlas.stages.extract.written import unused
from activation_atlas.stages.feed import Feed, at_size
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import Grown, OpenedModel, PositiveInt, ReadImages, Spec, folder
from activation_atlas.stages.stage import Inputs, Shard, Stage, State, UserError, aligned_shards

PIXEL_STEP = 4
"""Every fourth pixel along both axes enters the colour moments: neighbours say little more."""


class ExtractSpec(Spec):
    """What is taken from the images and the model."""

    layers: list[str] = Field(default_factory=list, description="layers to sample besides those the atlases name")
    positions_per_image: PositiveInt = Field(
        100, description="positions of a layer sampled in each image, if there are"
    )
    edge: int = Field(1, ge=0, description="positions nearer to the border than this are not sampled")
    attribution: Literal["all", "top", "none"] | list[str] = Field(
        "all", description="all classes, the image's 20 highest, none, or a list of class names"
    )
    by: Literal["insertion", "removal", "gradient"] = Field(
        "insertion",
        description="attributions: what the logits gain when a position's block is put into the layer's map of a plain "
        "grey image; what they lose when it is removed from its own; or activation . d logit / d activation",
    )
    window: PositiveInt = Field(
        3, description="positions along a side of the block that is put in, or removed, odd: 1, 3"
    )
    fill: Literal["zero", "mean"] = Field(
        "zero",
        description="what stands there where a block is removed: 0, or the mean over the positions of the image's own "
        "map",
    )
    dtype: Literal["float16", "float32"] = Field("float16", description="of stored activations and attributions")
    max_rejects: float = Field(
        0.01, ge=0, le=1, description="share of images that may be rejected before exit status 3"
    )
    batch: PositiveInt = Field(64, description="images in one forward pass")
    decode_threads: PositiveInt | None = Field(
        None, description="threads that decode; default: one per core, at most 8"
    )

    @model_validator(mode="after")
    def _of_blocks(self) -> ExtractSpec:
        plain = type(self).model_fields
        if self.by == "gradient" and self.window not in (1, plain["window"].default):
            raise ValueError("window is for by: insertion or removal; leave it out")
        if self.by != "removal" and self.fill != plain["fill"].default:
            raise ValueError("fill is for by: removal; give that too, or leave it out")
        if self.window % 2 == 0:
            raise ValueError(f"window: {self.window} has no middle position; give an odd number, 1 or 3")
        return self


class Params(Grown, ExtractSpec):
    """Everything the tables depend on; what only the speed depends on is excluded from the fingerprint."""

    newer = frozenset({"counted"})

    model: OpenedModel
    images: ReadImages
    seed: int = 0
    features: list[str] = Field(default_factory=list, description="layers whose spatial mean is stored")
    counted: list[str] = Field(default_factory=list, description="layers of which each channel's responses are stored")
    max_rejects: float = Field(0.01, exclude=True)
    batch: PositiveInt = Field(64, exclude=True)
    decode_threads: PositiveInt | None = Field(None, exclude=True)


def _steps(asked: Sections) -> list[tuple[str, dict[str, Any]]]:
    section = asked.config.extract
    values = {name: getattr(section, name) for name in ExtractSpec.model_fields} | asked.opened
    values |= {"layers": asked.sampled, "counted": asked.counted}
    return [("", {**values, "features": asked.pooled})]


def fit(inputs: Inputs, params: Params) -> State:
    """Opens the model and looks at what is asked of it, before any image is read.

    Returns:
        classes; kind: ``softmax``, ``sigmoid`` where every class stands for itself, or ``quantity`` where there are
        none; thresholds: of each class, the probability from which it is one of several labels; attributed: class
        indices (all for ``top``, none for ``none``); top; by, window, fill: as asked; input_size [h, w]; images: how
        the model's own preprocessor brings images to that, as keys of the section `images`; layers: name to channels,
        height, width, receptive_field [h, w], stride [h, w], offset [y, x] (the input pixel at the centre
        of position (0, 0)); ways: how each layer's attributions are computed.

    Raises:
        UserError: the model, a layer, a class or the images' size cannot be used, or no gradient reaches a layer.
    """
    if params.model.tables is not None:
        return elsewhere.fit(params)
    from activation_atlas.stages.vision.attribution.choice import choose
    from activation_atlas.stages.vision.model import open_model
    from activation_atlas.stages.vision.model.scaling import contradiction

    model = open_model(params.model)
    if model.ending.remark:
        inputs.warn(model.ending.remark)
    _check_size(params, model.input_size)
    if wrong := contradiction(model, params.model):
        inputs.warn("; ".join(wrong))
    layers: dict[str, Any] = {}
    for name in dict.fromkeys([*params.layers, *params.features]):
        layers[name] = _about(model, name, sampled=name in params.layers, edge=params.edge)
    for name in params.counted:
        model.placed(name)
    chosen = attributed(params.attribution, model.classes)
    asked = params.positions_per_image, chosen, _block(params)
    return {
        "classes": list(model.classes),
        "kind": model.kind,
        "thresholds": thresholds(params.model.threshold, model.classes),
        "attributed": chosen,
        "top": params.attribution == "top",
        "by": params.by,
        "window": params.window,
        "fill": params.fill,
        "input_size": list(model.input_size),
        "images": dict(model.brings),
        "layers": layers,
        "ways": {name: choose(model, name, *asked) for name in params.layers} if chosen else {},
    }


def _block(params: Params) -> Any:
    """What is done to a position's block; None for the gradient."""
    from activation_atlas.stages.vision.attribution.blocks import Insertion, Removal

    if params.by == "insertion":
        return Insertion(params.window)
    return Removal(params.window, params.fill) if params.by == "removal" else None


def _check_size(params: Params, size: tuple[int, int]) -> None:
    asked = params.images.resize
    asked = (asked, asked) if isinstance(asked, int) else asked
    if asked is not None and tuple(asked) != tuple(size):
        raise UserError(f"images.resize: {list(asked)}, but the model takes {list(size)}; leave it out")


def _about(model: Any, name: str, sampled: bool, edge: int) -> dict[str, Any]:
    slot = model.slot(name) if sampled else model.feature_slot(name)
    shape = model.shapes[slot]
    if len(shape) == 2:  # a vector: it sees the whole image
        height, width = model.input_size
        whole = {"receptive_field": [height, width], "stride": [height, width]}
        return {"channels": shape[1], "height": 1, "width": 1, **whole, "offset": [(height - 1) / 2, (width - 1) / 2]}
    info = model.placed(name) if sampled else model.layer(name)
    if sampled and min(info.height, info.width) <= 2 * edge:
        size = f"{info.height} x {info.width}"
        raise UserError(f"layer {name}: no position of its {size} is {edge} from the border; lower extract.edge")
    return {
        "channels": info.channels,
        "height": info.height,
        "width": info.width,
        "receptive_field": list(info.receptive_field),
        "stride": list(info.stride),
        "offset": list(info.offset),
    }


def attributed(asked: str | list[str], classes: list[str]) -> list[int]:
    """Indices of the classes whose attributions ``extract.attribution`` asks for.

    Raises:
        UserError: the model has no such class.
    """
    if isinstance(asked, str):
        return [] if asked == "none" else list(range(len(classes)))
    return list(dict.fromkeys(class_index(name, classes, "extract.attribution") for name in asked))


# -- one shard -------------------------------------------------------------------


def run(inputs: Inputs, params: Params, shard: Any) -> dict[str, pa.Table]:
    """The images of one part: one forward pass each.

    Images that cannot be decoded, or at which the model gives NaN or infinite
    values, become rows of `rejects/extract`.

    Raises:
        UserError: a value does not fit the chosen dtype.
    """
    state = inputs.state()
    images = inputs.part("images", shard.index)
    if params.model.tables is not None:
        handed = elsewhere.Handed(images, params, state, {})
        handed.read()
        return handed.tables()
    from activation_atlas.stages.vision.attribution.sampler import open_sampler

    ways = {name: state["ways"].get(name) for name in params.layers}
    chosen = state["attributed"] if isinstance(params.attribution, list) else None
    asked = params.batch, params.positions_per_image, chosen, params.dtype, _block(params), params.counted
    sampler = open_sampler(params.model, ways, params.features, *asked)
    read = params.images.settled(state["images"])
    pixels = at_size(read, tuple(state["input_size"]), sampler.model.channels)
    feed = Feed(params.images, partial(_with_moments, pixels), params.decode_threads)
    counted = {layer: sampler.model.layer(layer).channels for layer in params.counted}
    extracted = Extracted(images, params, state, counted)
    for batch in feed.batches(dict(enumerate(images["uri"].to_pylist())), params.batch):
        for row, reason in batch.rejected.items():
            extracted.reject(row, reason)
        if batch.keys:
            extracted.add(sampler, batch.keys, batch.images)
    return extracted.tables()


def _seen(inputs: Inputs, params: Params, shard: Shard) -> dict[str, str]:
    """All that is known of each image but where it lies: what it holds is told by its hash."""
    rows = inputs.part("images", shard.index).drop_columns("uri").to_pylist()
    return {row["image_id"]: hashlib.sha256(repr(row).encode()).hexdigest() for row in rows}


def _with_moments(pixels: Callable[[bytes], np.ndarray], data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """An image at the model's size, and its colour moments: count, sum, products of RGB in 0 to 255, exact integers."""
    image = pixels(data)
    channels = image.shape[-1]
    colours = image[::PIXEL_STEP, ::PIXEL_STEP].reshape(-1, channels).astype(np.int64)
    colours = np.repeat(colours, 3, axis=1) if channels == 1 else colours
    return image, np.concatenate([[len(colours)], colours.sum(0), (colours.T @ colours).reshape(-1)])


def _writes(params: Params) -> list[str]:
    maps = [f"activations/{folder(layer)}" for layer in params.layers]
    means = [f"features/{folder(layer)}" for layer in params.features]
    responses = [f"responses/{folder(layer)}" for layer in params.counted]
    return ["predictions", REJECTS, "pixels", *maps, *means, *responses]


def _end(inputs: Inputs, params: Params) -> None:
    """Nothing can be made of a source of which no image could be used.

    Raises:
        UserError: says how many there are, and why the first could not be.
    """
    used = {own for part in inputs.stream("predictions", ["image_id"]) for own in part["image_id"].to_pylist()}
    if used:
        if params.model.tables is not None and (others := unused(params.model.tables, used)):
            inputs.warn(f"{plural(len(others), 'image')} of model.tables are not used by this run, e.g. {others[0]}")
        return
    lost = [row for table in ("rejects/index", REJECTS) for part in inputs.stream(table) for row in part.to_pylist()]
    why = f"; the first: {lost[0]['uri']}: {lost[0]['reason']}" if lost else ""
    raise UserError(f"none of the {len(lost)} images could be used{why}")


def _foresee(asked: Sections) -> State | None:
    """The classes, and those whose attributions are asked for."""
    if (classes := foreseen_classes(asked)) is None:
        return None
    return {"classes": classes, "attributed": attributed(asked.config.extract.attribution, classes), "layers": {}}


def _cost(asked: Sections, images: int) -> list[str]:
    return [] if asked.model.tables is not None else [f"{images:,} images x 1 forward pass"]


__all__ = ["STAGE", "ExtractSpec", "Params", "fit", "positions", "run"]

STAGE = Stage(
    name="extract",
    version=7,
    about="one forward pass per image: predictions, sampled activations, what each argues for",
    params=Params,
    shards=aligned_shards("images"),
    run=run,
    seen=_seen,
    reads=lambda params: {"images": "part"},
    writes=_writes,
    fit=fit,
    libraries=("tensorflow", "keras", "pillow", "numpy"),
    model=True,
    end=_end,
    steps=_steps,
    rejects=lambda params: (REJECTS,),
    cost=_cost,
    foresee=_foresee,
)
