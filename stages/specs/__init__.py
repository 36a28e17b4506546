"""The sections of a configuration that several stages share. A leaf.

Each is a pydantic model that refuses unknown keys; ``pipeline/config.py`` puts
them together and words the errors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, PlainSerializer, field_validator, model_validator

from activation_atlas.stages.specs.spec import Grown, PositiveInt, Spec, listed
from activation_atlas.stages.specs.values import Texts, black_and_white, standardisation, texts
from activation_atlas.stages.specs.views import ViewSpec, folder, slug
from activation_atlas.stages.spelling import meant, near, near_file, nearest

__all__ = [
    "COLOURS",
    "Grown",
    "ImagesSpec",
    "ListedImages",
    "ModelSpec",
    "OpenedModel",
    "OutputSpec",
    "PositiveInt",
    "ReadImages",
    "Returns",
    "Spec",
    "Texts",
    "ViewSpec",
    "black_and_white",
    "folder",
    "listed",
    "meant",
    "near",
    "near_file",
    "nearest",
    "slug",
    "standardisation",
]

COLOURS = ("range", "mean", "std", "channels")
"""Keys of the section `model` that say what values the network takes."""

Returns = Literal["auto", "logits", "probabilities"]


class OutputSpec(Spec):
    """Which of a model's outputs is read, and what it returns."""

    name: str = Field(description="of the output: its layer's name")
    returns: Returns = Field("auto", description="auto, logits or probabilities, as for a model of one output")


Probability = Annotated[float, Field(gt=0, lt=1)]


class ModelSpec(Spec):
    """Which classifier, and what it expects and returns. Exactly one of ``path``, ``application``, ``preset``, or
    ``tables`` in its place."""

    path: str | None = Field(None, description="a .keras or .h5 file")
    application: str | None = Field(None, description="a class of keras.applications, e.g. InceptionV3")
    preset: str | None = Field(None, description="a KerasHub preset, e.g. resnet_50_imagenet")
    tables: str | None = Field(
        None, description="in place of a model: a folder of tables that another framework wrote (aa.TableWriter)"
    )
    weights: str | None = Field("imagenet", description="for `application`: imagenet, none, or a weights file")
    range: tuple[float, float] | None = Field(
        None, description="the values the model receives for black and white; default [0, 255] or the application's own"
    )
    mean: float | list[float] | None = Field(
        None,
        description="taken off each channel, in the model's order of them: of values in `range`, or without that in "
        "[0, 1] where mean and std are at most 1, else in [0, 255]",
    )
    std: float | list[float] | None = Field(
        None, description="what each channel is then divided by, of the same values; default 1"
    )
    channels: Literal["rgb", "bgr"] | None = Field(
        None, description="the order of colours that the model takes; bgr with a mean in [0, 255] is Caffe's"
    )
    classes: str | list[str] | None = Field(
        None, description="class names in index order: a text or JSON file, or a list"
    )
    output: Returns | str | OutputSpec = Field(
        "auto",
        description="what the model returns: logits (scores of any size), probabilities (of classes that exclude one "
        "another, or of each by itself), or auto: found by what its end computes, and proved on noise; of a model of "
        "several outputs the name of one, or {name: head_b, returns: logits}",
    )
    task: Literal["auto", "classes", "labels", "quantities"] = Field(
        "auto",
        description="what is asked of an image: one of the classes, several labels (sigmoids, each by itself), or "
        "quantities (regression); auto: labels where images have lists of them, else classes",
    )
    threshold: Probability | dict[str, Probability] = Field(
        0.5, description="of several labels: predicted from this probability on; one for all, or {class: its own}"
    )
    input_size: int | tuple[int, int] | None = Field(
        None, description="height and width, where the model leaves them free"
    )
    tokens: tuple[PositiveInt, PositiveInt] | tuple[PositiveInt, PositiveInt, int] | None = Field(
        None, description="rows and columns of a transformer's tokens, and how many lie before them, if not found"
    )

    @field_validator("classes", mode="before")
    @classmethod
    def _texts(cls, classes: Any) -> Any:
        return texts(classes)

    @model_validator(mode="after")
    def _one_origin(self) -> ModelSpec:
        if sum(x is not None for x in (self.path, self.application, self.preset, self.tables)) != 1:
            raise ValueError("give exactly one of path, application, preset, tables")
        if self.application is None and self.weights not in (None, "none", "imagenet"):
            raise ValueError("weights is for application; leave it out, or give application")
        if self.range is not None and self.range[0] == self.range[1]:
            raise ValueError(f"range: {self.range[0]:g} stands for black and for white; give two values, e.g. [-1, 1]")
        standardisation(self.range, self.mean, self.std)
        return self

    @property
    def returns(self) -> Returns:
        """What the output is: ``auto``, ``logits`` or ``probabilities``."""
        if isinstance(self.output, OutputSpec):
            return self.output.returns
        return next((known for known in get_args(Returns) if known == self.output), "auto")

    @property
    def head(self) -> str | None:
        """The name of the output that is read, of a model of several; None where none is named."""
        if isinstance(self.output, OutputSpec):
            return self.output.name
        return None if self.output in get_args(Returns) else self.output


