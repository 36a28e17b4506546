"""A source -> the `images` table: every image's bytes are read once, for their hash and size."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from activation_atlas.stages import tables
from activation_atlas.stages.classes import WORDNET
from activation_atlas.stages.drawing.numbers import plural
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.sources import Source, open_source, read_images
from activation_atlas.stages.sources.assignment import assign
from activation_atlas.stages.sources.rows import integers
from activation_atlas.stages.specs import Grown, ListedImages, Spec, black_and_white
from activation_atlas.stages.stage import Inputs, Shard, Stage, UserError
from activation_atlas.stages.tasks import assigned, labelled, task_named, task_of
from activation_atlas.stages.vision.images import ImageError, is_series, measure, probe
from activation_atlas.stages.vision.levels import Span, told

LEVELS = "levels"
REJECTS = "rejects/index"


class Params(Grown, Spec):
    newer = frozenset({"task"})

    images: ListedImages
    classes: list[str] | None = Field(None, description="class names in index order, to match label names with")
    also: list[str] | None = Field(None, description="other names of the classes, which labels may have")
    task: str | None = Field(None, description="what labels are to be: model.task; None: auto")
    numbering: bool = Field(True, description="whether label names may be numbered where no class names are given")
    seed: int = 0
    # Parts that are there stay as they are: what is made of an image does not depend on its part.
    shard_images: int = Field(256, gt=0, exclude=True, description="most images of a part")


def _steps(asked: Sections) -> list[tuple[str, dict[str, Any]]]:
    run, model = asked.config.run, asked.model
    # A file is mostly the user's own, trained on such folders; a published model has an order of its own.
    task = None if model.task == "auto" else model.task
    labels = {"classes": model.classes, "also": asked.also, "numbering": model.path is not None, "task": task}
    return [("", {"images": asked.images, **labels, "seed": run.seed, "shard_images": run.shard_images})]


def shards(inputs: Inputs, params: Params) -> list[Shard]:
    """The images of each part, at most ``shard_images``: those that it holds and that are still listed, and new ones.

    Lists the source anew; reads no image.
    """
    listed = _source(params, refresh=True).listing["image_id"].to_pylist()
    parts = assign(_parts(inputs), listed, params.shard_images)
    return [Shard(k, 0, len(rows), tuple(listed[row] for row in rows)) for k, rows in enumerate(parts)]


def _parts(inputs: Inputs) -> list[list[str]]:
    """Ids of the images of each part that is there as a whole; of others none, and what is behind them stays."""
    return [_held(inputs, k) for k in range(max(map(inputs.parts, ("images", LEVELS, REJECTS))))]


def _held(inputs: Inputs, part: int) -> list[str]:
    try:
        _, *found = [inputs.part(table, part, ["image_id"])["image_id"] for table in (LEVELS, "images", REJECTS)]
    except UserError:  # damaged, or a kill came between them
        return []
    return [own for column in found for own in column.to_pylist()]


def stamps(params: Params, shards: Sequence[Shard]) -> list[str]:
    """One string a shard, hashed over all that the listing says of its images (names, labels, sizes, times)."""
    source = _source(params)
    return [_digest(source.listing.take(integers(_of(shard, source) or [], "int64"))) for shard in shards]


def _of(shard: Shard, source: Source) -> list[int] | None:
    """Rows of a shard's images, None where one is not listed."""
    own = shard.images or ()
    return [source.row_of[image] for image in own] if all(image in source.row_of for image in own) else None


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """`images`: the shard's readable images. `levels`: what those of more than 8 bits hold. `rejects/index`: the
    others, and why.

    Raises:
        UserError: the source is no longer what it was when the shards were counted.
    """
    source = _source(params)
    here = _of(shard, source)
    if here is None:
        source = _source(params, refresh=True)
        here = _of(shard, source)
    if here is None:
        raise UserError(f"images.path: {params.images.path} changed while it was being read: run again")
    rows = source.listing.take(integers(here, "int64"))
    kept, found, spans, reasons, series = [], [], {}, rows["reject"].to_pylist(), False
    usable = [k for k, reason in enumerate(reasons) if reason is None]
    uris = rows["uri"].to_pylist()
    read = read_images([uris[k] for k in usable], params.images.storage_options)
    for k, data in zip(usable, read, strict=True):
        try:
            if isinstance(data, ImageError):
                raise data
            width, height = probe(data, params.images.max_pixels)
            series = series or is_series(data, params.images.max_pixels)
        except ImageError as error:
            reasons[k] = error.reason
        else:
            kept.append(k)
            found.append((hashlib.sha256(data).hexdigest(), width, height))
            with suppress(ImageError):  # rejected where it is decoded
                spans[k] = measure(data, params.images.max_pixels)
    if series:
        inputs.warn("among the images are some of several pages or frames: of each the first is read")
    images = _images(rows.take(pa.array(kept, pa.int64())), found)
    return {"images": images, LEVELS: _levels(rows, spans), REJECTS: _rejects(rows, reasons)}


def _end(inputs: Inputs, params: Params) -> None:
    """Warns of what the source says of all images together, and of images of more than 8 bits that are read darker
    than they are meant, counted over all of them."""
    source = _source(params)
    for message in source.warnings:
        inputs.warn(message)
    if source.classes and params.classes is None and not task_named(params.task or "auto").measured:
        inputs.warn(_numbered(source))
    read = (row for part in inputs.stream(LEVELS) for row in part.drop_columns("image_id").to_pylist())
    for message in told(
        [Span(**row) for row in read], black_and_white(params.images.levels), "images.levels: [BLACK, WHITE]"
    ):
        inputs.warn(message)


