"""Whether an algorithm gives a layer's removals or insertions: held against the head, with the block and without."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.attribution.affine import EPSILON
from activation_atlas.stages.vision.attribution.blocks import Block, InsertionMode, mode_of
from activation_atlas.stages.vision.attribution.forward_mode import Algorithm
from activation_atlas.stages.vision.attribution.proof import CLOSE, POSITIONS, Drawn, one_line
from activation_atlas.stages.vision.model import Model

ROUNDING = 8
"""By how many of the last digits of its largest logit the difference of two runs of a head may be off: up to 4 in
float32 and 2 in half precision were seen, and the one that was right was the windows'."""


class BlockTrial(Drawn):
    """What the head says of a block that is removed or put in, at some positions of noise, to hold others against.

    Attributes:
        tried: what :meth:`gap` looked at last.
        flat: nothing that was done changed a logit.
    """

    def __init__(self, model: Model, layer: str, block: Block) -> None:
        super().__init__(model, layer)
        self.block = block
        self.positions = self.at(self._strength())
        whole = mode_of(model, layer, "whole", None, block)
        self.expected = self.attributions(whole, self.positions).astype(np.float64)
        self.known = np.isfinite(self.expected)
        if isinstance(whole, InsertionMode):
            logits = whole.begins_at.repeat(len(self.images), 0).astype(np.float64)
        else:
            logits = tf.function(model.head(layer), autograph=False)(self.tensors).numpy().astype(np.float64)
        highest = np.where(np.isfinite(logits), np.abs(logits), 0).max(1)[self.positions[:, 0]]
        self.slack = ROUNDING * EPSILON[self.coarsest] * highest[:, None]
        own = np.where(self.known, np.abs(self.expected), 0)
        self.flat = bool(self.known.any() and (own <= self.slack / 4).all())
        largest = own.reshape(-1, POSITIONS * own.shape[1]).max(1)
        largest = np.maximum(largest, 1e-6 * max(largest.max(), np.finfo(np.float64).tiny))
        self.largest = np.repeat(largest, POSITIONS)[:, None]

    def _strength(self) -> np.ndarray:
        """(n, H, W): how much the logits hang on a position, by their gradient, or, without one, how large it is."""
        maps, rest = self.tensors[0], self.tensors[1:]
        combined = self.rng.normal(size=(len(self.images), len(self.model.classes)))

        # In a graph: in eager mode oneDNN may abort at the gradients of filters, which nobody asks for.
        @tf.function(autograph=False)
        def slope(maps: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(maps)
                logits = self.model.head(self.layer)([maps, *rest])
            return tape.gradient(logits, maps, tf.constant(combined, logits.dtype), "zero")

        try:
            found = np.nan_to_num(np.abs(maps * slope(maps))).sum(3)
        except Exception:  # whatever TensorFlow, or a user's layer, finds wrong with a gradient: none is needed
            found = np.zeros(1)
        return found if found.any() else np.nan_to_num(np.abs(maps)).sum(3)

    def against(self, algorithm: Algorithm) -> str | None:
        """What speaks against an algorithm; None where the head confirms it."""
        if not self.known.any():
            return "cannot be checked: no logit on noise is finite"
        try:
            gap = self.gap(algorithm)
        except Exception as error:  # whatever TensorFlow, or a user's layer, finds wrong with it
            return f"cannot be computed ({one_line(error)})"
        return None if gap <= CLOSE[self.coarsest] else f"off by {gap:.1e}"

    def gap(self, algorithm: Algorithm) -> float:
        """Largest difference beyond rounding, over the largest effect of the same image; inf where the algorithm
        alone is not finite."""
        self.tried = mode_of(self.model, self.layer, algorithm, None, self.block)
        found = self.attributions(self.tried, self.positions).astype(np.float64)
        with np.errstate(invalid="ignore"):
            off = np.maximum(np.abs(found - self.expected) - self.slack, 0) / self.largest
        return float(np.nan_to_num(off[self.known], nan=np.inf, posinf=np.inf).max(initial=0))
