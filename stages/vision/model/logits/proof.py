"""Numbers that tell what a model returns, and that prove its logits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.model.logits.end import End
from activation_atlas.stages.vision.model.logits.meaning import precision
from activation_atlas.stages.vision.model.program import Environment, Step

Kind = Literal["softmax", "sigmoid", "quantity"]
"""How logits become probabilities: over the classes together, or each class by itself; quantities have none."""

Reading = Literal["scores", "softmax", "sigmoid", "log softmax", "log sigmoid"]
"""What a model returns: numbers of any size, probabilities that sum to 1, probabilities that do not, or their logs."""

MAGNITUDES = (0.1, 0.3, 1, 3, 10, 30, 100, 1000)
"""Of the noise behind the last weights: where nothing is saturated, where everything is, and between."""


def probabilities(kind: Kind, logits: tf.Tensor) -> tf.Tensor:
    """Logits (n, K) -> probabilities (n, K); quantities stay what they are."""
    if kind == "quantity":
        return logits
    return tf.nn.softmax(logits) if kind == "softmax" else tf.sigmoid(logits)


class Proof:
    """A model's end under noise: behind the last weights, and, where that is not enough, of whole images.

    Whatever a linear layer returns may come; so what the end makes of noise in its place it makes of every image.

    Args:
        images: makes noise as the model receives it, (m, h, w, c).

    Attributes:
        ends_linear: whether the output itself is what a linear layer returns.
        near: how far apart equal values may lie in the precision of the model's end.
    """

    def __init__(self, end: End, images: Callable[[], tf.Tensor]) -> None:
        self.end, self._noise = end, images
        self._cuts = end.cuts(end.output)
        linear = all(end.is_linear(slot) for slot in self._cuts)
        self.ends_linear = linear and end.last() in self._cuts
        self._weightless = self._in_place_of_weights() if linear else None
        self.near = precision(*(end.native[slot] for slot in [*self._way(), end.output]))

    @cached_property
    def behind(self) -> np.ndarray | None:
        """What the model returns, float32 (m, K), of noise in place of what its last layers with weights return; None
        where those may not return just anything. Rows that are not finite are left out."""
        return None if self._weightless is None else _finite(self._at(self.end.output, self._weightless))

    @cached_property
    def images(self) -> np.ndarray:
        """What the model returns of images of noise, float32 (m, K), without rows that are not finite."""
        return _finite(self._at(self.end.output, self._of_images))

    def gap(self, slot: int, reading: Reading, of_images: bool) -> float:
        """The largest difference between probabilities rebuilt from the logits in ``slot`` and the model's own.

        Args:
            of_images: whether to compare them for images of noise, or behind the last weights.
        """
        given = self._of_images if of_images else self._weightless
        own, logits = self._at(self.end.output, given), self._at(slot, given)
        sound = np.isfinite(own).all(1)
        own = np.exp(own[sound]) if reading.startswith("log") else own[sound]
        rebuilt = probabilities(reading.removeprefix("log "), tf.constant(logits[sound])).numpy()
        worst = float(np.max(np.abs(rebuilt - own), initial=0.0))
        return worst if np.isfinite(worst) else np.inf

    @cached_property
    def _of_images(self) -> Environment:
        return _values(self.end.before(self._cuts), {self.end.input: self._noise()}, self._cuts)

    def _in_place_of_weights(self) -> Environment:
        rng, noise = np.random.default_rng(0), {}
        for slot in self._cuts:
            shape = (len(MAGNITUDES), *self.end.shapes[slot][1:])
            scale = np.reshape(MAGNITUDES, (-1, *[1] * (len(shape) - 1)))
            noise[slot] = tf.cast(rng.normal(size=shape) * scale, self.end.native[slot])
        return noise

    def _way(self) -> list[int]:
        """Slots between the cuts and the output."""
        return [slot for step in self.end.before([self.end.output], self._cuts) for slot in step.outputs]

    def _at(self, slot: int, given: Environment) -> np.ndarray:
        values = _values(self.end.before([slot], given), dict(given), [slot])[slot]
        return tf.cast(values, "float32").numpy().reshape(len(next(iter(given.values()))), -1)


def read(rows: np.ndarray, near: float) -> Reading:
    """What rows (m, K) can be."""
    coarse = near > precision("float32")
    slack, apart = (near, 0.1) if coarse else (1e-6, 1e-3)
    if not rows.size:
        return "scores"
    if rows.min() >= -slack and rows.max() <= 1 + slack:
        sums = rows.shape[1] > 1 and np.abs(rows.sum(1) - 1).max() <= (near if coarse else apart)
        return "softmax" if sums else "sigmoid"
    if rows.shape[1] > 1 and rows.max() <= slack and np.abs(np.logaddexp.reduce(rows, 1)).max() <= apart:
        return "log softmax"
    return "scores"


def _finite(rows: np.ndarray) -> np.ndarray:
    return rows[np.isfinite(rows).all(1)]


def _values(steps: Sequence[Step], values: Environment, wanted: Iterable[int]) -> Environment:
    """Runs steps, keeping no value longer than it is needed."""
    wanted = set(wanted)
    reads = Counter(slot for step in steps for slot in step.inputs)
    for step in steps:
        step(values)
        for slot in step.inputs:
            reads[slot] -= 1
            if not reads[slot] and slot not in wanted:
                values.pop(slot, None)
    return {slot: values[slot] for slot in wanted}