def _source(params: Params, refresh: bool = False) -> Source:
    source = open_source(params.images, params.classes, refresh, params.also, params.task or "auto")
    if task_named(params.task or "auto").measured:
        return source
    if source.classes and params.classes is None and not params.numbering:
        ids = all(WORDNET.fullmatch(name) for name in source.classes)
        given = "give imagenet_class_index.json," if ids else "give the model's class names"
        which = f"are {'ids of WordNet' if ids else 'names'}; {given}"
        raise UserError(f"model.classes: the labels {which} to match them with")
    return source


def _check(inputs: Inputs, params: Params) -> None:
    """Holds the labels against the classes that the model turned out to have.

    Raises:
        UserError: names were numbered and are not as many as the classes, or a label is none of them.
    """
    extract = inputs.state("extract")
    classes = len(extract["classes"])
    source = _source(params)
    usable = source.listing.filter(source.listing["reject"].is_null())["label"].combine_chunks()
    task = task_of(usable.type)
    if task.measured:
        _check_quantities(usable, classes)
        return
    if task.several and extract.get("kind") == "softmax" and labelled(usable).any():
        raise UserError(
            f"images: {source.labelled_by} hold several labels of an image, and the model's classes exclude one "
            "another (a softmax, or numbers of any size); say model.task: labels where each stands for itself, "
            "quantities of numbers (regression), or name another "
            "images.label_column"
        )
    labels = Counter(assigned(usable).index.tolist())
    if labels and params.classes is None and source.classes and len(source.classes) != classes:
        some = f"{', '.join(source.classes[:3])}{', ...' if len(source.classes) > 3 else ''}"
        why = f" ({source.warnings[0]})" if source.warnings else ""
        raise UserError(
            f"images: {source.labelled_by} give {len(source.classes)} classes ({some}), and the model has {classes}: "
            "which is which is not known; give model.classes, all names in the model's order, another images.path, or "
            f"images.label_column: none{why}"
        )
    wrong = sorted(k for k in labels if not 0 <= k < classes)
    if wrong:
        from_one = wrong == [classes] and 0 not in labels and params.images.first_label is None
        remedy = "correct them, or images.label_column: none to go without"
        remedy = "they seem to count from 1: say images.first_label: 1" if from_one else remedy
        raise UserError(
            f"images: {sum(labels[k] for k in wrong)} of {labels.total()} labels are none of the model's {classes} "
            f"classes (0 to {classes - 1}), e.g. {wrong[0]}; {remedy}"
        )


def _check_quantities(labels: pa.Array, outputs: int) -> None:
    """As many numbers of an image as the model returns.

    Raises:
        UserError: says how many there are of each.
    """
    sizes = sorted({len(row) for row in labels.to_pylist() if row is not None} - {outputs})
    if sizes:
        gives, returns = plural(sizes[0], "number"), plural(outputs, "number")
        raise UserError(
            f"images: labels have {gives} for an image, and the model returns {returns}; name as many columns, in the "
            "model's order, with images.label_columns"
        )


def _numbered(source: Source) -> str:
    first = ", ".join(f"{name} = {k}" for k, name in enumerate((source.classes or [])[:3]))
    return f"label names are numbered in their order ({first}, ...): give model.classes if the model's order is another"


def _digest(rows: pa.Table) -> str:
    said: dict[str, Any] = rows.to_pydict()
    return hashlib.sha256(repr(said).encode()).hexdigest()[:32]


def _images(rows: pa.Table, found: list[tuple[str, int, int]]) -> pa.Table:
    hashes, widths, heights = zip(*found, strict=True) if found else ((), (), ())
    rows = rows.append_column("sha256", pa.array(hashes, pa.string()))
    rows = rows.append_column("width", pa.array(widths, pa.int32())).append_column(
        "height", pa.array(heights, pa.int32())
    )
    meta = [f for f in rows.schema if f.name.startswith("meta.")]
    schema = tables.images(meta, task_of(rows.schema.field("label").type))
    return rows.select(schema.names).cast(schema).sort_by("image_id")


def _levels(rows: pa.Table, spans: dict[int, Span | None]) -> pa.Table:
    wide = {k: span for k, span in spans.items() if span is not None}
    made = [{"image_id": rows["image_id"][k].as_py(), **asdict(span)} for k, span in wide.items()]
    return pa.Table.from_pylist(made, tables.levels()).sort_by("image_id")


def _rejects(rows: pa.Table, reasons: list[str | None]) -> pa.Table:
    lost = np.flatnonzero([reason is not None for reason in reasons])
    columns = {
        "image_id": rows["image_id"].take(pa.array(lost)),
        "uri": rows["uri"].take(pa.array(lost)),
        "stage": pa.array(["index"] * len(lost), pa.string()),
        "reason": pa.array([reasons[k] for k in lost], pa.string()),
    }
    return pa.table(columns, tables.rejects()).sort_by("image_id")


STAGE = Stage(
    name="index",
    version=4,
    about="lists the source, and hashes and measures every image",
    params=Params,
    shards=shards,
    run=run,
    reads=lambda params: {},
    writes=lambda params: ("images", LEVELS, REJECTS),
    libraries=("pillow",),
    end=_end,
    check=("extract", _check),
    stamps=stamps,
    steps=_steps,
    rejects=lambda params: (REJECTS,),
)
