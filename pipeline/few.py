"""The command ``explain``: maps of a few images, as pictures, panels and tables in a folder."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import TypeAdapter, ValidationError

from stages.methods import METHODS, AtLayer, Method, Occlusion, Options, pair
from stages.specs import ModelSpec, nearest, origin
from stages.stage import UserError
from stages.vision.images import Crop

if TYPE_CHECKING:
    from stages.explain.explained import Explained
    from stages.report.sheet import Sheet

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
        raise UserError(f"--model {model}: {error.errors()[0]['msg']}") from None


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
        at = [name for name in sections if issubclass(METHODS[name], AtLayer)]
        if not at:
            raise UserError(f"--layer {layer}: {', '.join(sections)} explains at the input; leave --layer out")
        for name in at:
            sections[name]["layer"] = layer
    for text in given:
        key, equals, value = text.partition("=")
        known = {k: [n for n in sections if k in METHODS[n].model_fields] for k in _keys(sections)}
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
            found.append(TypeAdapter(Method).validate_python(section))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(p) for p in first["loc"][1:2])
            raise UserError(f"--option {name}.{place}: {first['msg']} (got {first.get('input')!r})") from None
    return found


def _keys(names: Sequence[str]) -> list[str]:
    return sorted({k for n in names for k in METHODS[n].model_fields} - {"name", "as_"})


def _value(text: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"--option {text}: the value cannot be read") from None


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


def explain(asked: Asked, out: Path, say: Callable[[str], object], reject: Callable[[str], object]) -> tuple[int, int]:
    """Writes everything of a few images to ``out``.

    Args:
        say: told what was predicted and written.
        reject: told in one line of each image that cannot be used.

    Returns:
        How many images were explained, and how many were rejected.
    """
    from stages.explain.few import explain_images, table

    if "label" in asked.targets and asked.label is None:
        raise UserError("--target label: give the class that the images show with --label NAME")
    rejects: list[str] = []

    def rejected(uri: str, reason: str) -> None:
        rejects.append(uri)
        reject(f"{uri}: {reason}")

    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file; give a folder")
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
    say(f"{out}: {overlaid} pictures in overlays/, maps.parquet, predictions.csv")
    return len(found), len(rejects)


def panel_of(images: Sequence[Explained]) -> Sheet:
    """Images that :func:`stages.explain.few.explain_images` explained, on one sheet."""
    from stages.report.errors import wording
    from stages.report.panels import Column, Group, panel, shown_size

    groups = []
    for image in images:
        factor, _ = shown_size(image.photo.shape[:2])
        columns = []
        for variant in dict.fromkeys(m.variant for m in image.maps):
            own = image.of(variant)
            columns.append(
                Column(
                    wording.title(own[0].options),
                    _where(own[0]),
                    image.top(variant),
                    own[0].signed,
                    image.opacity(own[0]),
                    [image.picture(m, factor) for m in own],
                    [{"zero": "zero everywhere", None: ""}.get(m.flag, m.flag) for m in own],
                )
            )
        first = image.of(image.maps[0].variant)
        rows = [(m.name, f"{', '.join(m.kinds)} · {_percent(m.probability)} · logit {m.score:.2f}") for m in first]
        best = [f"{_percent(image.probabilities[k])}  {image.classes[k]}" for k in image.best(3)]
        shown = [] if image.label is None else [f"label: {image.classes[image.label]}"]
        heading = image.name if len(images) > 1 else "{1} × {0} pixels".format(*image.photo.shape)
        groups.append(Group(_photo(image, factor), heading, [*best, *shown], rows, columns))
    one = images[0]
    seen = {"center": "the central crop", "none": "all of it, squashed", "pad": "all of it, with grey borders"}
    title = one.name if len(images) == 1 else f"{len(images)} images"
    size = "{} × {}".format(*one.input_size)
    return panel(groups, title, f"What speaks for a class. {one.model} sees {seen[one.crop]}, {size}", _words(images))


def _where(found: Any) -> str:
    """Layer, resolution and interpolation of a map."""
    height, width = found.values.shape
    if isinstance(found.options, Occlusion):
        return f"{height} × {width} windows of " + "{} × {}".format(*pair(found.options.patch))
    return f"{found.layer or 'at the input'}, {height} × {width}; bilinear"


def _words(images: Sequence[Explained]) -> list[str]:
    from stages.report.errors.wording import METHODS as WORDS
    from stages.report.errors.wording import title

    methods = {m.variant: m for image in images for m in image.maps}
    said = [f"{title(m.options)}: {WORDS[m.options.name][1]}." for m in methods.values()]
    signs = {m.signed for m in methods.values()}
    colours = []
    if True in signs:
        colours.append("red speaks for the class, blue against it")
    if False in signs:
        colours.append("the lighter the colour, the more; nothing is shown at 0")
    scales = (
        f"Colours: {'; '.join(colours)}. Each column of an image has a scale of its own, shared by its rows: rows can "
        "be compared, columns cannot. It ends at the 99th percentile of what is drawn; "
        "the bar shows it on a light photograph above and on a dark one below."
    )
    drawn = "Maps cover the model’s input evenly and are enlarged bilinearly with half-pixel centres"
    if any(isinstance(m.options, Occlusion) for m in methods.values()):
        drawn += "; of occlusion, each pixel gets the mean of the windows that hide it"
    if any(image.coarse(m) for image in images for m in image.maps):
        drawn += ". The white line encloses what reaches half of the scale"
    if any(image.faded(m) for image in images for m in image.maps):
        drawn += ". Single pixels’ red and blue are drawn on a grey print"
    outside = images[0].crop == "center" and any(len(set(i.photo.shape[:2])) > 1 for i in images)
    drawn += ". Grey and pale: what the model was not shown." if outside else "."
    return [*said, scales, drawn]


def _photo(image: Explained, factor: int) -> Any:
    return image.photo.repeat(factor, 0).repeat(factor, 1)


def _png(image: Explained, found: Any) -> bytes:
    from stages.report.sheet import encoded
    from stages.vision.overlays import magnification

    return encoded(image.picture(found, magnification(image.photo.shape[:2])), "PNG")


def _save(sheet: Sheet, stem: Path) -> list[Path]:
    paths = [stem.with_name(stem.name + suffix) for suffix in (".png", ".pdf")]
    paths[0].write_bytes(sheet.png())
    paths[1].write_bytes(sheet.vector("pdf"))
    return paths


def _say(image: Explained, say: Callable[[str], object]) -> None:
    best = ", ".join(f"{image.classes[k]} {_percent(image.probabilities[k])}" for k in image.best(3))
    say(f"{image.uri}: {best}")
    for one in {m.variant: m for m in image.maps}.values():
        say(f"  {one.variant} at {one.layer or 'the input'} ({one.values.shape[0]} x {one.values.shape[1]})")
    for one in image.maps:
        if one.flag:
            say(f"  {one.variant} for {one.name}: the map is {one.flag}")


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"


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
