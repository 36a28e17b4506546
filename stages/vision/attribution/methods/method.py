"""What every attribution method is declared with: configured once for a run, built once a process, called on batches.

Light to import, as all files of this folder are that declare methods: what is heavy is imported in functions, or by
:mod:`stages.vision.lazy`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
from pydantic import Field, field_validator

from activation_atlas.stages.specs import Spec
from activation_atlas.stages.vision.place import Place

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model

VARIANT = re.compile(r"[A-Za-z0-9]([\w.+-]*[\w+-])?", re.ASCII)
"""What may name a folder anywhere: Windows drops a last dot, macOS writes accents in its own way."""

GREY = 127.5
"""What stands for nothing in an image, in [0, 255], before preprocessing."""

Pair = tuple[int, int]
"""(height, width), or down and right."""

Edges = Literal["whole", "clip"]
"""Which windows there are: those inside the image, or also those that reach past its border."""


class Options(Spec):
    """Base of all methods' options. ``name`` is the method; ``as`` the variant's own name where one is used twice."""

    name: str
    as_: str | None = Field(None, alias="as", description="the variant's name, where a method is used twice")

    model_config = {**Spec.model_config, "populate_by_name": True}

    @field_validator("as_")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None and not VARIANT.fullmatch(value):
            raise ValueError(f"{value!r} must be of letters a to z, digits and . _ + - (it names a folder)")
        return value

    @property
    def variant(self) -> str:
        """Name of the table of maps: ``maps/<variant>``."""
        return self.as_ or self.name

    def at(self, size: Pair) -> Self:
        """The same with every size that was left open chosen for a model's input of ``size`` (height, width)."""
        return self

    @property
    def windows(self) -> tuple[Pair, Pair, Edges] | None:
        """Patch and stride in pixels, and :data:`Edges`, where a map's values are of windows of the input; else None.

        A pixel then has the mean of the windows over it. Needs sizes that are given, see :meth:`at`.
        """
        return None

    @property
    def inner(self) -> bool:
        """Whether maps of a method that is at home at the input have a value for each position of a layer instead."""
        return False

    def detail(self, size: Pair, stride: tuple[float, float]) -> float:
        """Pixels that the smallest thing spans which a map can tell apart, on an input of ``size``.

        Args:
            stride: pixels from one value of the map to the next, down and right.
        """
        return min(stride)

    def passes(self, size: Pair | None) -> int | str:
        """Passes through the network for one map, on an input of ``size``; in words where only the open model tells."""
        return 1

    def looks(self, configured: Configured) -> str | None:
        """Where and how finely the maps look, in words; None where that is at every pixel of the input."""
        if "layer" not in configured:
            return None
        where = f"at {configured['layer']} ({configured['height']} x {configured['width']})"
        return "; ".join(filter(None, (where, self.learned(configured))))

    def learned(self, configured: Configured) -> str | None:
        """How good what was learned for these maps is, in words; None where nothing was."""
        return None

    def measured(self, configured: Configured) -> dict[str, Any]:
        """The same in numbers, which stand in ``run.json``."""
        return {}

    def doubt(self, configured: Configured) -> str | None:
        """Why maps so configured may say little of the model, and what to do; None where nothing speaks for that."""
        return None

    def finer(self, configured: Configured) -> str:
        """What to do where a map has one position only."""
        return "give another layer" if "layer" in configured else "give a model with larger images"


class InputOrLayer(Options):
    """Methods that explain at the input, or at a layer where one is given."""

    layer: str | None = Field(None, min_length=1, description="explain at this layer; default: at the input")

    @property
    def inner(self) -> bool:
        return self.layer is not None


class AtLayer(Options):
    """Methods that explain at a layer."""

    layer: str | None = Field(None, min_length=1, description="default: the last layer that has positions")


def pair(value: int | Pair) -> Pair:
    """A side as (height, width)."""
    return (value, value) if isinstance(value, int) else tuple(value)


@dataclass(frozen=True)
class Maps:
    """Maps of n images for k targets each.

    Attributes:
        values: (n, k, height, width) float32, raw: at the method's own resolution, signed where the method is.
        scores: (n, k) float32, the targets' logits (see :meth:`Model.scores`).
        gap: (n, k) float32, for path methods: how far the map's sum is from the change of the score it should add
            up to; of FullGrad, its terms' from the score; of a head that was fitted, its logit from the model's; None
            for others.
        idle: (n, k) bool, of methods that score an image with parts of it, or channels of a layer, hidden: whether
            the score is the same whatever is hidden, so that the map shows rounding, or the masks, and nothing else;
            None for others.
        fit: (n, k) float32, of methods that fit a sum of parts' values to the scores of images with parts hidden: share
            of the variance of these scores that it predicts, see :attr:`stages.vision.attribution.additive.Worth.fit`;
            None for others.
    """

    values: np.ndarray
    scores: np.ndarray
    gap: np.ndarray | None = None
    idle: np.ndarray | None = None
    fit: np.ndarray | None = None


class Explain(Protocol):
    """A method at work: ``(pixels, targets, ids) -> maps``.

    Takes 1 <= n <= batch images: pixels uint8 (n, h, w, c) at the model's input size, targets int32 (n, k), and
    image ids, which seed whatever the method draws. A map does not depend on its companions.
    """

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps: ...


