"""From images that were explained to a panel of their maps, and what is written under it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from activation_atlas.stages.drawing import captions
from activation_atlas.stages.drawing.numbers import figure, probability, short
from activation_atlas.stages.drawing.panels import ACROSS, Column, Group, panel, shown_size
from activation_atlas.stages.drawing.sheet import Sheet
from activation_atlas.stages.drawing.surface import top_of
from activation_atlas.stages.explain.explained import Explained, Map
from activation_atlas.stages.methods import METHODS
from activation_atlas.stages.stage import UserError


def panel_of(images: Sequence[Explained], boxes: bool = False, *, words: bool = True, across: int = ACROSS) -> Sheet:
    """Images that :func:`stages.explain.interactive.explain_images` explained, on one sheet.

    Args:
        boxes: draws a frame around what each map says is the thing, see :meth:`Explained.box`.
        words: writes under the pictures what each method says, what the colours mean and how maps are enlarged.
        across: methods beside one another at most; further ones follow below.

    Raises:
        UserError: there is no image, or one without maps; fewer than one method beside another.
    """
    if not images:
        raise UserError("panel: there is no image; give what explain returned")
    if across < 1:
        raise UserError(f"panel: across {across}: give at least 1")
    if bare := [image.name for image in images if not image.maps]:
        raise UserError(f"panel: {bare[0]} has no maps; give explain one method or more, and a target")
    groups = []
    for image in images:
        factor, _ = shown_size(image.photo.shape[:2])
        columns = []
        for variant in dict.fromkeys(m.variant for m in image.maps):
            own = image.of(variant)
            columns.append(
                Column(
                    captions.title(own[0].options),
                    _where(own, len(images) == 1),
                    1.0 if image.task.measured else image.top(variant),
                    own[0].surface(image.input_size).style,
                    [image.picture(m, factor, boxes) for m in own],
                    ["zero everywhere" if m.flag == "zero" else m.flag or "" for m in own],
                )
            )
        first = image.of(image.maps[0].variant)
        rows = [(m.name, _about(m)) for m in first]
        if image.task.measured:  # each has its own unit, and a scale of its own
            rows = [(m.name, f"{_about(m)} · {_reach(image, k)}") for k, m in enumerate(first)]
        best = [f"{image.says(k)}  {image.classes[k]}" for k in image.best(3)]
        shown = [] if image.label is None else [f"label: {image.classes[image.label]}"]
        heading = image.name if len(images) > 1 else "{1} × {0} pixels".format(*image.photo.shape)
        groups.append(Group(_photo(image, factor), heading, [*best, *shown], rows, columns))
    one = images[0]
    seen = {"center": "the central crop", "none": "all of it, squashed", "pad": "all of it, with grey borders"}[
        one.fit.crop
    ]
    seen += f" ({one.fit.share:.3g} of its sides)" if one.fit.share < 1 else ""
    title = one.name if len(images) == 1 else f"{len(images)} images"
    size = "{} × {}".format(*one.input_size)
    told = _words(images) if words else []
    if words and boxes:
        told.append("Frames: the box found in the map, around its largest piece.")
    return panel(groups, title, f"{_what(one)}. {one.model} sees {seen}, {size}", told, across)


def _what(one: Explained) -> str:
    return "What raises a quantity" if one.task.measured else "What speaks for a class"


def _about(one: Map) -> str:
    kinds = [kind for kind in one.kinds if kind.removeprefix("class:") != one.name]
    if one.measured:
        return " · ".join([*kinds, figure(one.score)])
    return " · ".join([*kinds, probability(one.probability), f"logit {one.score:.2f}"])


def _learned(one: Map) -> str:
    return f" {one.learned[0].upper()}{one.learned[1:]}." if one.learned else ""


def _reach(image: Explained, place: int) -> str:
    """Where the scales of the maps of one quantity end, method by method."""
    variants = dict.fromkeys(m.variant for m in image.maps)
    tops = [top_of([image.of(name)[place].surface(image.input_size)]) for name in variants]
    return f"scale to {', '.join(short(top) for top in tops)}"


def _where(own: Sequence[Map], alone: bool) -> str:
    """Layer, resolution and interpolation of one method's maps; of an image alone on its sheet also how well each fits.

    Headings are written once for all images of a sheet.
    """
    one = own[0]
    height, width = one.values.shape
    if METHODS[one.options.name].segmented:
        fits = [f"{m.fit:.2f}".replace("-", "−") for m in own if m.fit is not None and alone]
        return "segments of the input" + (f"; fit {', '.join(fits)}" if fits else "")
    if one.options.windows:
        return f"{height} × {width} windows of " + "{} × {}".format(*one.options.windows[0])
    return f"{one.layer or 'at the input'}, {height} × {width}; bilinear"


def _words(images: Sequence[Explained]) -> list[str]:
    drawn_as = [m.surface(i.input_size) for i in images for m in i.maps]
    methods = {m.variant: m for image in images for m in image.maps}
    said = [captions.meaning(m.options, m.measured) + _learned(m) for m in methods.values()]
    scales = (
        "Colours: nothing is shown at 0. Each column of an image has a scale of its own, shared by its rows: rows can "
        "be compared, columns cannot. It ends at the 99th percentile of what is drawn; "
        "the bar shows it on a light photograph above and on a dark one below."
    )
    if images[0].task.measured:
        scales = (
            "Colours: nothing is shown at 0. Each map has a scale of its own, in its quantity’s unit. It ends at the "
            "99th percentile of what is drawn, given above its row for one method after the other; the bar is in "
            "shares of it, on a light photograph above and on a dark one below."
        )
    records = {m.options.name: METHODS[m.options.name] for m in methods.values()}.values()
    segmented = [m for m in records if m.segmented]
    drawn = "Each value stands in the middle of what its position sees; between them maps are bilinear"
    if segmented:
        of_segments = "segments have one value each and keep their borders"
        drawn = f"{drawn}; {of_segments}" if len(segmented) < len(records) else of_segments.capitalize()
    if spread := [m.title.lower() for m in records if m.resolution == "windows"]:
        drawn += f"; of {' and '.join(spread)}, each pixel gets the mean of the windows that hide it"
    if len(images) == 1 and any(m.fit is not None for m in methods.values()):
        drawn += (
            "; fit: how much of the logit’s variance, over images with segments hidden, the sum of a map’s segments "
            "predicts, at best 1"
        )
    if centred := [m.title for m in records if m.around == "mean"]:
        drawn += f"; {' and '.join(centred)} is drawn around its mean"
    if any(s.style.contour for s in drawn_as):
        drawn += ". The white line encloses what reaches half of the scale"
    if any(s.style.faded for s in drawn_as):
        drawn += ". Single pixels’ red and blue are drawn on a grey print"
    cut = images[0].fit
    outside = cut.crop == "center" and (cut.share < 1 or any(len(set(i.photo.shape[:2])) > 1 for i in images))
    bare = any(not s.place.is_whole(s.size) for s in drawn_as)
    told = [*["the model was not shown"] * outside, *["no position of the map lies over"] * bare]
    drawn += f". Dull grey: what {', or '.join(told)}." if told else "."
    if lost := [m.options for i in images for m in i.maps if not np.isfinite(m.surface(i.input_size).values).all()]:
        drawn += f" {captions.hatched(lost)}"
    return [*said, scales, drawn]


def _photo(image: Explained, factor: int) -> Any:
    return image.photo.repeat(factor, 0).repeat(factor, 1)
