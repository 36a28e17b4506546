"""Ablation-CAM: channels of a layer, weighted by what the logit loses without each (Desai & Ramaswamy 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from activation_atlas.stages.tables.flags import ROUNDING
from activation_atlas.stages.vision.attribution.methods.cam import ChannelMaps, at_layer, is_affine_from, weighted
from activation_atlas.stages.vision.attribution.methods.method import (
    AtLayer,
    Configured,
    Explain,
    Maps,
    Method,
    Pair,
    Sample,
    Setting,
)
from activation_atlas.stages.vision.batching import packed, padded
from activation_atlas.stages.vision.lazy import tf

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model


class AblationCam(AtLayer):
    name: Literal["ablation_cam"] = "ablation_cam"

    def passes(self, size: Pair | None) -> str:
        return "as many as the layer has channels, from there on; none where the rest is linear"


def configure(model: Model, options: Any, sample: Sample) -> Configured:
    """The layer, its size, and whether the head behind it is affine.

    Raises:
        UserError: no such layer, or it has no positions.
    """
    at = at_layer(model, options, sample)
    return {**at, "affine": is_affine_from(model, at["layer"])}


class ChannelAblation:
    """The method at work: (image, channel) pairs of several images share a batch, targets share the passes."""

    def __init__(self, setting: Setting) -> None:
        from activation_atlas.stages.vision.model import freeze

        model, layer = setting.model, setting.configured["layer"]
        self.model, self.batch = model, setting.batch
        self.trunk, self.head = model.trunk(layer), model.head(layer)
        pixels = tf.TensorSpec((setting.batch, *model.input_size, model.channels), tf.uint8)
        self.look = freeze(lambda shown: self.trunk(model.to_input(shown)), pixels)
        held = self.look(tf.zeros(pixels.shape, tf.uint8))
        targets, jobs = (
            tf.TensorSpec((setting.batch, setting.targets), tf.int32),
            tf.TensorSpec((self.batch,), tf.int32),
        )
        self.ablate = freeze(self._ablate, targets, jobs, jobs, *(tf.TensorSpec(x.shape, x.dtype) for x in held))

    def _ablate(self, targets: tf.Tensor, image: tf.Tensor, channel: tf.Tensor, *held: tf.Tensor) -> tf.Tensor:
        """Scores (batch, k) of images (batch,), rows of ``held``, each without one channel (batch,); -1: with all."""
        activation, *rest = (tf.gather(tensor, image) for tensor in held)
        kept = 1 - tf.one_hot(channel, activation.shape[-1], dtype=activation.dtype)
        scores = self.model.scores(self.head([activation * kept[:, None, None], *rest]))
        return tf.cast(tf.gather(scores, tf.gather(targets, image), axis=1, batch_dims=1), tf.float32)

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        count, wanted = len(pixels), tf.constant(padded(targets, self.batch))
        held = self.look(tf.constant(padded(pixels, self.batch)))
        activation = held[0].numpy()[:count]
        # The first pass of each takes nothing away: scores of one graph differ by less rounding than of two.
        jobs = [np.concatenate([[-1], np.flatnonzero(a.any((0, 1)))]).astype(np.int32) for a in activation]
        scores = np.empty((count, targets.shape[1]), np.float32)
        drops = np.zeros((count, activation.shape[-1], targets.shape[1]))
        for image, number, real in packed([len(own) for own in jobs], self.batch):
            channel = np.array([jobs[i][j] for i, j in zip(image, number, strict=True)], np.int32)
            found = self.ablate(wanted, tf.constant(image), tf.constant(channel), *held).numpy()
            for i, c, score in zip(image[:real], channel[:real], found, strict=False):
                if c < 0:
                    scores[i] = score
                else:
                    drops[i, c] = np.float64(scores[i]) - score
        maps = [combined(a, drop) for a, drop in zip(activation, drops, strict=True)]
        return Maps(np.stack(maps), scores, idle=np.abs(drops).max(1) <= ROUNDING * np.abs(scores))


def combined(activation: np.ndarray, drops: np.ndarray) -> np.ndarray:
    """ReLU(sum over channels of drops (C, k) x activation (H, W, C)): (k, H, W) float32."""
    with np.errstate(invalid="ignore", over="ignore"):  # infinite scores: the map is NaN, and flagged
        maps = np.tensordot(drops.T, activation.astype(np.float64), (1, 2))
        return np.maximum(maps, 0).astype(np.float32)


def ablation_cam(setting: Setting) -> Explain:
    """ReLU(sum_k w_k A_k), w_k = score - score with channel k of the layer set to zero (Desai & Ramaswamy 2020).

    The paper divides by the score, which is one factor for the whole map; that is left out, for of a score below zero
    it would turn the map inside out. A channel that is zero everywhere needs no pass. Where the head is affine no
    channel does: w_k is the sum over positions of g_k A_k, to rounding.
    """
    if setting.configured["affine"]:
        return ChannelMaps(setting, lambda a, g: tf.nn.relu(weighted(a, tf.reduce_sum(g * a, (2, 3), keepdims=True))))
    return ChannelAblation(setting)


METHODS = (
    Method(
        name="ablation_cam",
        title="Ablation-CAM",
        about="channels of a layer, weighted by what the logit loses without each",
        meaning="where channels are active without which the class’s logit is lower",
        formula="ReLU(sum_k w_k A_k), w_k = logit - logit with A_k set to zero (without the paper's division by "
        "the logit, one factor for the whole map)",
        source="Desai & Ramaswamy 2020",
        options=AblationCam,
        build=ablation_cam,
        configure=configure,
        resolution="layer",
        grain="smooth",
    ),
)