Sample = Callable[[int], np.ndarray]
"""The first n of the images to be explained, uint8 (<= n, h, w, c); read only if called."""

Configured = dict[str, Any]
"""What holds for a whole run: numbers, strings, lists, arrays. ``layer`` where there is one, ``height``, ``width``, and
``place``, where the map lies (:meth:`stages.vision.place.Place.row`)."""


@dataclass(frozen=True)
class Setting:
    """What a method is built for.

    Attributes:
        options: of the method's class, :attr:`Method.options`.
        configured: what :attr:`Method.configure` returned.
        batch: images of one call at most, and of one forward pass.
        targets: k, targets of every image.
        seed: of the run; what is drawn for an image depends on it and on the image's id alone.
        background: uint8 (m, h, w, c), images of the data, where the method asks for them.
        regions: an image's segments by its id, int32 (h, w) from 0, where the method asks for given ones.
    """

    model: Model
    options: Any
    configured: Mapping[str, Any]
    batch: int
    targets: int
    seed: int = 0
    background: np.ndarray | None = None
    regions: Callable[[str], np.ndarray] | None = None


def at_input(model: Model) -> Configured:
    """Of maps with a value for each pixel of the model's input: their size and place."""
    height, width = model.input_size
    return {"height": height, "width": width, "place": Place.whole((height, width)).row()}


def _at_input(model: Model, options: Options, sample: Sample) -> Configured:
    return at_input(model)


@dataclass(frozen=True, kw_only=True)
class Method:
    """An attribution method: all that is known of it, and the two functions that make its maps.

    The command, the configuration and its JSON Schema, the README's table, panels, the page of mistakes and the
    contract test read it; none of them names a method.

    Attributes:
        name: in configurations, of tables and of files.
        title: its name in prose.
        about: one line for those who choose a method; in the README's table.
        meaning: what a map's values say, for those who look at one. Of a method that explains at a layer where one is
            given, "each pixel" becomes "each position" of it.
        formula: in plain text. g = d logit / d what is differentiated, A_k = channel k of a layer.
        source: where the formula comes from.
        options: class of its options; its field ``name`` is a ``Literal`` of :attr:`name`.
        build: makes it ready for one setting; what is compiled is compiled here or at the first call.
        configure: decides, before any shard, what must hold for all: the layer, the size of the maps, whether a quick
            way is exact. Raises UserError for what this model cannot do.
        learn: what of the configuration is learned from images of the data, as ``configure`` learns it too: ``(model,
            options, configured, sample) -> more of configured``. ``sample`` then gives a seeded sample of all images.
            A model with other weights learns it anew.
        resolution: what a map has a value for: each position of a ``layer``, each of the ``patches`` that are a
            transformer's tokens, each pixel of the ``input`` (or each position of a layer where one was given,
            :attr:`Options.inner`), or each of the ``windows`` laid over it (:attr:`Options.windows`).
        grain: how a map looks: ``smooth`` between its values (as any at a layer is), ``blocky`` as the windows or cells
            it is made of, ``pixels`` that differ from one to the next. Maps are held against a random map as smooth as
            they are.
        signed: whether values below zero mean "against".
        around: what stands for nothing: ``zero``, or the map's own ``mean``, around which it is then drawn.
        colours: what red and blue say, where that is not for and against the class.
        unit: of the values, where they have one that a reader knows.
        needs: what a model must have: a ``gradient`` from its logits back to where the map is, a ``linear head``
            behind the layer, a ``ReLU``, ``attention`` among the patches of an image.
        by_class: whether another target has another map.
        draws: whether something is drawn at random for each image, by the run's seed and the image's id.
        background: images of the data it wants, given its options.
        regions: folder of label images it wants, given its options, and the most segments that one may have.
        by_weights: whether what is configured is right for these very weights only, and a model with others must be
            configured anew: a quick way that was proven. Where a map lies is the same for all.
        quick: options that keep the work small, for trials and tests.
    """

    name: str
    title: str
    about: str
    meaning: str
    formula: str
    source: str
    options: type[Options]
    build: Callable[[Setting], Explain]
    configure: Callable[[Model, Any, Sample], Configured] = _at_input
    learn: Callable[[Model, Any, Configured, Sample], Configured] | None = None
    resolution: Literal["layer", "patches", "input", "windows"]
    grain: Literal["smooth", "blocky", "pixels"]
    signed: bool = False
    around: Literal["zero", "mean"] = "zero"
    colours: str | None = None
    unit: str | None = None
    needs: tuple[Literal["gradient", "linear head", "ReLU", "attention"], ...] = ()
    by_class: bool = True
    draws: bool = False
    background: Callable[[Any], int] = field(default=lambda options: 0)
    regions: Callable[[Any], tuple[str, int | None] | None] = field(default=lambda options: None)
    by_weights: bool = False
    quick: Mapping[str, Any] = field(default_factory=dict)

    @property
    def segmented(self) -> bool:
        """Whether a map is made of segments: every one has one value, and where it ends its value does."""
        return self.resolution == "input" and self.grain == "blocky"
