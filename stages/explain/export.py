"""What the command ``explain`` writes: maps of some images, as pictures, panels and tables in a folder."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from activation_atlas.stages.drawing.numbers import plural
from activation_atlas.stages.drawing.overlays import magnification
from activation_atlas.stages.drawing.sheet import Sheet, encoded
from activation_atlas.stages.drawing.written import as_file_name, check_folder, file_stems
from activation_atlas.stages.explain.explained import Explained, Map, table
from activation_atlas.stages.explain.interactive import explain_images
from activation_atlas.stages.explain.panel import panel_of
from activation_atlas.stages.methods import Options
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tables.flags import SILENT
from activation_atlas.stages.vision.images import Crop, Interpolation

MANY = 8
"""Images whose panels also go on one sheet together, at most."""

LONG = 100
"""Passes for a map of which there is a word before they begin: they may take minutes."""


@dataclass(frozen=True)
class Request:
    """What the command is asked for, as :func:`stages.explain.interactive.explain_images` takes it."""

    images: Sequence[str]
    model: ModelSpec
    methods: Sequence[Options]
    targets: Sequence[str]
    label: str | None
    crop: Crop | None
    seed: int
    levels: tuple[float, float] | None = None
    crop_share: float | None = None
    interpolation: Interpolation | None = None
    antialias: bool | None = None


def export(
    request: Request,
    out: Path,
    say: Callable[[str], object],
    reject: Callable[[str], object],
    boxes: bool = False,
) -> tuple[int, int]:
    """Writes everything of a few images to ``out``.

    Args:
        say: told what was predicted and written.
        reject: told in one line of each image that cannot be used.
        boxes: also where the thing is by each map, drawn and as ``boxes.csv``.

    Returns:
        How many images were explained, and how many were rejected.
    """
    if "label" in request.targets and request.label is None:
        raise UserError("--target label: give the class that the images show with --label NAME")
    rejects: list[str] = []

    def rejected(uri: str, reason: str) -> None:
        rejects.append(uri)
        reject(f"{uri}: {reason}")

    check_folder(out)
    passes = ((method.variant, method.passes(None)) for method in request.methods)
    if many := [f"{name} {n:,}" for name, n in passes if isinstance(n, int) and n >= LONG]:
        say(f"passes through the network for a map: {', '.join(many)}")
    images = explain_images(**vars(request), rejected=rejected)
    if not images:
        return 0, len(rejects)
    (out / "overlays").mkdir(parents=True, exist_ok=True)
    for image, stem in zip(images, file_stems([image.name for image in images]), strict=True):
        _say(image, say)
        for one in image.maps:
            path = out / "overlays" / f"{stem}.{one.variant}.{one.target}_{as_file_name(one.name)}.png"
            path.write_bytes(_png(image, one, boxes))
        for path in _save(panel_of([image], boxes), out / stem):
            say(f"  {path}")
    if 1 < len(images) <= MANY:
        for path in _save(panel_of(images, boxes), out / "all images"):
            say(str(path))
    pq.write_table(table(images), out / "maps.parquet")
    _predictions(images, out / "predictions.csv")
    if boxes:
        _boxes(images, out / "boxes.csv")
    overlaid = sum(len(image.maps) for image in images)
    also = ", boxes.csv" if boxes else ""
    say(f"{out}: {plural(overlaid, 'picture')} in overlays/, maps.parquet, predictions.csv{also}")
    return len(images), len(rejects)


def _png(image: Explained, one: Map, box: bool) -> bytes:
    return encoded(image.picture(one, magnification(image.photo.shape[:2]), box), "PNG")


def _save(sheet: Sheet, stem: Path) -> list[Path]:
    paths = [stem.with_name(stem.name + suffix) for suffix in (".png", ".pdf")]
    paths[0].write_bytes(sheet.png())
    paths[1].write_bytes(sheet.vector("pdf"))
    return paths


def _say(image: Explained, say: Callable[[str], object]) -> None:
    best = ", ".join(f"{image.classes[k]} {image.says(k)}" for k in image.best(3))
    say(f"{image.uri}: {best}")
    for one in {m.variant: m for m in image.maps}.values():
        fits = [f"{m.fit:.2f} for {m.name}" for m in image.maps if m.variant == one.variant and m.fit is not None]
        fit = f", fit {', '.join(fits)}" if fits else ""
        say(f"  {one.variant} at {one.layer or 'the input'} ({one.values.shape[0]} x {one.values.shape[1]}){fit}")
    for one in image.maps:
        if one.flag:
            say(f"  {one.variant} for {one.name}: the map is {SILENT[one.flag]}")


def _boxes(images: Sequence[Explained], path: Path) -> None:
    """The box of each map in pixels of the photograph, empty where it finds none."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["uri", "image_id", "variant", "class_index", "class", "left", "top", "right", "bottom"])
        for image in images:
            for one in image.maps:
                sides = [f"{side:.2f}" for side in image.box(one) or ()] or [""] * 4
                rows.writerow([image.uri, image.image_id, one.variant, one.target, one.name, *sides])


def _predictions(images: Sequence[Explained], path: Path) -> None:
    """The five most probable classes of each image, best first; quantities, which have no probability, in order."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["uri", "image_id", "rank", "class_index", "class", "probability", "logit"])
        for image in images:
            for rank, k in enumerate(image.best(5), 1):
                share = "" if image.task.measured else f"{image.probabilities[k]:.6g}"
                row = [rank, k, image.classes[k], share, f"{image.logits[k]:.6g}"]
                rows.writerow([image.uri, image.image_id, *row])
