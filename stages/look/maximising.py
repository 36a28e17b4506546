"""Pictures drawn to make channels, neurons, directions or classes answer: what is asked, and how they are drawn."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from activation_atlas.stages.look import wanted
from activation_atlas.stages.look.maximised import Maximised, Recipe
from activation_atlas.stages.look.patches import of_photographs
from activation_atlas.stages.look.photographs import Photograph, photographs
from activation_atlas.stages.origin import model_spec, shown_images
from activation_atlas.stages.specs import ModelSpec, listed
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.colours import PHOTOGRAPHS, colour_root
from activation_atlas.stages.vision.images import Crop, Interpolation

if TYPE_CHECKING:
    from activation_atlas.stages.vision.featurevis.optimise import ActivationMaximization

SIZE, STEPS, BATCH = 96, 256, 32
_MARGIN, _SHIFT = 1 / 6, 1 / 8  # of the side: grey around a picture while it is drawn, and how far it is shifted


def maximise(
    model: ModelSpec | Mapping[str, Any] | str | os.PathLike[str],
    layer: str | None = None,
    channels: Iterable[int] | None = None,
    *,
    at: tuple[int, int] | None = None,
    directions: Any = None,
    classes: Sequence[str] | str | None = None,
    recipe: Recipe = "mean",
    images: Sequence[str | os.PathLike[str]] | str | os.PathLike[str] = (),
    crop: Crop | None = None,
    crop_share: float | None = None,
    interpolation: Interpolation | None = None,
    antialias: bool | None = None,
    size: int = SIZE,
    steps: int | None = None,
    seed: int = 0,
) -> Maximised:
    """Draws pictures that make a network answer (Erhan et al. 2009); a notebook shows them.

    Args:
        model: a file, ``application:NAME``, ``preset:NAME``, or a section ``model`` with more said.
        layer: whose; default: one at two thirds of the depth.
        channels: numbers; default: the first 64.
        at: (row, column) of the map: the channels' neurons there, in place of the middle.
        directions: in place of channels: an array (C,) or (n, C) of the layer's activations, or a ``.npy`` file.
        classes: in place of a layer: names or indices of classes, whose logits are climbed, or of quantities.
        recipe: see :data:`Recipe`.
        images: files, folders or globs: the patches that excite each channel most stand beside it.
        size: side of a picture, pixels; the model's own where it takes no other, and always with the textbook's recipe.
        steps: default: 256, of the textbook's recipe 30.
        seed: of the noise that is begun with.

    Raises:
        UserError: no such model, layer, channel, position or class, or a direction of another length.
    """
    from activation_atlas.stages.vision.model import open_model

    spec = model_spec(model)
    shown_as = shown_images(crop=crop, crop_share=crop_share, interpolation=interpolation, antialias=antialias)
    opened = open_model(spec)
    check(recipe, size, steps)
    given = listed(images)
    shown = photographs(given, opened, shown_as) if given else []
    names = None if classes is None else listed(classes)
    return maximised(spec, layer, channels, at, directions, names, recipe, shown, size, steps, seed)


def check(recipe: str, size: int, steps: int | None) -> None:
    """Refuses what cannot be drawn.

    Raises:
        UserError: no such recipe, too few pixels or steps.
    """
    if recipe not in get_args(Recipe):
        raise UserError(f"recipe {recipe}: choose {', '.join(get_args(Recipe))}")
    if size < 8:
        raise UserError(f"size {size}: give at least 8 pixels")
    if steps is not None and steps < 1:
        raise UserError(f"steps {steps}: give at least 1")


def maximised(
    spec: ModelSpec,
    layer: str | None,
    channels: Iterable[int] | None,
    at: tuple[int, int] | None,
    directions: Any,
    classes: Sequence[str] | None,
    recipe: Recipe,
    shown: Sequence[Photograph],
    size: int = SIZE,
    steps: int | None = None,
    seed: int = 0,
) -> Maximised:
    """The same of photographs that were read."""
    from activation_atlas.stages.vision.featurevis.taps import LOGITS, answer
    from activation_atlas.stages.vision.model import open_model

    opened = open_model(spec)
    if classes is not None:
        measured = opened.kind == "quantity"
        asked, layer = wanted.classes(classes, opened.classes, "output" if measured else "class"), LOGITS
    else:
        layer = _layer(opened, layer)
        about = answer(opened, layer)
        if directions is not None:
            asked = wanted.directions(directions, about.channels, layer)
        else:
            kind: Any = "channel" if at is None else "neuron"
            chosen = range(min(64, about.channels)) if channels is None else channels
            asked = wanted.channels(chosen, about.channels, layer, kind)
        if at is not None:
            wanted.neuron(at, (about.height, about.width), layer)
    if classes is not None and at is not None:
        raise UserError("at: a class has no positions; leave it out")
    vectors = np.stack([one.vector for one in asked])
    seeds = [(seed, one.index) for one in asked]
    if recipe == "textbook":
        steps = steps or 30
        pictures, answers = _textbook(spec, layer, at, steps, vectors, seeds)
    else:
        steps = steps or STEPS
        pictures, answers = _smooth(smooth(spec, layer, at, recipe, size, steps), vectors, seeds, seed)
    responses = (answers * vectors).sum(1).astype(np.float32)
    patches = of_photographs(opened, layer, shown, vectors, size)
    drawn = (pictures, responses, patches.cut, patches.best)
    return Maximised(opened.name, layer, asked, at, recipe, steps, *drawn)


def _layer(model: Any, layer: str | None) -> str:
    from activation_atlas.stages.vision.model.geometry import unplaced
    from activation_atlas.stages.vision.responses import deep

    found = layer or deep(model)
    if found is None:
        told = unplaced(model.shapes, "choose a layer, or classes")
        raise UserError(f"model {model.name}: no layer has positions{told}")
    return found


def smooth(
    spec: ModelSpec, layer: str, at: tuple[int, int] | None, recipe: Recipe, size: int = SIZE, steps: int = STEPS
) -> ActivationMaximization:
    """What draws pictures of waves, compiled for a layer and kept."""
    from activation_atlas.stages.vision.featurevis import optimise
    from activation_atlas.stages.vision.featurevis.transforms import Jitter
    from activation_atlas.stages.vision.featurevis.visualizer import open_visualizer
    from activation_atlas.stages.vision.model import open_model

    side = size + 2 * round(_MARGIN * size)
    frame = (side, side)
    tap, power = ("centre", 4.0) if recipe == "icon" else ("interior", 0.0)
    if not layer:
        tap, power = "centre", 0.0
    if at is not None:  # of the model's own map
        frame = open_model(spec).input_size
        size, tap = min(frame), f"at:{at[0]},{at[1]}"
    jitter = Jitter(shift=_SHIFT * size)
    how = optimise.Recipe(size, frame, steps, tap=tap, power=power, through=True, jitter=jitter)
    return open_visualizer(spec, layer, how, colour_root(PHOTOGRAPHS)).maximization


def _smooth(
    drawing: ActivationMaximization, vectors: np.ndarray, seeds: Sequence[tuple[int, ...]], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    pictures, answers = [], []
    for start in range(0, len(vectors), BATCH):
        some = slice(start, start + BATCH)
        icons = drawing.draw(vectors[some], seeds[some], seed)
        pictures.append(icons)
        answers.append(drawing.answer(icons, vectors[some])[0])
    return np.concatenate(pictures), np.concatenate(answers)


def _textbook(
    spec: ModelSpec,
    layer: str,
    at: tuple[int, int] | None,
    steps: int,
    vectors: np.ndarray,
    seeds: Sequence[tuple[int, ...]],
) -> tuple[np.ndarray, np.ndarray]:
    from activation_atlas.stages.vision.featurevis.plain import Plain
    from activation_atlas.stages.vision.featurevis.visualizer import open_plain
    from activation_atlas.stages.vision.model import open_model

    how = Plain(steps=steps)
    if at is not None:
        how = Plain(size=open_model(spec).input_size, steps=steps, tap=f"at:{at[0]},{at[1]}")
    return open_plain(spec, layer, how).draw(vectors, seeds)
