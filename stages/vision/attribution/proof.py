"""Whether an algorithm gives a layer's attributions, by another road: backprop of random combinations of the logits.

The sum over classes of w times the attributions is activation . d (w . logits) / d activation, for any w, so a few
reverse passes tell of all classes at once whether a forward one is right, and share nothing with it: TensorFlow has
no forward derivative of some operations (a bilinear resize, loops over positions), and gives zero or fails.
"""

from __future__ import annotations

import re

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.attribution.forward_mode import Algorithm, ForwardMode
from activation_atlas.stages.vision.attribution.local_maps import Positions
from activation_atlas.stages.vision.model import Model

CLOSE = {"float64": 1e-9, "float32": 1e-4, "float16": 2e-2, "bfloat16": 8e-2}
"""Largest difference over the largest attribution of an image, by the coarsest type behind the layer."""
CANCELLED = 1e-2
"""Where channels cancel, an attribution is no larger than its rounding: at least this share of |a| . |g| is allowed."""
IMAGES, COMBINATIONS, POSITIONS, STRONGEST = 3, 3, 8, 3
SAMPLED = 4
"""Classes by which an algorithm that takes one pass for each class is tried."""


def disagreement(model: Model, layer: str, algorithm: Algorithm) -> float:
    """Largest difference from backprop, over the largest attribution of the same image; may be inf."""
    return Trial(model, layer).gap(algorithm)


def one_line(error: BaseException) -> str:
    """What an error says first; of Keras's, the reason and not the layer's address."""
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("Exception encountered")] or lines
    return (said[0] if said else type(error).__name__)[:160].rstrip(".")


