"""Occlusion: how much the score falls when a window of the image is hidden (Zeiler & Fergus 2014)."""

from __future__ import annotations

import logging

import numpy as np
import tensorflow as tf

from activation_atlas.stages.methods import Occlusion, pair
from activation_atlas.stages.vision.attribution.methods import crops
from activation_atlas.stages.vision.attribution.methods.ablation import WindowAblation, Windows, ablated
from activation_atlas.stages.vision.attribution.methods.incremental import Incremental
from activation_atlas.stages.vision.attribution.methods.method import Explain, Method, Sample, Setting, Settled
from activation_atlas.stages.vision.model import Model

log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Largest difference of a score between the two ways, relative to the image's largest score."""

WORTH = 1.1
"""How many times fewer operations the incremental way must take to be chosen by itself."""


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


def settle(model: Model, options: Occlusion, sample: Sample) -> Settled:
    """``patch`` and ``stride``, and the way: ``mode`` full or incremental; for the latter ``cut`` (a layer), ``crop``.

    The incremental way is taken where a layer is found that only local operations lie before, and where every score
    of the windows of the first image and of noise proves to be the same; else the log says why not.

    Raises:
        UserError: the window is larger than the image, or the colour has too many channels.
    """
    windows = Windows.of(model, options)
    sides = {"patch": list(windows.patch), "stride": list(pair(options.at(model.input_size).stride))}
    place = windows.place(model.input_size).row()
    settled: Settled = {"height": windows.shape[0], "width": windows.shape[1], "place": place, **sides, "mode": "full"}
    if options.mode == "full":
        return settled
    found = crops.best(model, windows)
    if found is None or (options.mode == "auto" and found.gain < WORTH):
        if options.mode == "incremental":
            log.warning("occlusion: full mode: model %s has no layer with only local operations before it", model.name)
        return settled
    trial = {**settled, "mode": "incremental", "cut": found.layer, "crop": [found.down.crop, found.right.crop]}
    # The first image may be blank, of the colour that hides: nothing would change, and nothing be proved.
    first = sample(1)
    noise = np.random.default_rng(0).integers(0, 256, first.shape, np.uint8)
    gap = difference(model, options, trial, np.concatenate([first, noise]))
    if gap <= TOLERANCE:
        return trial
    how = f"differs by {gap:.1e} of the largest score" if np.isfinite(gap) else "does not run or gives NaN"
    log.warning("occlusion: full mode: the incremental way %s when cut at %s", how, found.layer)
    return settled


def difference(model: Model, options: Occlusion, trial: Settled, pixels: np.ndarray) -> float:
    """How far any class's score of any window is off the full way, relative to the largest score of its image.

    Args:
        pixels: uint8 (n <= 16, h, w, c).

    Infinite where the incremental way does not run at all or gives NaN.
    """
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
    return Incremental(setting) if setting.settled.get("mode") == "incremental" else Full(setting)


METHODS = (
    Method(
        "occlusion",
        "how much the logit falls when a window is hidden",
        "Zeiler & Fergus 2014",
        occlusion,
        settle,
        signed=True,
        by_weights=True,
    ),
)
