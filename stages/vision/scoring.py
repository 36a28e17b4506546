"""The scores of images that are made as one goes along, by one forward pass that is compiled once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from activation_atlas.stages.caches import cached
from activation_atlas.stages.vision.batching import padded
from activation_atlas.stages.vision.model import Model, freeze


@cached(4)
def scorer(model: Model, batch: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function of uint8 (n, h, w, c) at the model's input size that gives (n, K) float32: each class's logit (of a
    single sigmoid unit z: -z and z), quantities as they are.

    Args:
        batch: images in one pass; fewer are filled up, so that an image's scores do not depend on how many there are.
    """

    def apply(images: tf.Tensor) -> tf.Tensor:
        (logits,) = model.values(model.to_input(images), [model.program.output])
        return tf.cast(model.scores(logits), tf.float32)

    forward = freeze(apply, tf.TensorSpec((batch, *model.input_size, model.channels), tf.uint8))

    def scores(images: np.ndarray) -> np.ndarray:
        if not len(images):
            return np.zeros((0, len(model.classes)), np.float32)
        some = (images[start : start + batch] for start in range(0, len(images), batch))
        return np.concatenate([forward(tf.constant(padded(part, batch))).numpy()[: len(part)] for part in some])

    return scores
