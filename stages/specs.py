"""The sections of a configuration that several stages share. A leaf.

Each is a pydantic model that refuses unknown keys; ``pipeline/config.py`` puts
them together and words the errors.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, field_validator, model_validator


class Spec(BaseModel):
    """Base of all sections: frozen, no unknown keys, values checked on assignment."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _paths(cls, given: Any) -> Any:
        """Paths of Python become text, as YAML has them."""
        if not isinstance(given, Mapping):
            return given
        return {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in given.items()}


class TokensSpec(Spec):
    """Where the positions of the image are in a transformer's sequences of tokens."""

    grid: tuple[int, int] = Field(description="rows and columns of the positions, which lie row after row")
    prefix: int | None = Field(
        None, ge=0, description="tokens before them, such as a class token; default: all that are no positions"
    )

    @field_validator("grid")
    @classmethod
    def _several(cls, grid: tuple[int, int]) -> tuple[int, int]:
        if min(grid) < 1 or grid[0] * grid[1] < 2:
            raise ValueError(f"{list(grid)}: give rows and columns of at least two positions")
        return grid


class ModelSpec(Spec):
    """Which classifier, and what it expects and returns. Exactly one of ``path``, ``application``, ``preset``."""

    path: str | None = Field(None, description="a .keras or .h5 file")
    application: str | None = Field(None, description="a class of keras.applications, e.g. InceptionV3")
    preset: str | None = Field(None, description="a KerasHub preset, e.g. resnet_50_imagenet")
    weights: str | None = Field("imagenet", description="for `application`: imagenet, none, or a weights file")
    range: tuple[float, float] | None = Field(
        None, description="the values the model receives for black and white; default [0, 255] or the application's own"
    )
    classes: str | list[str] | None = Field(
        None, description="class names in index order: a text or JSON file, or a list"
    )
    output: Literal["auto", "logits", "probabilities"] = Field(
        "auto",
        description="what the model returns: logits (scores of any size), probabilities (of classes that exclude one "
        "another, or of each by itself), or auto: found by what its end computes, and proved on noise",
    )
    input_size: int | tuple[int, int] | None = Field(
        None, description="height and width, where the model leaves them free"
    )
    tokens: TokensSpec | None = Field(
        None,
        description="[rows, columns] of the positions in a transformer's sequences of tokens, or {grid, prefix}, where "
        "they are not found",
    )

    @field_validator("tokens", mode="before")
    @classmethod
    def _grid(cls, tokens: Any) -> Any:
        return {"grid": tokens} if isinstance(tokens, (list, tuple)) else tokens

    @field_validator("classes", mode="before")
    @classmethod
    def _texts(cls, classes: Any) -> Any:
        wrong = (
            next((name for name in classes if not isinstance(name, str)), None) if isinstance(classes, list) else None
        )
        if wrong is not None:  # which may have been 007, or no
            raise ValueError(f"YAML reads {wrong!r}, which is no text: put every name in quotes, e.g. ['1', 'no']")
        return classes

    @model_validator(mode="after")
    def _one_origin(self) -> ModelSpec:
        if sum(x is not None for x in (self.path, self.application, self.preset)) != 1:
            raise ValueError("give exactly one of path, application, preset")
        if self.application is None and self.weights not in (None, "none", "imagenet"):
            raise ValueError("weights is for application; leave it out, or give application")
        if self.range is not None and self.range[0] == self.range[1]:
            raise ValueError(f"range: {self.range[0]:g} stands for black and for white; give two values, e.g. [-1, 1]")
        return self


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
    crop: Literal["center", "none", "pad"] = Field(
        "center", description="to the model's shape: cut to the middle, squeeze, or pad with grey"
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
        return self


def black_and_white(levels: Sequence[float] | float | None) -> tuple[float, float] | None:
    """The values that are black and white, where white alone may be given.

    Raises:
        ValueError: they are the same, or not finite.
    """
    if levels is None:
        return None
    black, white = levels if isinstance(levels, Sequence) else (0.0, levels)
    if not (math.isfinite(black) and math.isfinite(white) and black != white):
        raise ValueError(f"{black:g} and {white:g} cannot be black and white; give two values: [0, 4095]")
    return float(black), float(white)


PositiveInt = Annotated[int, Field(gt=0)]


# A fingerprint holds what a stage's params are serialised to.


def _opened(spec: ModelSpec) -> dict[str, Any]:
    """Where a file lies is no part of what it holds, which the runner hashes; of many names one hash says enough."""
    told = spec.model_dump(mode="json", exclude={"path"})
    return {**told, "classes": hashlib.sha256(json.dumps(told["classes"]).encode()).hexdigest()}


def _read(spec: ImagesSpec) -> dict[str, Any]:
    """What an image is and how it is cut decides what comes of it; where it came from does not."""
    return spec.model_dump(mode="json", include={"resize", "crop", "levels", "max_pixels"})


def _listed(spec: ImagesSpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", exclude={"storage_options", "resize", "crop", "levels"})


OpenedModel = Annotated[ModelSpec, PlainSerializer(_opened)]
"""Of a stage that opens the model."""

ReadImages = Annotated[ImagesSpec, PlainSerializer(_read)]
"""Of a stage that reads the images of the `images` table."""

ListedImages = Annotated[ImagesSpec, PlainSerializer(_listed)]
"""Of the stage that lists the source."""


class ViewSpec(Spec):
    """Which activations belong to an atlas; the default is all of a layer."""

    name: str = Field(description="what the atlas is called; it names folders")
    layer: str = Field(description="a layer that `activation-atlas layers MODEL` lists")
    images: bool = Field(False, description="one row per image: spatially pooled features")
    class_: str | None = Field(None, alias="class", description="only activations that argue for this class")
    keep: Literal["winner", "top"] = Field(
        "top",
        description="of a class: the `rows` that argue for it most and most clearly beside the other classes, or all "
        "that argue for it above all others",
    )
    pair: tuple[str, str] | None = Field(None, description="two classes: what argues for one against the other")
    rows: PositiveInt = Field(1000, description="of a class with keep: top, or of each of a pair: how many activations")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _one_filter(self) -> ViewSpec:
        if sum((self.class_ is not None, self.pair is not None, self.images)) > 1:
            raise ValueError("give at most one of class, pair, images")
        return self

    @property
    def rows_table(self) -> str:
        """The table this view's vectors come from."""
        return ("features/" if self.images else "activations/") + folder(self.layer)

    @property
    def vector_column(self) -> str:
        """The column of :attr:`rows_table` that holds the vector."""
        return "features" if self.images else "activation"


def folder(layer: str) -> str:
    """A layer's path as a folder name: ``/`` becomes ``__``."""
    return layer.replace("/", "__")


def slug(name: str) -> str:
    """A name as part of a file name: ASCII letters, digits, ``.``, ``_`` and ``-``; never empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "atlas"


def listed(given: Any) -> list[Any]:
    """One, or several: a text, a path, a mapping or a section is one."""
    one = isinstance(given, (str, os.PathLike, Mapping, BaseModel)) or not isinstance(given, Iterable)
    return [given] if one else list(given)


def near(name: str, known: Sequence[str], count: int = 3) -> list[str]:
    """The names that may have been meant, at most ``count``, the nearest first; empty where none is near.

    Near is a name whose letters and digits, whatever their case and the signs between them, are alike in two of three
    (``difflib``'s ratio of at least 0.65, and within 0.1 of the best), or one that has all words asked for
    (of a path: of its end): ``conv_1`` in ``backbone/conv_1``, ``retriever`` in ``golden retriever``.
    """
    asked, words = _letters(name), f" {_words(name.rsplit('/', 1)[-1])} "
    plain: dict[str, str] = {}
    for other in known:
        plain.setdefault(_letters(other), other)
    alike = difflib.get_close_matches(asked, list(plain), count, 0.65)
    ratios = [difflib.SequenceMatcher(None, other, asked).ratio() for other in alike]
    alike = [plain[other] for other, ratio in zip(alike, ratios, strict=True) if ratio > max(ratios) - 0.1]
    within = [other for other in plain.values() if words in f" {_words(other)} "]
    return list(dict.fromkeys([*within, *alike]))[:count] if asked else []


def near_file(name: str, beside: Sequence[str]) -> str:
    """The file that may have been meant, as :func:`near` of its name without the ending; "" where none is near."""
    stems = {os.path.splitext(other)[0]: other for other in beside}
    return next((stems[stem] for stem in near(os.path.splitext(name)[0], list(stems), 1)), "")


def _letters(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def _words(name: str) -> str:
    return " ".join(re.split(r"[\W_]+", name.casefold())).strip()


def meant(name: str, known: Sequence[str]) -> str:
    """What to say to somebody who gave an unknown name: what may have been meant, or else what there is."""
    if found := near(name, known):
        return f"did you mean {' or '.join(found)}?"
    if not known:
        return "there is none"
    return f"there {'is' if len(known) == 1 else 'are'} {', '.join(known[:5])}{', ...' if len(known) > 5 else ''}"


def nearest(name: str, known: Sequence[str], what: str) -> str:
    """``name`` where it is known; else a ValueError that says what is near, or what there is."""
    if name in known:
        return name
    raise ValueError(f"unknown {what} {name!r}; {meant(name, known)}")