class ImagesSpec(Spec):
    """Where the images come from and how they are brought to the model's size."""

    path: str = Field(
        description="folder (flat, or of class folders), table of paths, Parquet of {bytes, path}; any fsspec URL"
    )
    labels: str | None = Field(None, description="CSV or Parquet with a path column and a label column, for a folder")
    image_column: str | None = Field(
        None, description="default: image, path, file, filename or uri, whichever is there"
    )
    label_column: str | None = Field(None, description="default: label, class or target, whichever is there")
    label_columns: list[str] | None = Field(
        None,
        min_length=1,
        description="several columns: a class each, of 0 and 1; or of names, all of which an image is of; or numbers, "
        "for model.task: quantities",
    )
    labels_are: Literal["names", "indices"] | None = Field(
        None, description="default: names of classes, or indices where these fit more of the labels"
    )
    first_label: int | None = Field(
        None, description="the number of the first class; default: 0, or 1 where labels run from 1 to K"
    )
    split: str | None = Field(None, description="keep only rows whose split column has this value")
    limit: int | None = Field(None, gt=0, description="keep the first n images (in the order of their ids)")
    storage_options: dict[str, Any] = Field(default_factory=dict, description="passed to fsspec")
    resize: int | tuple[int, int] | None = Field(
        None, description="side, or height and width; default: the model's own"
    )
    crop: Literal["center", "none", "pad"] | None = Field(
        None,
        description="to the model's shape: center cuts to the middle, none squeezes, pad adds grey; default: as the "
        "model's own preprocessor does, else center",
    )
    crop_share: float | None = Field(
        None,
        gt=0,
        le=1,
        description="of the sides of the largest middle cut, the share that is taken: 0.875 where the shorter side was "
        "resized to 256 and 224 cut out; default 1",
    )
    interpolation: Literal["bilinear", "bicubic", "lanczos", "nearest"] | None = Field(
        None, description="of the resizing; default: as the model's own preprocessor does, else bilinear"
    )
    antialias: bool | None = Field(
        None,
        description="whether the resizing filter grows with the image; default: as the model's own preprocessor does, "
        "else true",
    )
    fill: int | None = Field(
        None,
        ge=0,
        le=255,
        description="the grey that `crop: pad` adds, 0 black and 255 white; default: as the model's own preprocessor "
        "does, else 128",
    )
    levels: tuple[float, float] | float | None = Field(
        None,
        description="the values that are black and white (or white alone) in images of more than 8 bits a channel; "
        "default: 0 and 65535 of 16 bits, 0 and 1 or 255 where all values lie within, else each image's own",
    )
    max_pixels: int = Field(178_956_970, gt=0, description="larger images are rejected unread (decompression bombs)")

    @field_validator("levels", mode="before")
    @classmethod
    def _numbers(cls, levels: Any) -> Any:
        if isinstance(levels, bool):
            raise ValueError(f"{str(levels).lower()} is no value; give black and white, e.g. [0, 4095]")
        return levels

    @field_validator("levels", mode="after")
    @classmethod
    def _black_and_white(cls, levels: tuple[float, float] | float | None) -> tuple[float, float] | None:
        return black_and_white(levels)

    @model_validator(mode="after")
    def _one_reading(self) -> ImagesSpec:
        if self.first_label is not None and self.labels_are == "names":
            raise ValueError("first_label is for labels that are indices; leave it out, or labels_are: names")
        if self.crop_share is not None and self.crop in ("none", "pad"):
            raise ValueError(f"crop_share is for crop: center; with crop: {self.crop} leave it out")
        if self.fill is not None and self.crop not in (None, "pad"):
            raise ValueError(f"fill is for crop: pad; with crop: {self.crop} leave it out")
        if self.label_columns is not None and self.label_column is not None:
            raise ValueError("label_column and label_columns: give one of them")
        return self

    def settled(self, brought: Mapping[str, Any]) -> ImagesSpec:
        """With what a model brings along for ``crop``, ``fill``, ``interpolation`` and ``antialias``, where nothing is
        given."""
        own = {key: value for key, value in brought.items() if getattr(self, key) is None}
        if self.crop_share is not None:
            own.pop("crop", None)
        return self.model_copy(update=own) if own else self


# A fingerprint holds what a stage's params are serialised to.


def _opened(spec: ModelSpec) -> dict[str, Any]:
    """Where a file lies is no part of what it holds, which the runner hashes; of many names one hash says enough."""
    told = spec.model_dump(mode="json", exclude={"path", "tables"})
    for newer in ("task", "threshold"):  # runs that were made before them are still current
        if told[newer] == ModelSpec.model_fields[newer].default:
            del told[newer]
    return {**told, "classes": hashlib.sha256(json.dumps(told["classes"]).encode()).hexdigest()}


_FITTING = {"resize", "crop", "crop_share", "fill", "interpolation", "antialias", "levels"}


def _read(spec: ImagesSpec) -> dict[str, Any]:
    """What an image is and how it is cut decides what comes of it; where it came from does not."""
    newer = () if spec.fill is not None else ("fill",)
    return spec.model_dump(mode="json", include={"max_pixels", *_FITTING.difference(newer)})


def _listed(spec: ImagesSpec) -> dict[str, Any]:
    newer = () if spec.label_columns else ("label_columns",)
    return spec.model_dump(mode="json", exclude={"storage_options", *newer, *_FITTING})


OpenedModel = Annotated[ModelSpec, PlainSerializer(_opened)]
"""Of a stage that opens the model."""

ReadImages = Annotated[ImagesSpec, PlainSerializer(_read)]
"""Of a stage that reads the images of the `images` table."""

ListedImages = Annotated[ImagesSpec, PlainSerializer(_listed)]
"""Of the stage that lists the source."""
