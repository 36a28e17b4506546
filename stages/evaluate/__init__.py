"""maps -> how well each map tells what the model went by: deletion, insertion, ROAD, pointing game, energy inside.

One step for each variant, and one or two for a random map of each image: what a map must beat.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from activation_atlas.stages.evaluate.section import EvaluateSpec as EvaluateSpec
from activation_atlas.stages.feed import Feed, at_size_of
from activation_atlas.stages.methods import MethodSpec, baseline
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.sources import read_image
from activation_atlas.stages.sources.boxes import columns_of, given
from activation_atlas.stages.sources.masks import listed, matched
from activation_atlas.stages.sources.places import Place
from activation_atlas.stages.specs import Grown, OpenedModel, PositiveInt, ReadImages, Spec, nearest
from activation_atlas.stages.stage import Inputs, Shard, Stage, State, UserError, aligned_shards
from activation_atlas.stages.tables.flags import ONE, SILENT
from activation_atlas.stages.vision.images import Fit, ImageError
from activation_atlas.stages.vision.place import COLUMNS
from activation_atlas.stages.vision.truth import extents, inside_boxes, inside_mask


class Params(Grown, Spec):
    """Everything one variant's figures depend on: of a ``method``, or of a ``random`` map."""

    newer = frozenset({"share", "road", "complexity"})

    model: OpenedModel
    images: ReadImages
    seed: int = 0
    method: MethodSpec | None = None
    random: Literal["random", "random_pixels"] | None = None
    maps: str
    deletion: bool
    insertion: bool
    road: bool = False
    complexity: bool = False
    steps: PositiveInt
    limit: PositiveInt | None
    boxes: tuple[str, ...] = ()
    masks: str | None = Field(None, exclude=True)
    masks_stamp: str | None = None
    tolerance: float
    share: float | None = Field(None, description="boxes are measured; of a random map, around what exceeds this share")
    batch: PositiveInt = Field(32, exclude=True)

    @property
    def found(self) -> str | None:
        """The table of the boxes that are measured; those of a random map are found here."""
        return f"boxes/{self.variant}" if self.share is not None and self.method else None

    @property
    def variant(self) -> str:
        return self.method.variant if self.method else str(self.random)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the images table that hold the boxes."""
        return columns_of(self.boxes)


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    """One for each variant, and for each random map that they are set against."""
    if (section := asked.config.evaluate) is None:
        return
    methods = sorted(asked.config.explain.methods, key=lambda m: m.variant)
    stamps = sorted(listed(section.masks, "evaluate.masks").items()) if section.masks is not None else None
    names = ("deletion", "insertion", "road", "complexity", "steps", "limit", "masks", "tolerance", "batch")
    common = {name: getattr(section, name) for name in names} | asked.opened
    if asked.measured:  # they are shares of a class's probability; outputs of several units have no mean
        common |= {"deletion": False, "insertion": False, "road": False}
    common["boxes"] = (section.boxes,) if isinstance(section.boxes, str) else section.boxes or ()
    common["masks_stamp"] = hashlib.sha256(json.dumps(stamps).encode()).hexdigest() if stamps else None
    common["share"] = asked.config.boxes.threshold if asked.config.boxes else None
    for method in methods:
        yield method.variant, {"method": method, "maps": f"maps/{method.variant}", **common}
    for random in sorted({baseline(m) for m in methods}):
        # Asked of the same images and classes: those of the first variant.
        yield random, {"random": random, "maps": f"maps/{methods[0].variant}", **common}


def _cost(asked: Sections, images: int) -> Iterator[str]:
    section = asked.config.evaluate
    count = images if section.limit is None else min(images, section.limit)
    if curves := 0 if asked.measured else section.deletion + section.insertion:
        yield f"at most {curves * section.steps} passes to score each map of at most {count:,} images"
    if section.road and not asked.measured:
        yield f"14 passes of filled-in images for each map of at most {count:,} images, at 224 x 224 some seconds each"


def fit(inputs: Inputs, params: Params) -> State:
    """Chooses the images, and finds the mask of each.

    Returns:
        chosen: image ids, in the order of a draw that belongs to each image, so that the first n are a sample too;
        masks: image id to path below the folder of masks, of the chosen ones that have one.

    Raises:
        UserError: a mask that fits several images.
    """
    from activation_atlas.stages.evaluate.figures import steps_of

    rows = [row for part in inputs.stream(params.maps, ["image_id", "flag"]) for row in part.to_pylist()]
    ids = sorted({row["image_id"] for row in rows})
    draws = [np.random.default_rng([params.seed, int(i, 16)]).random() for i in ids]
    chosen = [ids[k] for k in np.argsort(draws, kind="stable")][: params.limit]
    state: State = {"chosen": chosen, "masks": {}, "metrics": {"images": len(chosen)}}
    if params.method is not None:
        state["metrics"] |= _silent(inputs, params.method.variant, rows, set(chosen))
    size = tuple(inputs.state("extract", "")["input_size"])
    if (steps := steps_of(params.steps, size)) < params.steps and (params.deletion or params.insertion):
        state["metrics"]["steps"] = steps
        inputs.note(f"evaluate.steps: {steps} instead of {params.steps}, one for each pixel of {size[0]} x {size[1]}")
    if not params.columns and params.masks is None:
        return state
    if params.masks is not None:
        about = inputs.table("images", ["image_id", "uri"])
        uris = dict(zip(about["image_id"].to_pylist(), about["uri"].to_pylist(), strict=True))
        masks = list(listed(params.masks, "evaluate.masks"))
        found = matched(uris, masks, "evaluate.masks")
        if idle := sorted(set(masks) - set(found.values())):
            say = inputs.note if found else inputs.warn
            say(f"evaluate.masks: {len(idle)} of {len(masks)} fit no image, e.g. {idle[0]}")
        state["masks"] = {i: found[i] for i in sorted(set(chosen) & found.keys())}
        known = len(state["masks"])
    else:
        boxes = given(inputs.table("images", ["image_id", "uri", *params.columns]), params.columns)
        known = sum(bool(boxes.get(i)) for i in chosen)
    state["metrics"]["without"] = len(chosen) - known
    if known < len(chosen):
        what = "mask" if params.masks else "box"
        inputs.note(f"evaluate: {len(chosen) - known} of {len(chosen)} images have no {what}")
    return state


def _silent(inputs: Inputs, variant: str, rows: Sequence[dict], chosen: set[str]) -> dict[str, Any]:
    """How many maps of the chosen images there are, and how many of them say nothing and are left out, by flag."""
    flags = [row["flag"] for row in rows if row["image_id"] in chosen]
    found = Counter(flag for flag in flags if flag in SILENT)
    if found:
        why = ", ".join(f"{n} {flag}" for flag, n in sorted(found.items()))
        # Maps of one position are told of when their method is configured.
        say = inputs.warn if found.total() == len(flags) and set(found) != {ONE} else inputs.note
        say(f"evaluate: {found.total()} of {len(flags)} maps of {variant} say nothing and are left out ({why})")
    return {"maps": len(flags), "left out": dict(sorted(found.items()))}


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """The figures of the chosen images of one part: a row for each of their maps."""
    from activation_atlas.stages.evaluate.figures import Figures

    state, extract = inputs.state(), inputs.state("extract", "")
    size = tuple(extract["input_size"])
    names = ["image_id", "target", "target_kinds", "height", "width", *COLUMNS, "map", "flag"]
    maps = inputs.part(params.maps, shard.index, names)
    maps = maps.filter(pc.is_in(maps["image_id"], value_set=pa.array(state["chosen"], pa.string())))
    images = inputs.part("images", shard.index, ["image_id", "uri", *params.columns])
    boxes = given(images, params.columns) if params.columns else {}
    uris = dict(zip(images["image_id"].to_pylist(), images["uri"].to_pylist(), strict=True))
    figures = Figures(params, size, maps, inputs.part(params.found, shard.index) if params.found else None)
    masks = Place.at(params.masks) if params.masks else None
    shown = params.images.settled(extract.get("images", {}))
    feed, fit = Feed(params.images, at_size_of(shown, size, figures.channels)), Fit.of(shown)
    for image_id, image in feed.stream({i: uris[i] for i in figures.rows}):
        if isinstance(image, ImageError):
            inputs.warn(f"{uris[image_id]} cannot be evaluated: {image.reason}")
            figures.flag(image_id, f"the image cannot be read: {image.reason}")
            continue
        pixels, whole = image
        inside = None
        try:
            if masks is not None and image_id in state["masks"]:
                data = read_image(masks.uri(state["masks"][image_id]))
                inside = inside_mask(data, whole, size, fit)
            elif image_id in boxes:
                inside = inside_boxes(boxes[image_id], whole, size, fit)
            if inside is not None and not inside.any():
                raise ValueError("nothing of the box or mask is in what the model sees")
        except (ImageError, ValueError) as error:
            inside, why = None, f"the mask cannot be read: {error}" if isinstance(error, ImageError) else str(error)
            figures.flag(image_id, why)
            inputs.warn(f"{uris[image_id]}: {why}; no pointing game there")
        things = [] if inside is None else extents(boxes.get(image_id, []), inside, whole, size, fit)
        figures.add(image_id, pixels, inside, things)
    made = {"faithfulness": figures.table}
    made |= {"road": figures.removals} if params.road else {}
    made |= {"complexity": figures.spreads} if params.complexity else {}
    return {f"{name}/{params.variant}": table() for name, table in made.items()}


def _check(inputs: Inputs, params: Params) -> None:
    """Boxes must be in columns there are, and numbers."""
    if not params.columns or not inputs.parts("images"):
        return
    schema = inputs.part("images", 0).schema
    known = [name.removeprefix("meta.") for name in schema.names if name.startswith("meta.")]
    for column in params.columns:
        try:
            nearest(column.removeprefix("meta."), known, "column")
        except ValueError as error:
            told = str(error) if known else f"unknown column {column.removeprefix('meta.')!r}: the images have none"
            raise UserError(
                f"evaluate.boxes: {told} (give four columns of numbers, or one of lists or texts: [0, 0, 64, 48])"
            ) from None
        kind = schema.field(column).type
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        if len(params.columns) == 4 and not number:
            raise UserError(f"evaluate.boxes: column {column.removeprefix('meta.')} holds {kind}, not numbers")
    for part in inputs.stream("images", ["image_id", "uri", *params.columns]) if len(params.columns) == 1 else ():
        given(part, params.columns)


def _writes(params: Params) -> tuple[str, ...]:
    more = {"road": params.road, "complexity": params.complexity}
    return tuple(f"{name}/{params.variant}" for name in ("faithfulness", *(n for n, asked in more.items() if asked)))


STAGE = Stage(
    name="evaluate",
    version=4,
    about="deletion, insertion, ROAD, pointing game and energy of every map, and of a random one",
    params=Params,
    shards=lambda inputs, params: aligned_shards(params.maps)(inputs, params),
    run=run,
    reads=lambda params: {"images": "part", params.maps: "part"} | ({params.found: "part"} if params.found else {}),
    writes=_writes,
    fit=fit,
    fit_reads=lambda params: ("images", params.maps),
    state_of=lambda params: (("extract", ""),),
    check=("extract", _check),
    libraries=("tensorflow", "keras", "pillow", "numpy"),
    model=True,
    steps=_steps,
    cost=_cost,
)
