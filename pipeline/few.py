"""The command ``explain``: maps of a few images, as pictures, panels and tables in a folder."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import TypeAdapter, ValidationError

from activation_atlas.pipeline.panels import panel_of
from activation_atlas.stages.explain.explained import Explained, Map
from activation_atlas.stages.methods import METHODS, MethodSpec, Options
from activation_atlas.stages.origin import origin
from activation_atlas.stages.report import words
from activation_atlas.stages.report.errors.wording import probability
from activation_atlas.stages.report.sheet import Sheet, encoded
from activation_atlas.stages.specs import ModelSpec, black_and_white, nearest
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tables.flags import SILENT
from activation_atlas.stages.vision.images import Crop
from activation_atlas.stages.vision.overlays import magnification

MANY = 8
"""Images whose panels also go on one sheet together, at most."""


def model_of(model: str, **given: Any) -> ModelSpec:
    """``--model`` and what is said of it.

    Raises:
        UserError: it cannot be so; one line.
    """
    try:
        return ModelSpec(**origin(model), **{k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-") if first["loc"] else "model"
        value = first["input"] if first["loc"] else model
        raise UserError(f"--{option} {value}: {first['msg'].removeprefix('Value error, ')}") from None


def methods_of(names: Sequence[str], layer: str | None, given: Sequence[str]) -> list[Options]:
    """``--method``, ``--layer`` and ``--option`` as methods with options; an option goes to all methods that know it.

    Raises:
        UserError: an unknown method or option (the nearest is named), a value that will not do, or one that no
            chosen method takes.
    """
    sections: dict[str, dict[str, Any]] = {}
    for name in names:
        try:
            sections[nearest(name, list(METHODS), "method")] = {"name": name}
        except ValueError as error:
            raise UserError(f"--method: {error}") from None
    if layer is not None:
        at = [name for name in sections if "layer" in METHODS[name].options.model_fields]
        if not at:
            raise UserError(f"--layer {layer}: {', '.join(sections)} explains at the input; leave --layer out")
        for name in at:
            sections[name]["layer"] = layer
    for text in given:
        key, equals, value = text.partition("=")
        known = {k: [n for n in sections if k in METHODS[n].options.model_fields] for k in _keys(sections)}
        if not equals:
            raise UserError(f"--option {text}: write key=value, e.g. patch=24")
        if key not in known:
            try:
                nearest(key, list(known), f"option of {', '.join(sections)}")
            except ValueError as error:
                raise UserError(
                    f"--option: {error}" if known else f"--option: {', '.join(sections)} has none"
                ) from None
        for name in known[key]:
            sections[name][key] = _value(text, value)
    found = []
    for name, section in sections.items():
        try:
            found.append(TypeAdapter(MethodSpec).validate_python(section))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(p) for p in first["loc"][1:2])
            raise UserError(f"--option {name}.{place}: {first['msg']} (got {first.get('input')!r})") from None
    return found


def _keys(names: Iterable[str]) -> list[str]:
    return sorted({k for n in names for k in METHODS[n].options.model_fields} - {"name", "as_"})


def _value(text: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"--option {text}: the value cannot be read") from None


def levels_of(levels: tuple[float, float] | None) -> tuple[float, float] | None:
    """``--levels``.

    Raises:
        UserError: they are the same, or not finite.
    """
    try:
        return black_and_white(levels)
    except ValueError as error:
        said = str(error).partition(";")[0]
        raise UserError(f"--levels: {said}; give two values, e.g. --levels 0 4095") from None


def crop_of(crop: str) -> Crop:
    """``--crop``.

    Raises:
        UserError: there is no such way.
    """
    if crop not in get_args(Crop):
        raise UserError(f"--crop {crop}: choose {', '.join(get_args(Crop))}")
    return crop


@dataclass(frozen=True)
class Asked:
    """What the command was asked, as :func:`stages.explain.few.explain_images` takes it."""

    images: Sequence[str]
    model: ModelSpec
    methods: Sequence[Options]
    targets: Sequence[str]
    label: str | None
    crop: Crop
    seed: int
    levels: tuple[float, float] | None = None


def explain(asked: Asked, out: Path, say: Callable[[str], object], reject: Callable[[str], object]) -> tuple[int, int]:
    """Writes everything of a few images to ``out``.

    Args:
        say: told what was predicted and written.
        reject: told in one line of each image that cannot be used.

    Returns:
        How many images were explained, and how many were rejected.
    """
    from activation_atlas.stages.explain.few import explain_images, table

    if "label" in asked.targets and asked.label is None:
        raise UserError("--target label: give the class that the images show with --label NAME")
    rejects: list[str] = []

    def rejected(uri: str, reason: str) -> None:
        rejects.append(uri)
        reject(f"{uri}: {reason}")

    _check_folder(out)
    found = explain_images(**vars(asked), rejected=rejected)
    if not found:
        return 0, len(rejects)
    (out / "overlays").mkdir(parents=True, exist_ok=True)
    for image, stem in zip(found, _stems(found), strict=True):
        _say(image, say)
        for one in image.maps:
            path = out / "overlays" / f"{stem}.{one.variant}.{one.target}_{_plain(one.name)}.png"
            path.write_bytes(_png(image, one))
        for path in _save(panel_of([image]), out / stem):
            say(f"  {path}")
    if 1 < len(found) <= MANY:
        for path in _save(panel_of(found), out / "all images"):
            say(str(path))
    import pyarrow.parquet as pq

    pq.write_table(table(found), out / "maps.parquet")
    _predictions(found, out / "predictions.csv")
    overlaid = sum(len(image.maps) for image in found)
    say(f"{out}: {words.plural(overlaid, 'picture')} in overlays/, maps.parquet, predictions.csv")
    return len(found), len(rejects)


def _check_folder(out: Path) -> None:
    """Refuses what is no folder and cannot become one, before anything is computed."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; give a folder")
    above = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not above.is_dir():
        raise UserError(f"--out {out}: {above} is a file; give a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"--out {out}: {above} cannot be written to; give another folder")


def _png(image: Explained, found: Map) -> bytes:
    return encoded(image.picture(found, magnification(image.photo.shape[:2])), "PNG")


def _save(sheet: Sheet, stem: Path) -> list[Path]:
    paths = [stem.with_name(stem.name + suffix) for suffix in (".png", ".pdf")]
    paths[0].write_bytes(sheet.png())
    paths[1].write_bytes(sheet.vector("pdf"))
    return paths


def _say(image: Explained, say: Callable[[str], object]) -> None:
    best = ", ".join(f"{image.classes[k]} {probability(image.probabilities[k])}" for k in image.best(3))
    say(f"{image.uri}: {best}")
    for one in {m.variant: m for m in image.maps}.values():
        say(f"  {one.variant} at {one.layer or 'the input'} ({one.values.shape[0]} x {one.values.shape[1]})")
    for one in image.maps:
        if one.flag:
            say(f"  {one.variant} for {one.name}: the map is {SILENT[one.flag]}")


def _stems(images: Sequence[Explained]) -> list[str]:
    """A file name for each image: its own without the ending, numbered where several are called alike."""
    found: list[str] = []
    for image in images:
        stem = _plain(image.name.rsplit(".", 1)[0])
        number, name = 1, stem
        while name.lower() in {f.lower() for f in found}:
            number += 1
            name = f"{stem}-{number}"
        found.append(name)
    return found


def _plain(name: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._")[:80] or "image"


def _predictions(images: Sequence[Explained], path: Path) -> None:
    """The five most probable classes of each image, best first."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["uri", "image_id", "rank", "class_index", "class", "probability", "logit"])
        for image in images:
            for rank, k in enumerate(image.best(5), 1):
                row = [rank, k, image.classes[k], f"{image.probabilities[k]:.6g}", f"{image.logits[k]:.6g}"]
                rows.writerow([image.uri, image.image_id, *row])
