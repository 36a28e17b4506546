"""The logits of a few images, by one frozen forward pass."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.batching import padded
from activation_atlas.stages.vision.model import Model, freeze


def predict(model: Model, pixels: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits and probabilities, (n, K) float32 both, of uint8 (n, h, w, c) at the model's input size."""

    def apply(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        (logits,) = model.values(model.to_input(images), [model.program.output])
        return tf.cast(logits, tf.float32), tf.cast(model.probabilities(logits), tf.float32)

    forward = freeze(apply, tf.TensorSpec((batch, *pixels.shape[1:]), tf.uint8))
    found = []
    for start in range(0, len(pixels), batch):
        some = pixels[start : start + batch]
        found.append([x.numpy()[: len(some)] for x in forward(tf.constant(padded(some, batch)))])
    logits, probabilities = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return logits, probabilities
