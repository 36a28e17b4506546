"""What a network has learned and what it sees in images, at once and without a run: for the command ``look``, for
Python and for notebooks.

    from activation_atlas.stages.look.interactive import look

    seen = look("dog.jpg", "model.keras")
    seen.filters[0].weights     # and the pictures of all, in a notebook, by naming them
    seen.maps[3].values
    seen.save("look/")          # pictures, tables, a page
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from activation_atlas.stages.look.attention import AttentionMaps, attends, attention_of
from activation_atlas.stages.look.export import save
from activation_atlas.stages.look.filters import Filters, learned_filters
from activation_atlas.stages.look.maps import FeatureMaps, Scale, maps_of
from activation_atlas.stages.look.maximised import Maximised, Recipe
from activation_atlas.stages.look.maximising import SIZE, check, maximised
from activation_atlas.stages.look.photographs import Photograph, photographs
from activation_atlas.stages.look.shown import Drawable, Shown
from activation_atlas.stages.origin import model_spec, shown_images
from activation_atlas.stages.specs import ModelSpec, listed
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.images import Crop, Interpolation

PARTS = ("filters", "maps", "attention", "channels", "classes")
"""What can be looked at."""

CLASSES = 8
"""Classes, or quantities, that are drawn where none is named, at most."""


@dataclass(frozen=True)
class Look:
    """What was looked at; a part that was not asked for is empty.

    Attributes:
        model: its name.
        classes: class names, in the order of the logits.
        images: the photographs, in the order given.
        filters: of layers.
        maps: of images: for each the layers in order.
        attention: of images, where the model has any.
        maximised: pictures that make channels of a layer answer, and those of classes.
    """

    model: str
    classes: Sequence[str]
    images: Sequence[Photograph]
    filters: Shown[Filters]
    maps: Shown[FeatureMaps]
    attention: Shown[AttentionMaps]
    maximised: Shown[Maximised]

    def save(self, out: str | os.PathLike[str]) -> list[Path]:
        """Pictures (PNG, and PDF for print), tables (Parquet) and ``index.html`` in a folder; the files written."""
        return save(self, Path(out))

    def _repr_png_(self) -> bytes | None:
        return Shown[Drawable]([*self.filters, *self.maps, *self.attention, *self.maximised])._repr_png_()


def look(
    images: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    model: ModelSpec | Mapping[str, Any] | str | os.PathLike[str],
    *,
    only: Sequence[str] | str | None = None,
    filters: Sequence[str] | str | None = None,
    maps: Sequence[str] | str | None = None,
    layer: str | None = None,
    channels: Iterable[int] | None = None,
    at: tuple[int, int] | None = None,
    directions: Any = None,
    classes: Sequence[str] | str | None = None,
    recipe: Recipe = "mean",
    size: int = SIZE,
    steps: int | None = None,
    seed: int = 0,
    scaled: Scale = "channel",
    crop: Crop | None = None,
    crop_share: float | None = None,
    interpolation: Interpolation | None = None,
    antialias: bool | None = None,
    levels: tuple[float, float] | float | None = None,
    rejected: Callable[[str, str], object] | None = None,
) -> Look:
    """Looks at a network: what it has learned, and what it sees in images.

    Args:
        images: files, folders or globs; one, several, or an empty list where only filters are asked for.
        model: a file, ``application:NAME``, ``preset:NAME``, or a section ``model`` with more said.
        only: of :data:`PARTS`; default: all that the model has.
        filters: layers whose filters are drawn; default: the first that has any.
        maps: layers whose feature maps are drawn; default: eight, evenly over the depth.
        layer, channels, at, directions, recipe, size, steps, seed: what pictures are drawn to answer to, and how, see
            :func:`stages.look.maximising.maximise`; default: the first 64 channels at two thirds of the depth.
        classes: whose logits are climbed; default: the three most probable of each image, at most eight in all; of a
            model of quantities the first eight.
        scaled: each ``channel`` of a map on a scale of its own, or all channels on the ``layer``'s.
        crop, crop_share, interpolation, antialias: as in the section `images`; default: as the model's own preprocessor
            does, else its middle.
        levels: what is black and white (or white alone) in images of more than 8 bits a channel.
        rejected: called with (uri, reason) for an image that cannot be used; without it, that is an error.

    Raises:
        UserError: no such image, model, layer or part; one line.
    """
    from activation_atlas.stages.vision.model import open_model

    asked = None if only is None else listed(only)
    if unknown := [part for part in asked or () if part not in PARTS]:
        raise UserError(f"only {unknown[0]!r}: choose {', '.join(PARTS)}")
    if scaled not in get_args(Scale):
        raise UserError(f"scaled {scaled!r}: choose {' or '.join(get_args(Scale))}")
    shown_as = shown_images(
        crop=crop, crop_share=crop_share, interpolation=interpolation, antialias=antialias, levels=levels
    )
    spec = model_spec(model)
    opened = open_model(spec)
    given = listed(images)
    shown = photographs(given, opened, shown_as, rejected) if given else []
    layers = None if maps is None else listed(maps)
    names = None if classes is None else listed(classes)
    pictures: dict[str, Any] = {"layer": layer, "channels": channels, "at": at, "directions": directions}
    pictures |= {"classes": names, "recipe": recipe, "size": size, "steps": steps, "seed": seed}
    return looked_at(spec, shown, only=asked, filters=filters, maps=layers, scaled=scaled, **pictures)


def looked_at(
    spec: ModelSpec,
    shown: Sequence[Photograph],
    *,
    only: Sequence[str] | None = None,
    filters: Sequence[str] | str | None = None,
    maps: Sequence[str] | None = None,
    layer: str | None = None,
    channels: Iterable[int] | None = None,
    at: tuple[int, int] | None = None,
    directions: Any = None,
    classes: Sequence[str] | None = None,
    recipe: Recipe = "mean",
    size: int = SIZE,
    steps: int | None = None,
    seed: int = 0,
    scaled: Scale = "channel",
    patches: Sequence[Photograph] | None = None,
) -> Look:
    """The same of photographs that were read.

    Args:
        patches: the photographs in which a channel's largest responses are sought; default: those that are shown.
    """
    from activation_atlas.stages.vision.model import open_model

    opened = open_model(spec)
    check(recipe, size, steps)
    if only is None:
        only = [part for part in PARTS if part != "attention" or (shown and attends(opened))]
    drawn = learned_filters(spec, filters) if "filters" in only else Shown[Filters]()
    seen = maps_of(shown, opened, maps, scaled) if "maps" in only else Shown[FeatureMaps]()
    heads = attention_of(shown, opened) if "attention" in only else Shown[AttentionMaps]()
    how = (recipe, shown if patches is None else patches, size, steps, seed)
    best: Iterable[int] = range(len(opened.classes))
    if opened.kind != "quantity":
        best = dict.fromkeys(one.best(3)[rank] for rank in range(min(3, len(opened.classes))) for one in shown)
    names = [str(k) for k in best][:CLASSES] if classes is None else classes
    made = []
    if "channels" in only:
        made.append(maximised(spec, layer, channels, at, directions, None, *how))
    if "classes" in only and names:
        made.append(maximised(spec, None, None, None, None, names, *how))
    return Look(opened.name, opened.classes, shown, drawn, seen, heads, Shown(made))
