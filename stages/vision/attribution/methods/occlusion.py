"""Occlusion: how much the score falls when a window of the image is hidden (Zeiler & Fergus 2014)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from activation_atlas.stages.specs import PositiveInt
from activation_atlas.stages.vision.attribution.methods.ablation import WindowAblation, Windows, ablated
from activation_atlas.stages.vision.attribution.methods.method import (
    GREY,
    Configured,
    Edges,
    Explain,
    Method,
    Options,
    Pair,
    Sample,
    Setting,
    pair,
)
from activation_atlas.stages.vision.lazy import tf

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model

log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Largest difference of a score between the two ways, relative to the image's largest score."""

WORTH = 1.1
"""How many times fewer operations the incremental way must take to be chosen by itself."""

Shade = Annotated[float, Field(ge=0, le=255)]


class Occlusion(Options):
    name: Literal["occlusion"] = "occlusion"
    patch: PositiveInt | tuple[PositiveInt, PositiveInt] | None = Field(
        None,
        description="side of the window in pixels of the model's input, or height and width; "
        "default: about a seventh of the input's shorter side (32 of 224, 4 of 32)",
    )
    stride: PositiveInt | tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="pixels from window to window; default: half of the default patch, and no more than the patch"
    )
    fill: Shade | tuple[Shade, Shade, Shade] = Field(GREY, description="what hides, in 0 to 255, before preprocessing")
    edges: Edges = Field("whole", description="clip: also windows that reach past the border")
    mode: Literal["auto", "full", "incremental"] = Field(
        "auto", description="incremental: recompute only what a window can reach; auto: where that is exact and pays"
    )

    def at(self, size: Pair) -> Occlusion:
        """Of any input the share that 32 and 16 pixels are of 224: from 24 pixels on 11 to 17 windows along a side."""
        step, short = _step(min(size)), min(size)
        patch = self.patch or max(1, min(2 * step, short - 1))
        stride = min(step, patch) if isinstance(patch, int) else tuple(min(step, side) for side in patch)
        return self.model_copy(update={"patch": patch, "stride": self.stride or stride})

    @property
    def windows(self) -> tuple[Pair, Pair, Edges]:
        return pair(self.patch), pair(self.stride), self.edges

    def detail(self, size: Pair, stride: tuple[float, float]) -> float:
        return min(pair(self.patch))

    def passes(self, size: Pair | None) -> int | str:
        if size is None:
            return "as many as there are windows"
        patch, stride, edges = self.at(size).windows
        ends = size if edges == "clip" else [side - long + 1 for side, long in zip(size, patch, strict=True)]
        down, right = (max(0, -(-end // step)) for end, step in zip(ends, stride, strict=True))
        return down * right

    def looks(self, configured: Configured) -> str:
        patch, stride = ("{} x {}".format(*configured[side]) for side in ("patch", "stride"))
        return f"windows of {patch} pixels, {stride} apart ({configured['height']} x {configured['width']})"

    def finer(self, configured: Configured) -> str:
        return "give a smaller occlusion.patch or stride, or leave them out"


def _step(side: int) -> int:
    """About a fourteenth of a side: the nearest that divides it, so that the last window ends at the border, where
    there is one within a quarter of that."""
    aim = side / 14
    exact = [step for step in range(1, side) if side % step == 0 and abs(step - aim) <= aim / 4]
    return min(exact, key=lambda step: abs(step - aim)) if exact else max(1, round(aim))


class Full(WindowAblation):
    """Every window by a whole forward pass."""

    def clean(self, pixels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = self.model.to_input(pixels)
        return self._scored(x, targets), x

    def ablate(self, targets: tf.Tensor, image: tf.Tensor, window: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        x = ablated(tf.gather(x, image), *self.corners(window), self.windows.patch, self.fill())
        return self._scored(x, tf.gather(targets, image))

    def _scored(self, x: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        (logits,) = self.model.values(x, [self.model.program.output])
        return self.scores(logits, targets)


def configure(model: Model, options: Occlusion, sample: Sample) -> Configured:
    """``patch`` and ``stride``, and the way: ``mode`` full or incremental; for the latter ``cut`` (a layer), ``crop``.

    The incremental way is taken where a layer is found that only local operations lie before, and where every score
    of the windows of the first image and of noise proves to be the same; else the log says why not.

    Raises:
        UserError: the window is larger than the image, or the colour has too many channels.
    """
    from activation_atlas.stages.vision.attribution.methods import crops

    windows = Windows.of(model, options)
    sides = {"patch": list(windows.patch), "stride": list(pair(options.at(model.input_size).stride))}
    place = windows.place(model.input_size).row()
    whole: Configured = {"height": windows.shape[0], "width": windows.shape[1], "place": place, **sides, "mode": "full"}
    if options.mode == "full":
        return whole
    found = crops.best(model, windows)
    if found is None or (options.mode == "auto" and found.gain < WORTH):
        if options.mode == "incremental":
            log.warning("occlusion: full mode: model %s has no layer with only local operations before it", model.name)
        return whole
    trial = {**whole, "mode": "incremental", "cut": found.layer, "crop": [found.down.crop, found.right.crop]}
    # The first image may be blank, of the colour that hides: nothing would change, and nothing be proved.
    first = sample(1)
    noise = np.random.default_rng(0).integers(0, 256, first.shape, np.uint8)
    gap = difference(model, options, trial, np.concatenate([first, noise]))
    if gap <= TOLERANCE:
        return trial
    how = f"differs by {gap:.1e} of the largest score" if np.isfinite(gap) else "does not run or gives NaN"
    log.warning("occlusion: full mode: the incremental way %s when cut at %s", how, found.layer)
    return whole


def difference(model: Model, options: Occlusion, trial: Configured, pixels: np.ndarray) -> float:
    """How far any class's score of any window is off the full way, relative to the largest score of its image.

    Args:
        pixels: uint8 (n <= 16, h, w, c).

    Infinite where the incremental way does not run at all or gives NaN.
    """
    from activation_atlas.stages.vision.attribution.methods.incremental import Incremental

    classes = len(model.classes)
    setting = Setting(model, options, trial, 16, classes)
    asked = (pixels, np.tile(np.arange(classes, dtype=np.int32), (len(pixels), 1)), [""] * len(pixels))
    expected = Full(setting)(*asked)
    try:
        found = Incremental(setting)(*asked)
    except Exception as error:  # whichever layer objects to a crop, and however
        log.info("occlusion: no incremental way at %s: %s", trial["cut"], str(error).splitlines()[0][:200])
        return float("inf")
    largest = np.maximum(np.abs(expected.scores).max(1), np.finfo(np.float32).tiny)
    gap = (np.abs(found.values - expected.values).max((1, 2, 3)) / largest).max()
    return float("inf") if np.isnan(gap) else float(gap)


def occlusion(setting: Setting) -> Explain:
    """score - score with the window hidden, on the grid of windows."""
    from activation_atlas.stages.vision.attribution.methods.incremental import Incremental

    return Incremental(setting) if setting.configured.get("mode") == "incremental" else Full(setting)


METHODS = (
    Method(
        name="occlusion",
        title="Occlusion",
        about="how much the logit falls when a window is hidden",
        meaning="how much the class’s logit falls when a window of the image is hidden",
        formula="logit(image) - logit(image with the window filled), for each window of a grid (section 4.2)",
        source="Zeiler & Fergus 2014",
        options=Occlusion,
        build=occlusion,
        configure=configure,
        resolution="windows",
        grain="blocky",
        signed=True,
        unit="logits",
        by_weights=True,
        quick={"patch": 8, "stride": 8},
    ),
)
