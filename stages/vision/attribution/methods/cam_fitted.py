"""CAM for networks whose head is not linear: with a linear head that is fitted to the model's own logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from activation_atlas.stages.intervals import wilson
from activation_atlas.stages.specs import PositiveInt
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods.cam import at_layer, weighted
from activation_atlas.stages.vision.attribution.methods.method import (
    AtLayer,
    Configured,
    Explain,
    Maps,
    Method,
    Sample,
    Setting,
)
from activation_atlas.stages.vision.batching import padded
from activation_atlas.stages.vision.lazy import tf

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model

BATCH = 32
FEWEST = 3
"""Images that a head is fitted to, at least: with fewer nothing can be left out."""


class CamFitted(AtLayer):
    name: Literal["cam_fitted"] = "cam_fitted"
    images: PositiveInt = Field(512, ge=FEWEST, description="images of the data that the head is fitted to, at most")

    def learned(self, configured: Configured) -> str:
        return _agrees(configured)

    def measured(self, configured: Configured) -> dict[str, Any]:
        return {name: configured[name] for name in ("fitted_to", "agreement", "agreement_low", "agreement_high", "r2")}

    def doubt(self, configured: Configured) -> str | None:
        told = configured["r2"] if configured["agreement"] is None else configured["agreement_low"]
        if told is not None and told >= 0.5:
            return None
        return f"{_agrees(configured)}; so its maps may say little of the model: give a later layer, or more images"


def _agrees(configured: Configured) -> str:
    if configured["agreement"] is None:  # of quantities, where nothing is taken for a class
        told = "nothing, for nothing varies," if configured["r2"] is None else f"{round(100 * configured['r2'])} %"
        told = f"the fitted head tells {told} of what varies in the outputs of {configured['fitted_to']:,} images"
        return f"{told}, each left out of its fit"
    share, low, high = (round(100 * configured[f"agreement{end}"]) for end in ("", "_low", "_high"))
    words = f"the fitted head takes {share} % ({low} to {high} %) of {configured['fitted_to']:,} images, each left out "
    words += "of its fit, for the class that the model does"
    if configured["r2"] is None:
        return words
    told = round(100 * configured["r2"])  # below 0: the logits' mean would be nearer
    return f"{words}, and tells {f'{told} %' if told > 0 else 'nothing'} of what varies in the logits"


def configure(model: Model, options: CamFitted, sample: Sample) -> Configured:
    """The layer, its size and the head that is fitted there.

    Raises:
        UserError: no such layer, it has no positions, or there are too few images.
    """
    at = at_layer(model, options, sample)
    return {**at, **learn(model, options, at, sample)}


def learn(model: Model, options: CamFitted, configured: Configured, sample: Sample) -> Configured:
    """The head: ``weights`` (C, K) and ``bias`` (K,), float32, and how well it does on images that are left out.

    ``fitted_to``: images; ``agreement``: share of them that it takes for the class that the model does, with its 95 %
    interval, None of quantities; ``r2``: share of the logits' variance that it tells, None where they have none.
    Quantities, each of which has a unit of its own, are fitted and judged in units of their standard deviation.
    """
    from activation_atlas.stages.vision.attribution.fitted_head import fitted_head

    features, scores = _seen(model, configured["layer"], sample(options.images))
    if len(features) < FEWEST:
        raise UserError(
            f"cam_fitted: a head is fitted to {FEWEST} images or more, and here are {len(features)}; give more"
        )
    total, unit = len(features), np.ones(scores.shape[1])
    if model.kind == "quantity":
        unit = np.where((spread := scores.std(0)) > 0, spread, 1.0)
    head = fitted_head(features, scores / unit)
    left_out = head.left_out * unit
    spread = np.square((scores - scores.mean(0)) / unit).sum()
    r2 = float(1 - np.square((scores - left_out) / unit).sum() / spread) if spread > 0 else None
    told: dict[str, Any] = dict.fromkeys(("agreement", "agreement_low", "agreement_high"))
    if model.kind != "quantity":
        hits = int((left_out.argmax(1) == scores.argmax(1)).sum())
        told = dict(zip(told, (hits / total, *wilson(hits, total)), strict=True))
    weights, bias = ((of * unit).astype(np.float32) for of in (head.weights, head.bias))
    return {**told, "fitted_to": total, "r2": r2, "penalty": head.penalty, "weights": weights, "bias": bias}


def _seen(model: Model, layer: str, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of the layer's channels (n, C) and the model's scores (n, K), float64; finite ones only."""
    from activation_atlas.stages.vision.model import freeze

    def look(shown: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        activation, logits = model.values(model.to_input(shown), [model.slot(layer), model.program.output])
        return tf.reduce_mean(tf.cast(activation, tf.float64), (1, 2)), tf.cast(model.scores(logits), tf.float64)

    apply = freeze(look, tf.TensorSpec((BATCH, *model.input_size, model.channels), tf.uint8))
    found = []
    for start in range(0, len(pixels), BATCH):
        part = pixels[start : start + BATCH]
        found.append([x.numpy()[: len(part)] for x in apply(tf.constant(padded(part, BATCH)))])
    features, scores = (np.concatenate(x) for x in zip(*found, strict=True))
    finite = np.isfinite(features).all(1) & np.isfinite(scores).all(1)
    return features[finite], scores[finite]


class FittedMaps:
    """The method at work: one forward pass, and the fitted weights of the targets."""

    def __init__(self, setting: Setting) -> None:
        from activation_atlas.stages.vision.model import freeze

        self.model, self.batch = setting.model, setting.batch
        self.slot = setting.model.slot(setting.configured["layer"])
        self.bias = np.asarray(setting.configured["bias"], np.float32)
        # (K, C): what an image needs of it are rows. Given to the graph, which would else hold a copy.
        self.rows = tf.constant(np.asarray(setting.configured["weights"], np.float32).T)
        pixels = tf.TensorSpec((setting.batch, *self.model.input_size, self.model.channels), tf.uint8)
        targets = tf.TensorSpec((setting.batch, setting.targets), tf.int32)
        self.apply = freeze(self._apply, pixels, targets, tf.TensorSpec(self.rows.shape, tf.float32))

    def _apply(self, pixels: tf.Tensor, targets: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        activation, logits = self.model.values(self.model.to_input(pixels), [self.slot, self.model.program.output])
        weights = tf.gather(rows, targets)[:, :, None, None]
        scores = tf.gather(self.model.scores(logits), targets, axis=1, batch_dims=1)
        return weighted(tf.cast(activation, tf.float32)[:, None], weights), tf.cast(scores, tf.float32)

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        found = self.apply(tf.constant(padded(pixels, self.batch)), tf.constant(padded(targets, self.batch)), self.rows)
        maps, scores = (x.numpy()[: len(pixels)] for x in found)
        gap = maps.mean((2, 3), dtype=np.float64) + self.bias[targets] - scores
        return Maps(maps, scores, gap.astype(np.float32))


def cam_fitted(setting: Setting) -> Explain:
    """sum_k w_k A_k, w the weights of a linear head behind the means of the channels (Zhou et al. 2016), signed.

    Zhou et al. put such a head behind a network's last convolution and train it on the labels. This one is fitted to
    the model's own logits (:func:`stages.vision.attribution.fitted_head.fitted_head`): it is the model that is
    explained, right or wrong. The mean of a map and the bias are the fitted head's logit; ``gap`` is that, less the
    model's own.
    """
    return FittedMaps(setting)


METHODS = (
    Method(
        name="cam_fitted",
        title="CAM, fitted head",
        about="channels of a layer, weighted as a linear head that is fitted to the model's logits",
        meaning="what each position of the layer adds to the class’s logit, by a linear head fitted to the model’s own",
        formula="sum_k w_k A_k, w the weights of a ridge regression of the logits on the means of A_k over positions; "
        "Zhou et al. fit to the labels",
        source="Zhou et al. 2016",
        options=CamFitted,
        build=cam_fitted,
        configure=configure,
        learn=learn,
        resolution="layer",
        grain="smooth",
        signed=True,
        quick={"images": 24},
    ),
)
