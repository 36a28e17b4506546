"""Score-CAM: channels of a layer, weighted by the score of the image seen through each (Wang et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from activation_atlas.stages.specs import PositiveInt
from activation_atlas.stages.tables.flags import ROUNDING
from activation_atlas.stages.vision.attribution.methods.cam import at_layer
from activation_atlas.stages.vision.attribution.methods.method import AtLayer, Explain, Maps, Method, Pair, Setting
from activation_atlas.stages.vision.batching import packed, padded
from activation_atlas.stages.vision.lazy import tf
from activation_atlas.stages.vision.place import Place


class ScoreCam(AtLayer):
    name: Literal["score_cam"] = "score_cam"
    channels: PositiveInt | None = Field(None, description="only the channels that vary most; default: all")

    def passes(self, size: Pair | None) -> str:
        return f"at most {self.channels:,}" if self.channels else "as many as the layer has channels"


class ChannelScores:
    """The method at work: (image, channel) pairs of several images share a batch, targets share the forwards."""

    def __init__(self, setting: Setting) -> None:
        from activation_atlas.stages.vision.model import freeze

        model, self.batch, self.channels = setting.model, setting.batch, setting.options.channels
        self.model, self.slot = model, model.slot(setting.configured["layer"])
        size = (setting.configured["height"], setting.configured["width"])
        place = Place.of(setting.configured["place"])
        self.enlarge = place.matrices(size, model.input_size)
        self.covers = place.covered((0, 0, *model.input_size[::-1]), model.input_size)
        pixels = tf.TensorSpec((setting.batch, *model.input_size, model.channels), tf.uint8)
        image = tf.TensorSpec((setting.batch,), tf.int32)
        channel = tf.TensorSpec((setting.batch, *size), tf.float32)
        self.look = freeze(self._look, pixels)
        self.mask = freeze(self._mask, pixels, image, channel)
        black = tf.zeros(pixels.shape, tf.uint8)
        self.black = self.look(black)[1].numpy()[0]

    def _look(self, pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        activation, logits = self.model.values(self.model.to_input(pixels), [self.slot, self.model.program.output])
        return tf.cast(activation, tf.float32), tf.cast(self.model.scores(logits), tf.float32)

    def _mask(self, pixels: tf.Tensor, image: tf.Tensor, channel: tf.Tensor) -> tf.Tensor:
        """Scores (batch, K) of images seen through a channel (batch, H, W) laid over them, from 0 to 1."""
        down, right = (tf.constant(m) for m in self.enlarge)
        large = tf.matmul(tf.matmul(down, channel), right, transpose_b=True)[..., None]
        covers = tf.constant(self.covers[None, :, :, None])
        least = tf.reduce_min(tf.where(covers, large, np.inf), (1, 2, 3), keepdims=True)
        most = tf.reduce_max(tf.where(covers, large, -np.inf), (1, 2, 3), keepdims=True)
        mask = tf.where(covers, tf.math.divide_no_nan(large - least, most - least), 0.0)
        seen = mask * tf.cast(tf.gather(pixels, image), tf.float32)
        (logits,) = self.model.values(self.model.to_input(seen), [self.model.program.output])
        return tf.cast(self.model.scores(logits), tf.float32)

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        shown = tf.constant(padded(pixels, self.batch))
        activation, scores = (x.numpy()[: len(pixels)] for x in self.look(shown))
        chosen = [most_varied(a, self.channels) for a in activation]
        lit = [c[a.max((0, 1))[c] > a.min((0, 1))[c]] for a, c in zip(activation, chosen, strict=True)]
        gains = [np.zeros((activation.shape[-1], targets.shape[1])) for _ in pixels]
        for image, number, count in packed([len(c) for c in lit], self.batch):
            channel = np.array([lit[i][j] for i, j in zip(image, number, strict=True)])
            seen = self.mask(shown, tf.constant(image), tf.constant(activation[image, :, :, channel])).numpy()
            for i, c, score in zip(image[:count], channel[:count], seen, strict=False):
                gains[i][c] = score[targets[i]] - self.black[targets[i]]
        maps = [combined(a[..., c], g[c]) for a, c, g in zip(activation, chosen, gains, strict=True)]
        own = np.take_along_axis(scores, targets, 1)
        idle = np.abs(gains).max(1) <= ROUNDING * np.abs(own)
        return Maps(np.stack(maps), own, idle=idle)


def most_varied(activation: np.ndarray, count: int | None) -> np.ndarray:
    """The ``count`` channels of (H, W, C) that vary most over positions, or all; in rising order, ties: the first."""
    channels = activation.shape[-1]
    if count is None or count >= channels:
        return np.arange(channels)
    variance = activation.reshape(-1, channels).astype(np.float64).var(0)
    return np.sort(np.argsort(-variance, kind="stable")[:count])


def combined(activation: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """ReLU(sum of softmax over channels of gains (C, k) x activation (H, W, C)): (k, H, W) float32."""
    with np.errstate(invalid="ignore"):  # infinite scores: the map is NaN, and flagged
        powers = np.exp(gains - gains.max(0))
    weights = powers / powers.sum(0)
    maps = np.tensordot(weights.T, activation.astype(np.float64), (1, 2))
    return np.maximum(maps, 0).astype(np.float32)


def score_cam(setting: Setting) -> Explain:
    """ReLU(sum_k w_k A_k), w = softmax over channels of score(image x mask_k) - score(black image).

    mask_k: A_k laid over the image, minus its least, over its range, 0 where it covers nothing; applied to pixels, so
    that what is hidden is black before preprocessing. A channel that is the same everywhere, at zero or not, has a
    mask of zeros: it hides everything, its gain is 0 without a forward pass, and it counts in the softmax (and adds its
    constant).
    ``channels``: softmax and sum run over those alone.
    """
    return ChannelScores(setting)


METHODS = (
    Method(
        name="score_cam",
        title="Score-CAM",
        about="channels of a layer, weighted by the logit of the image seen through each",
        meaning="where channels are active that raise the class’s logit when only they show the image",
        formula="ReLU(sum_k w_k A_k), w = softmax over channels of logit(image x mask_k) - logit(black image), "
        "mask_k = A_k laid over the image, from 0 at its least to 1 at its most",
        source="Wang et al. 2020",
        options=ScoreCam,
        build=score_cam,
        configure=at_layer,
        resolution="layer",
        grain="smooth",
        quick={"channels": 3},
    ),
)
