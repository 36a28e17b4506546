"""maps, images -> boxes: where in the photograph the thing is that a map speaks of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages import tables
from activation_atlas.stages.feed import Feed, at_size_of
from activation_atlas.stages.methods import MethodSpec
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import ReadImages, Spec
from activation_atlas.stages.stage import Inputs, Shard, Stage, aligned_shards
from activation_atlas.stages.vision.attribution.boxes import BoxesSpec, find, way
from activation_atlas.stages.vision.attribution.pixels import at_input
from activation_atlas.stages.vision.images import Fit, ImageError, source_box
from activation_atlas.stages.vision.place import COLUMNS, Place


class Params(Spec):
    """Everything the boxes of one variant depend on."""

    images: ReadImages
    method: MethodSpec
    boxes: BoxesSpec

    @property
    def variant(self) -> str:
        return self.method.variant


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """A row for each map of one part that says something of where."""
    extract = inputs.state("extract", "")
    size, shown = tuple(extract["input_size"]), params.images.settled(extract.get("images", {}))
    maps = inputs.part(f"maps/{params.variant}", shard.index, ["image_id", "target", "height", "width", *COLUMNS,
                                                             "map", "score", "flag"])  # fmt: skip
    maps = maps.filter(pc.is_null(maps["flag"]))
    images = inputs.part("images", shard.index, ["image_id", "uri"])
    uris = dict(zip(images["image_id"].to_pylist(), images["uri"].to_pylist(), strict=True))
    of_image: dict[str, list[int]] = {}
    for row, image_id in enumerate(maps["image_id"].to_pylist()):
        of_image.setdefault(image_id, []).append(row)
    found: dict[int, dict[str, Any]] = {}
    feed = Feed(params.images, at_size_of(shown, size))
    for image_id, image in feed.stream({i: uris[i] for i in of_image}):
        if isinstance(image, ImageError):
            inputs.warn(f"{uris[image_id]}: no box is found: {image.reason}")
            continue
        pixels, upright = image
        for row in of_image[image_id]:
            values = at_input(_map(maps, row), params.method.at(size), size, Place.at(maps, row))
            found[row] = _row(maps, row, way(params.boxes, params.method))
            if (piece := find(params.boxes, params.method, values, pixels)) is not None:
                box, found[row]["area"] = piece
                found[row]["input"] = list(box)
                sides = source_box(box, upright, size, Fit.of(shown))
                found[row] |= dict(zip(("left", "top", "right", "bottom"), sides, strict=True))
    rows = [found[row] for row in sorted(found)]
    return {f"boxes/{params.variant}": pa.Table.from_pylist(rows, schema=tables.boxes())}


def _map(maps: pa.Table, row: int) -> np.ndarray:
    shape = (maps["height"][row].as_py(), maps["width"][row].as_py())
    return maps["map"][row].values.to_numpy(zero_copy_only=False).reshape(shape)


def _row(maps: pa.Table, row: int, by: str) -> dict[str, Any]:
    return {name: maps[name][row].as_py() for name in ("image_id", "target", "score")} | {"by": by}


def _steps(asked: Sections) -> list[tuple[str, dict[str, Any]]]:
    if (section := asked.config.boxes) is None:
        return []
    methods = sorted(asked.config.explain.methods, key=lambda m: m.variant)
    return [(m.variant, {"images": asked.images, "method": m, "boxes": section}) for m in methods]


STAGE = Stage(
    name="boxes",
    version=1,
    about="maps -> boxes: where in the photograph the thing is that a map speaks of",
    params=Params,
    shards=lambda inputs, params: aligned_shards(f"maps/{params.variant}")(inputs, params),
    run=run,
    reads=lambda params: {"images": "part", f"maps/{params.variant}": "part"},
    writes=lambda params: (f"boxes/{params.variant}",),
    state_of=lambda params: (("extract", ""),),
    libraries=("numpy", "scipy", "pillow", "opencv-python-headless"),
    steps=_steps,
)
