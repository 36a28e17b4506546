"""From a model's description to a Keras model, the values it expects and its class names."""

from __future__ import annotations

import logging
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from activation_atlas.stages.classes import classes_of, read_classes
from activation_atlas.stages.saved import description, folder
from activation_atlas.stages.specs import ModelSpec, meant, near_file, standardisation
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tasks import task_named
from activation_atlas.stages.vision.model import keras2, keras_adapter, unreadable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """A Keras model and what it brings along.

    Attributes:
        prepare: takes pixels in [0, 255] to its own range.
        classes: its own class names, if it has any.
        images: how its own preprocessor brings images to its size, as keys of the section `images`; empty without one.
        size: to which that brings them, (height, width), if it does.
    """

    name: str
    keras: keras.Model
    prepare: Callable[[tf.Tensor], tf.Tensor]
    classes: list[str] | None = None
    images: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] | None = None


def load(spec: ModelSpec) -> Loaded:
    """Loads what a model section describes.

    Raises:
        UserError: no such file or class, or it cannot be loaded; one line.
    """
    keras_adapter.check_versions()
    if spec.path:
        loaded = _file(spec)
    elif spec.application:
        loaded = _application(spec)
    else:
        loaded = _preset(spec)
    if spec.head is not None:
        loaded = replace(loaded, keras=_with_output(loaded.keras, spec.head, f"model {loaded.name}"))
    prepare = loaded.prepare
    if any(given is not None for given in (spec.range, spec.mean, spec.std)):
        prepare = _standardised(spec)
    if spec.channels == "bgr":
        return replace(loaded, prepare=lambda x: prepare(x[..., ::-1]))
    return replace(loaded, prepare=prepare)


def _with_output(model: keras.Model, name: str, where: str) -> keras.Model:
    """The part of a model that makes one of its outputs."""
    if keras_adapter.graph(model) is None:
        return model  # which is refused for another reason
    known = keras_adapter.output_names(model)
    if name not in known:
        told = f"its output{'s are' if len(known) > 1 else ' is'} {', '.join(known)}"
        raise UserError(f"model.output: {name} is neither auto, logits, probabilities nor an output of {where}; {told}")
    return model if len(known) == 1 else keras.Model(model.inputs, model.outputs[known.index(name)], name=model.name)


def _standardised(spec: ModelSpec) -> Callable[[tf.Tensor], tf.Tensor]:
    """Pixels in [0, 255] -> (the same in ``range`` - mean) / std."""
    (low, high), mean, std = standardisation(spec.range, spec.mean, spec.std)

    def prepare(x: tf.Tensor) -> tf.Tensor:
        x = x * ((high - low) / 255.0) + low
        return (
            x
            if spec.mean is None and spec.std is None
            else (x - tf.constant(mean, x.dtype)) / tf.constant(std, x.dtype)
        )

    return prepare


def class_names(spec: ModelSpec, own: list[str] | None, count: int, where: str) -> list[str]:
    """The names of a model's ``count`` classes: as given, or the model's own, or ``class 0`` (``output 0``) and so on.

    Raises:
        UserError: the list cannot be read, or is not as long as the model's output.
    """
    found = classes_of(spec.classes)
    given = None if found is None else found.names
    if given is None:
        return own if own is not None and len(own) == count else task_named(spec.task).unnamed(count)
    if len(given) != count:
        of, one = ("numbers", "number") if task_named(spec.task).measured else ("classes", "class")
        mismatch = f"{len(given)} names for {where}, which returns {count} {of}"
        raise UserError(f"model.classes: {mismatch}; give one name per {one}")
    return given


def _one_line(error: BaseException) -> str:
    host = re.search(r"host=['\"]([\w.-]+)", str(error))
    if host and isinstance(error, OSError):
        return f"no connection to {host[1]}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:240].rstrip(".")


def _file(spec: ModelSpec) -> Loaded:
    path = Path(spec.path)
    if not path.exists():
        beside = [p.name for p in sorted(path.parent.glob("*")) if p.suffix in (".keras", ".h5")]
        near = near_file(path.name, beside)
        raise UserError(f"model.path: {path} does not exist" + (f"; did you mean {near}?" if near else ""))
    if path.is_dir():
        raise UserError(f"model.path: {path} {folder(str(path))}")
    if path.suffix not in (".keras", ".h5", ".hdf5") or path.name.endswith(".weights.h5"):
        raise UserError(f"model.path: {path} must be a whole model saved as .keras or .h5 (model.save('model.keras'))")
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):  # Keras would say that there is no such file
        raise UserError(f"model.path: {path} cannot be loaded: damaged, or not saved by Keras; copy or save it again")
    saved = description(str(path))
    try:
        model = _keras3(str(path)) if saved is None or not saved.old else keras2.load(saved)
    except Exception as error:
        raise UserError(f"model.path: {path} {unreadable.why(str(path), saved, error)}") from None
    if spec.input_size and isinstance(model, keras.Sequential) and not model.built:
        size = spec.input_size if isinstance(spec.input_size, tuple) else (spec.input_size, spec.input_size)
        model.build((None, *size, 3))
    return _with_preprocessor(path.name, model)


