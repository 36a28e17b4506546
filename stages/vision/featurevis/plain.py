"""The textbook's recipe: gradient ascent on the pixels themselves, to see what everything else is there for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.featurevis.objectives import tap_of
from activation_atlas.stages.vision.featurevis.optimise import graph_compiler


@dataclass(frozen=True)
class Plain:
    """Chollet, Visualizing what convnets learn (keras.io, 2020), whose model takes values from -1 to 1.

    Attributes:
        size: height and width of the image, pixels.
        steps: of the ascent.
        rate: length of a step, in units of half the way from black to white.
        noise: the first image is uniform within this share of that around grey.
        margin: share of the side that is cut off at the end: borders answer to what lies outside the image.
        deviation: standard deviation of the pixels of the picture, whose mean is 0.5.
        tap: see :func:`~stages.vision.featurevis.objectives.tap_of`.
    """

    size: tuple[int, int] = (180, 180)
    steps: int = 30
    rate: float = 10.0
    noise: float = 0.125
    margin: float = 25 / 180
    deviation: float = 0.15
    tap: str = "interior"


CHUNK = 16
"""Images that are computed together; the last one is repeated to fill them up, so that bytes are the same."""


class PlainAscent:
    """Directions in, pictures out.

    Args:
        respond: (n, height, width, c) in [0, 1] -> maps (n, H, W, C); traceable.
        channels: C. colours: c.
        compiler: as for :class:`~stages.vision.featurevis.optimise.ActivationMaximization`.
    """

    def __init__(
        self,
        respond: Callable[[tf.Tensor], tf.Tensor],
        channels: int,
        colours: int,
        recipe: Plain,
        compiler: Callable[..., Callable] = graph_compiler,
    ) -> None:
        self.recipe, self.colours = recipe, colours
        self._respond, self._tap = respond, tap_of(recipe.tap)
        images = tf.TensorSpec((CHUNK, *recipe.size, colours), tf.float32)
        vectors = tf.TensorSpec((CHUNK, channels), tf.float32)
        self.slope = compiler(self._slope, images, vectors)
        self._measure = compiler(lambda x: self._tap(self._respond(x)), images)

    def _slope(self, images: tf.Tensor, directions: tf.Tensor) -> tf.Tensor:
        """Gradient of what is wanted of each image, brought to unit length."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            answers = self._tap(self._respond((images + 1) / 2))
            value = tf.reduce_sum(answers * directions)
        slope = tape.gradient(value, images)
        # tf.math.l2_normalize's floor; of each image alone, so that it does not depend on its companions.
        return slope * tf.math.rsqrt(tf.maximum(tf.reduce_sum(slope**2, (1, 2, 3), keepdims=True), 1e-12))

    def draw(self, directions: np.ndarray, seeds: Sequence[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray]:
        """Pictures for directions (n, C): uint8 (n, height, width, c) without margins, and the answers to them (n, C).

        What is answered to is the whole picture in 8 bits, before its margins are cut off.
        """
        pictures, answers = [], []
        for start in range(0, len(directions), CHUNK):
            some = list(range(start, min(start + CHUNK, len(directions))))
            padded = some + [some[-1]] * (CHUNK - len(some))
            shown = deprocessed(self._climbed(directions[padded], [seeds[k] for k in padded]), self.recipe.deviation)
            answers.append(self._measure(tf.constant(shown.astype(np.float32) / 255)).numpy()[: len(some)])
            pictures.append(shown[: len(some)])
        down, right = (round(self.recipe.margin * side) for side in self.recipe.size)
        height, width = self.recipe.size
        whole = np.concatenate(pictures)
        return whole[:, down : height - down, right : width - right], np.concatenate(answers)

    def _climbed(self, directions: np.ndarray, seeds: Sequence[tuple[int, ...]]) -> np.ndarray:
        shape, noise = (*self.recipe.size, self.colours), self.recipe.noise
        begin = [np.random.default_rng(list(seed)).uniform(-noise, noise, shape) for seed in seeds]
        images = tf.constant(np.stack(begin), tf.float32)
        towards = tf.constant(directions, tf.float32)
        for _ in range(self.recipe.steps):
            images = images + self.recipe.rate * self.slope(images, towards)
        return images.numpy()


def deprocessed(images: np.ndarray, deviation: float) -> np.ndarray:
    """Each image (h, w, c) brought to a mean of 0.5 and a standard deviation, cut to [0, 1]; uint8."""
    axes = (1, 2, 3)
    centred = images - images.mean(axes, keepdims=True)
    shown = centred / (centred.std(axes, keepdims=True) + 1e-5) * deviation + 0.5
    return np.rint(255 * np.clip(shown, 0, 1)).astype(np.uint8)