class Reference:
    """Combinations of attributions by backprop, PLACES of each image: what others are held against.

    Args:
        expected: (m, r) float64.
        sizes: as ``expected``, of the absolute values of each channel's part.
    """

    def __init__(self, expected: np.ndarray, sizes: np.ndarray) -> None:
        self.expected, self.known = expected, np.isfinite(expected)
        self.flat = bool(self.known.any() and not expected[self.known].any())
        own, parts = (
            np.where(self.known, x, 0).reshape(-1, POSITIONS, x.shape[1]).max(1) for x in (np.abs(expected), sizes)
        )
        found = np.maximum(own, CANCELLED * parts)
        self.largest = np.repeat(np.maximum(found, 1e-6 * found.max(initial=0)), POSITIONS, 0)

    def off(self, found: np.ndarray) -> float:
        """Largest difference over the largest of the same image; where backprop gives no finite number none counts."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            off = (np.abs(found - self.expected) / self.largest)[self.known]
        off = np.where((found == self.expected)[self.known], 0, off)
        return float(np.nan_to_num(off, nan=np.inf, posinf=np.inf).max(initial=0))


class Drawn:
    """Noise at which algorithms for a layer's attributions are tried.

    A layer is tried on what images of noise make of it (pixel by pixel, smooth, and dark), and on noise of its own of
    the same size and of three times it: bends are met on both sides. Other tensors that the head reads are the
    images', and changed a little for the layer's own noise.

    Attributes:
        tensors: what the head reads, for 2 x IMAGES images.
        logits: of the images of noise, (IMAGES, K).
        coarsest: the type, of those behind the layer, that rounds most.
    """

    def __init__(self, model: Model, layer: str) -> None:
        self.model, self.layer, self.info = model, layer, model.layer(layer)
        self.given = [model.slot(layer), *model.program.frontier(model.slot(layer))]
        self.images = range(2 * IMAGES)
        self.rng = np.random.default_rng(0)
        pixels = tf.constant(noise(self.rng, (*model.input_size, model.channels)))
        slots = [*self.given, model.program.output]
        *values, logits = tf.function(lambda p: model.values(model.to_input(p), slots), autograph=False)(pixels)
        self.tensors, self.logits = self._tensors(self.rng, values), logits.numpy()
        types = {model.dtype, *(model.native[i] for step in model.program.after(self.given[0]) for i in step.outputs)}
        self.coarsest = max((t for t in types if t in CLOSE), key=CLOSE.__getitem__)

    def _tensors(self, rng: np.random.Generator, values: list[tf.Tensor]) -> list[tf.Tensor]:
        """The layer's and the frontier's, for IMAGES images and as much noise of their own."""
        maps, *rest = (x.numpy() for x in values)
        spread = np.nan_to_num(maps).std() or 1.0
        drawn = rng.normal(size=(2, *maps.shape[1:])) * spread * np.array([1, 3]).reshape(-1, 1, 1, 1)
        own = [np.concatenate([maps, drawn, maps[:1] * (1 + rng.normal(size=maps[:1].shape))])]
        for value in rest:
            shaken = value * (1 + 0.3 * rng.normal(size=value.shape)) if value.dtype.kind == "f" else value
            own.append(np.concatenate([value, shaken]))
        return [tf.constant(x, value.dtype) for x, value in zip(own, values, strict=True)]

    def at(self, strength: np.ndarray) -> np.ndarray:
        """(m, 3) int32: image, row, column; corners, borders, the middle, and the largest of ``strength`` (n, H, W).

        A head may look at few positions only, and nothing would be proven at the others.
        """
        height, width = self.info.height, self.info.width
        rows, cols = ([0, 1, n // 2, n - 1] for n in (height, width))
        grid = np.array([(r, c) for r in rows for c in cols]) % [height, width]
        found = []
        for k in self.images:
            strongest = np.argsort(-strength[k].reshape(-1), kind="stable")[:STRONGEST]
            strongest = np.stack(np.unravel_index(strongest, (height, width)), 1)
            fixed = grid[(k + np.arange(POSITIONS - len(strongest)) * 3) % len(grid)]
            found.append(np.concatenate([fixed, strongest]))
        image = np.repeat(self.images, POSITIONS)
        return np.concatenate([image[:, None], np.concatenate(found)], 1).astype(np.int32)

    def attributions(self, mode: ForwardMode, positions: np.ndarray) -> np.ndarray:
        """(m, k) of ``positions`` as :meth:`at` gives them, in parts of as many as one call may take."""
        model = self.model
        size = min(mode.most, len(positions))
        parts = np.concatenate([positions, positions[-1:].repeat(-len(positions) % size, 0)])
        resumed = model.resumed(self.layer, mode.slots)

        @tf.function(autograph=False)
        def apply(parts: tf.Tensor, *tensors: tf.Tensor) -> tf.Tensor:
            held = resumed(tensors)

            def part(at: tf.Tensor) -> tf.Tensor:
                return mode(held, Positions(*tf.unstack(at, axis=1)))[1]

            signature = tf.TensorSpec((size, mode.count), model.dtype)
            return tf.map_fn(part, parts, fn_output_signature=signature, parallel_iterations=1)

        found = apply(tf.constant(parts.reshape(-1, size, 3)), *self.tensors).numpy()
        return found.reshape(-1, found.shape[-1])[: len(positions)]


class Trial(Drawn):
    """What backprop says of a layer, at some positions of noise, to hold the algorithms against.

    Attributes:
        tried: what :meth:`gap` looked at last.
    """

    def __init__(self, model: Model, layer: str) -> None:
        super().__init__(model, layer)
        self.positions: np.ndarray | None = None
        self.weights = self._combined(self.rng, self.logits)
        self.reverse = tf.function(self._reverse, autograph=False)
        self.reference = self._reference(self.weights)
        self.close = CLOSE[self.coarsest]

    def _combined(self, rng: np.random.Generator, logits: np.ndarray) -> np.ndarray:
        """(K, r): random numbers, such that classes whose logits vary less weigh more."""
        logits = logits[np.isfinite(logits).all(1)]
        spread = logits.std(0) if len(logits) else np.ones(len(self.model.classes))
        spread = np.maximum(spread, 1e-3 * spread.max()) if spread.max() else np.ones_like(spread)
        return rng.normal(size=(len(spread), COMBINATIONS)) / spread[:, None]

    def _reverse(self, weights: tf.Tensor, *tensors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """activation . gradient of each combination at every position, (r, n, H, W); the same of absolute values."""
        count = weights.shape[1]
        tensors = [tf.tile(x, [count, *[1] * (x.shape.rank - 1)]) for x in tensors]
        with tf.GradientTape() as tape:
            tape.watch(tensors[0])
            logits = self.model.head(self.layer)(tensors)
        arriving = tf.repeat(tf.transpose(weights), len(self.images), 0)
        slope = tape.gradient(logits, tensors[0], output_gradients=arriving, unconnected_gradients="zero")
        product = tensors[0] * slope
        shape = (count, len(self.images), self.info.height, self.info.width)
        return tuple(tf.reshape(tf.reduce_sum(x, 3), shape) for x in (product, tf.abs(product)))

    def _reference(self, weights: np.ndarray) -> Reference:
        found = [
            x.numpy().astype(np.float64) for x in self.reverse(tf.constant(weights, self.model.dtype), *self.tensors)
        ]
        if self.positions is None:
            self.positions = self.at(np.nan_to_num(found[1]).sum(0))
        return Reference(*(x[:, *self.positions.T].T for x in found))

    def against(self, algorithm: Algorithm) -> str | None:
        """What speaks against an algorithm; None where backprop confirms it."""
        if algorithm != "backprop" and not self.reference.known.any():
            return "cannot be checked: no gradient on noise is finite"
        try:
            gap = self.gap(algorithm)
        except Exception as error:  # whatever TensorFlow, or a user's layer, finds wrong with it
            return f"cannot be computed ({one_line(error)})"
        return None if gap <= self.close else f"off by {gap:.1e}"

    def gap(self, algorithm: Algorithm) -> float:
        """Largest difference over the largest attribution of the same image; inf where it alone is not finite."""
        weights, reference, few = self.weights, self.reference, None
        if algorithm == "backprop":
            few = np.linspace(0, len(weights) - 1, min(SAMPLED, len(weights))).astype(int)
            others = np.setdiff1d(np.arange(len(weights)), few)
            weights = weights.copy()
            weights[others] = 0
            reference, weights = self._reference(weights), weights[few]
        self.tried = ForwardMode(self.model, self.layer, algorithm, few)
        found = self.attributions(self.tried, self.positions)
        return reference.off(found.astype(np.float64) @ weights)


def noise(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """Pixels in [0, 255], float32 (3, h, w, c): each by itself, smooth, and dark with little contrast."""
    height, width, channels = shape
    plain, dark = rng.uniform(0, 255, shape), rng.uniform(0, 40, shape)
    coarse = rng.uniform(0, 255, (4, 4, channels))
    rows, cols = (np.arange(n) * 4 // n for n in (height, width))
    smooth = np.clip(coarse[rows][:, cols] + rng.normal(0, 8, shape), 0, 255)
    return np.stack([plain, smooth, dark]).astype(np.float32)