def _keras3(path: str) -> keras.Model:
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def _application(spec: ModelSpec) -> Loaded:
    name = spec.application
    known = [n for n in dir(keras.applications) if n[0].isupper()]
    if name not in known:
        raise UserError(f"model.application: keras.applications has no {name}; {meant(name, known)}")
    build = getattr(keras.applications, name)
    weights = None if spec.weights in (None, "none", "None") else spec.weights
    size = spec.input_size
    size = (size, size) if isinstance(size, int) else size
    options = {"input_shape": (*size, 3)} if size else {}
    if weights not in (None, "imagenet") and isinstance(spec.classes, list):
        options["classes"] = len(spec.classes)
    try:
        model = build(weights=weights, **options)
    except Exception as error:
        reason = _one_line(error)
        raise UserError(f"model.application: {name} with weights {weights} cannot be built ({reason})") from None
    own = _imagenet_names() if weights == "imagenet" else None
    return Loaded(name, model, keras_adapter.preprocessing(build), own)


def _imagenet_names() -> list[str] | None:
    """Names behind ``decode_predictions``; those of two classes of one name carry their WordNet id."""
    try:
        path = keras.utils.get_file(
            "imagenet_class_index.json",
            keras_adapter.imagenet_index_url(),
            cache_subdir="models",
            file_hash="c2c37ea517e94d9795004a39431a14cb",
        )
    except Exception as error:
        log.warning("class names of ImageNet could not be fetched (%s): classes are numbered", _one_line(error))
        return None
    return read_classes(path).names


def _preset(spec: ModelSpec) -> Loaded:
    try:
        import keras_hub
    except ImportError:
        raise UserError(f"model.preset: {spec.preset} needs KerasHub: pip install 'activation-atlas[hub]'") from None
    classifier, known = keras_hub.models.ImageClassifier, list(keras_hub.models.ImageClassifier.presets)
    if spec.preset not in known and "/" not in spec.preset and not Path(spec.preset).exists():
        raise UserError(f"model.preset: KerasHub has no image classifier {spec.preset}; {meant(spec.preset, known)}")
    try:
        task = classifier.from_preset(spec.preset)
    except Exception as error:
        raise UserError(
            f"model.preset: {spec.preset} cannot be fetched, or loaded ({_one_line(error)}); without a network, save "
            "it where there is one (task.save('model.keras')) and give that as model.path"
        ) from None
    return _with_preprocessor(spec.preset, task)


def _with_preprocessor(name: str, model: keras.Model) -> Loaded:
    """A model with what the preprocessor of a KerasHub task does to images; of any other model, nothing."""
    converter = getattr(getattr(model, "preprocessor", None), "image_converter", None)
    if converter is None:
        return Loaded(name, model, lambda x: x)
    scale, offset = converter.scale, converter.offset

    def prepare(x: tf.Tensor) -> tf.Tensor:
        # Images arrive at the model's size already: only the values are left to convert.
        return x * (1.0 if scale is None else scale) + (0.0 if offset is None else offset)

    size = converter.image_size
    if size is None:
        return Loaded(name, model, prepare)
    crop = "center" if converter.crop_to_aspect_ratio else "pad" if converter.pad_to_aspect_ratio else "none"
    images = {
        "crop": crop,
        "interpolation": _FILTERS.get(converter.interpolation),
        "antialias": bool(converter.antialias),
    }
    if images["interpolation"] is None:
        log.warning("%s resizes by %s, which is not known here: bilinear is taken", name, converter.interpolation)
    if crop == "pad":
        images["fill"] = round(getattr(converter.resizing, "fill_value", 0.0))
    told = {key: value for key, value in images.items() if value is not None}
    return Loaded(name, model, prepare, None, told, (int(size[0]), int(size[1])))


_FILTERS = {"bilinear": "bilinear", "bicubic": "bicubic", "nearest": "nearest", "lanczos3": "lanczos"}
"""Keras's names of interpolations, and ours."""
