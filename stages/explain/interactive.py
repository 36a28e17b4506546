"""Images explained at once, without a run: for the command ``explain``, for Python and for notebooks.

from activation_atlas.stages.explain.interactive import explain_images

for image in explain_images(["dog.jpg"], "model.keras", ["grad_cam", "occlusion"], ["predicted", "second"]):
    for one in image.maps:
        print(image.name, one.variant, one.name, one.probability)
        picture = image.picture(one)  # uint8 RGB, as large as the photograph
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from activation_atlas.stages.classes import class_index, thresholds
from activation_atlas.stages.explain.configured import warnings
from activation_atlas.stages.explain.explained import Explained, Map
from activation_atlas.stages.explain.given import stamp, where
from activation_atlas.stages.explain.targets import check, resolve
from activation_atlas.stages.feed import Feed, at_size, upright
from activation_atlas.stages.feed.given import files, spelled
from activation_atlas.stages.feed.regions import Regions, found_for, regions_of
from activation_atlas.stages.methods import METHODS, MethodSpec, Options
from activation_atlas.stages.origin import model_spec, shown_images
from activation_atlas.stages.sources import image_id
from activation_atlas.stages.specs import ImagesSpec, ModelSpec, black_and_white, listed
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tables.flags import flag_of
from activation_atlas.stages.tasks import log_odds, task_named
from activation_atlas.stages.vision.images import Crop, Fit, ImageError, Interpolation, measure
from activation_atlas.stages.vision.levels import told
from activation_atlas.stages.vision.place import Place

__all__ = ["Explained", "Map", "explain_images", "files"]

log = logging.getLogger(__name__)


def explain_images(
    images: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    model: ModelSpec | Mapping[str, Any] | str | os.PathLike[str],
    methods: Sequence[Options | dict[str, Any] | str] | Options | dict[str, Any] | str = ("grad_cam",),
    targets: Sequence[str] | str = ("predicted",),
    label: str | None = None,
    crop: Crop | None = None,
    seed: int = 0,
    batch: int = 16,
    rejected: Callable[[str, str], object] | None = None,
    levels: tuple[float, float] | float | None = None,
    crop_share: float | None = None,
    interpolation: Interpolation | None = None,
    antialias: bool | None = None,
) -> list[Explained]:
    """Maps of images, which are held in memory together.

    Args:
        images: files, folders, globs, or URIs as in the table ``images``.
        model: a file, ``application:NAME``, ``preset:NAME``, or a section ``model`` with more said.
        methods: names, or options as in a configuration; one, or several.
        targets: predicted, label, missed, false, second, rank:K, top:K, a class's name, or its index as text;
            one, or several.
        label: the class that the images show, for the target ``label``; its name, or its index as text.
        crop: ``center``, ``none`` (squashed) or ``pad``; default: as the model's own preprocessor does, else center.
        rejected: called with (uri, reason) for an image that cannot be used; without it, that is an error.
        levels: what is black and white (or white alone) in images of more than 8 bits a channel.
        crop_share, interpolation, antialias: as in the section `images`.

    Returns:
        The images that could be used, in the order given.

    Raises:
        UserError: no such model, method, layer, target, crop or image; one line.
    """
    from activation_atlas.stages.vision.attribution.methods import explainer
    from activation_atlas.stages.vision.model import open_model
    from activation_atlas.stages.vision.model.scaling import contradiction

    spec = model_spec(model)
    chosen = [_options(method) for method in listed(methods)]
    targets = [_class("target", target) for target in listed(targets)]
    label = None if label is None else _class("label", label)
    uris = files(listed(images))
    fit = {"crop": crop, "crop_share": crop_share, "interpolation": interpolation, "antialias": antialias}
    shown = shown_images(levels=levels, **fit)
    opened = open_model(spec)
    chosen = [options.at(opened.input_size) for options in chosen]
    if opened.ending.remark:
        log.warning("%s", opened.ending.remark)
    if wrong := contradiction(opened, spec):
        log.warning("; ".join(wrong))
    classes = opened.classes
    task = task_named(spec.task)
    check(targets, classes, "target", task.measured)
    if task.measured and label is not None:
        raise UserError("label: quantities are explained without one; leave it out")
    if "label" in targets and label is None:
        raise UserError("target label: nothing says what the images show; give the class as label")
    truth = None if label is None else class_index(label, classes, "label")
    explained = _read(uris, opened, shown.settled(opened.brings), truth, batch, rejected or _refuse)
    least = log_odds(thresholds(spec.threshold, classes))
    explained = [replace(one, task=task) for one in explained]
    asked = [_targets(one, targets, truth, least) for one in explained]
    for options in chosen if explained else ():
        method = METHODS[options.name]
        configured = method.configure(
            opened, options, lambda count: np.stack([one.pixels for one in explained[:count]])
        )
        for words in warnings(options, configured):
            log.warning(words)
        given = _given(options, explained, opened.input_size)
        background = _background(options, method.background(options), explained, seed)
        # Images with as many targets each go together: every function is compiled for one number of targets.
        for count in sorted({len(t) for t in asked} - {0}):
            explain = explainer(spec, options, configured, batch, count, seed, background, given)
            group = [k for k, t in enumerate(asked) if len(t) == count]
            for start in range(0, len(group), batch):
                some = group[start : start + batch]
                maps = explain(
                    np.stack([explained[k].pixels for k in some]),
                    np.array([list(asked[k]) for k in some], np.int32),
                    [explained[k].image_id for k in some],
                )
                for i, k in enumerate(some):
                    explained[k].maps.extend(_maps(explained[k], asked[k], options, configured, maps, i))
    return explained


def _targets(image: Explained, targets: Sequence[str], label: int | None, least: np.ndarray) -> dict[int, list[str]]:
    """What is explained of an image; of several labels none of which is reached, the likeliest."""
    task = image.task
    odds = image.logits - least.astype(np.float32) if task.several else image.logits
    truth = [label] if task.several and label is not None else label
    pred = task.predict(odds[None])[0].as_py()
    if task.several and "predicted" in targets and not pred:
        pred = [int(odds.argmax())]
        log.warning("%s: no label reaches its threshold; the nearest is explained", image.name)
    return resolve(targets, image.logits, truth, image.classes, task, pred)


def _class(what: str, given: object) -> str:
    if isinstance(given, str):
        return given
    raise UserError(f"{what} {given}: is no text; give a class by its name, or by its index as text, such as '5'")


def _options(method: Options | dict[str, Any] | str) -> Options:
    try:
        options: Options = TypeAdapter(MethodSpec).validate_python(method)
        return options
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in ("method", *first["loc"][:2]))
        raise UserError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None


def _refuse(uri: str, reason: str) -> None:
    raise UserError(f"{uri}: {reason}")


def _read(
    uris: Sequence[str],
    model: Any,
    spec: ImagesSpec,
    label: int | None,
    batch: int,
    rejected: Callable[[str, str], object],
) -> list[Explained]:
    """The images that can be read and classified, still without maps."""
    from activation_atlas.stages.vision.predicting import predict

    levels = black_and_white(spec.levels)
    whole, small = upright(spec), at_size(spec, model.input_size, model.channels)
    feed = Feed(spec, lambda data: (whole(data), small(data), measure(data)))
    read, spans = [], []
    for uri, image in feed.stream({uri: uri for uri in uris}):
        if isinstance(image, ImageError):
            rejected(uri, image.reason)
        else:
            read.append((uri, *image[:2]))
            spans.append(image[2])
    if not read:
        return []
    option = "--levels BLACK WHITE (in Python levels=(BLACK, WHITE))"
    for message in told([span for span in spans if span is not None], levels, option):
        log.warning(message)
    logits, probabilities = predict(model, np.stack([pixels for _, _, pixels in read]), batch)
    images = []
    for (uri, photo, pixels), own, shares in zip(read, logits, probabilities, strict=True):
        if np.isfinite(own).all():
            fit = Fit.of(spec)
            about = (model.name, uri, image_id(spelled(uri)), photo, pixels, fit, label, model.classes, own, shares)
            images.append(Explained(*about))
        else:
            rejected(uri, "the model gives NaN or infinite values (logits)")
    return images


def _given(options: Options, images: Sequence[Explained], size: tuple[int, int]) -> Regions | None:
    """The segments that a method is given; every image must have its own."""
    wanted = METHODS[options.name].regions(options)
    if wanted is None:
        return None
    found = found_for({one.image_id: one.uri for one in images}, wanted[0], where(options))
    if bare := [one.uri for one in images if one.image_id not in found]:
        raise UserError(f"{where(options)}: {wanted[0]} holds no PNG file for {bare[0]}; name it like the image")
    given = regions_of(wanted, found, stamp(options), images[0].fit, size)
    assert given is not None
    for one in images:
        try:
            given(one.image_id, one.photo.shape[:2])
        except ImageError as error:
            raise UserError(f"{where(options)}: {one.uri}: {error.reason}") from None
    return given


def _background(options: Options, count: int, images: Sequence[Explained], seed: int) -> np.ndarray | None:
    """A seeded sample of the images themselves, where a method wants one."""
    if not count:
        return None
    if len(images) < 2:
        raise UserError(f"{options.name}: compares with other images; give two or more")
    draws = [np.random.default_rng([seed, int(one.image_id, 16)]).random() for one in images]
    return np.stack([images[k].pixels for k in np.argsort(draws, kind="stable")[:count]])


def _maps(
    image: Explained, asked: dict[int, list[str]], options: Options, configured: Any, maps: Any, row: int
) -> Iterator[Map]:
    for j, (target, kinds) in enumerate(asked.items()):
        values, score = maps.values[row, j], float(maps.scores[row, j])
        yield Map(
            options=options,
            layer=configured.get("layer"),
            target=target,
            name=image.classes[target],
            kinds=kinds,
            probability=float(image.probabilities[target]),
            score=score,
            values=values,
            place=Place.configured(configured, image.input_size),
            gap=None if maps.gap is None else float(maps.gap[row, j]),
            fit=None if maps.fit is None or np.isnan(maps.fit[row, j]) else float(maps.fit[row, j]),
            flag=flag_of(values, score, maps.idle is not None and bool(maps.idle[row, j])),
            measured=image.task.measured,
            learned=options.learned(configured),
        )
