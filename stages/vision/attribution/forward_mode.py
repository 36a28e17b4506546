"""What a position of a layer argues for, for every class at once: a . d logit / d a by forward-mode differentiation.

The tangent is the layer's activation at the position and zero elsewhere
(Carter et al., Activation Atlas, 2019, with its linear approximation of the
rest of the network). Three ways to the same numbers, the quickest that holds:

- ``affine``: the head is an affine map, so its Jacobian is computed once;
- ``windows``: the tangent is pushed step by step through the linearised head,
  inside the window it can reach (:mod:`tangents`);
- ``accumulator``: ``tf.autodiff.ForwardAccumulator`` over the head as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from stages.vision.attribution.affine import is_affine, jacobian
from stages.vision.attribution.tangents import Push, Tangent, push_step
from stages.vision.attribution.windows import Places, Span, Window
from stages.vision.model import Model

log = logging.getLogger(__name__)

Way = Literal["affine", "windows", "accumulator"]
WORKING = 48 * 2**20
"""Bytes that the widest tangents of one call may take."""


class ForwardMode:
    """Attributions of one layer of one model.

    Args:
        way: how, if that was decided before (:func:`choose`); it then holds unchecked.

    Attributes:
        slots: slots of the model's program whose values :meth:`__call__` is given; the layer's own first.
        jacobian: (1 or H * W, C, K) for an affine head, else None.
        most: positions that one call should take at most.
    """

    def __init__(self, model: Model, layer: str, way: Way | None = None) -> None:
        self.model, self.layer = model, layer
        self.info = model.layer(layer)
        self.tapped = model.slot(layer)
        self.frontier = model.program.frontier(self.tapped)
        self.steps = model.program.after(self.tapped)
        self.jacobian: np.ndarray | None = None
        self.slots: list[int] = [self.tapped]
        self.most = 256
        self.way: Way = way or choose(model, layer)
        getattr(self, f"_begin_{self.way}")()

    def __call__(
        self, values: Sequence[tf.Tensor], places: Places, jacobian: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Traceable.

        Args:
            values: of :attr:`slots`, each (n, ...), from one forward pass.
            places: m sampled positions of these n images.
            jacobian: :attr:`jacobian` as a tensor, so that a graph need not hold it.

        Returns:
            activations (m, C) and attributions (m, K), in logits.
        """
        maps = values[0]
        activation = tf.gather_nd(maps, tf.stack([places.image, places.row, places.col], 1))
        if self.way == "affine":
            matrix = tf.constant(self.jacobian) if jacobian is None else jacobian
            return activation, self._by_matrix(activation, places, matrix)
        held = dict(zip(self.slots, values, strict=True))
        push = self._by_accumulator if self.way == "accumulator" else self._by_windows
        return activation, push(activation, places, held.__getitem__)

    # -- affine ------------------------------------------------------------------

    def _begin_affine(self) -> None:
        self.jacobian = jacobian(self.model.head(self.layer), self._shapes(), len(self.model.classes), self.model.dtype)
        if self.jacobian is None:  # too large to keep
            self.way = "windows"
            self._begin_windows()
        elif len(self.jacobian) > 1:
            self.most = int(np.clip(WORKING // self.jacobian[0].nbytes, 1, self.most))

    def _shapes(self) -> list[tuple]:
        return [self.model.shapes[slot][1:] for slot in (self.tapped, *self.frontier)]

    def _by_matrix(self, activation: tf.Tensor, places: Places, matrix: tf.Tensor) -> tf.Tensor:
        if matrix.shape[0] == 1:
            return activation @ matrix[0]
        own = tf.gather(matrix, places.row * self.info.width + places.col)
        return tf.squeeze(activation[:, None] @ own, 1)

    # -- windows -----------------------------------------------------------------

    def _begin_windows(self) -> None:
        """A dry run, to learn which values of the forward pass the rules ask for and how wide tangents get."""
        asked, widest = [self.tapped], [0]
        shapes, dtype, count = self.model.shapes, self.model.dtype, 2

        def value(slot: int) -> tf.Tensor:
            asked.append(slot)
            return tf.zeros((count, *shapes[slot][1:]), dtype)

        def dry(image: tf.Tensor) -> tf.Tensor:
            tangent = tf.zeros((count, self.info.channels), dtype)
            return self._by_windows(tangent, Places(image, image, image), value, widest)

        tf.function(dry, autograph=False).get_concrete_function(tf.TensorSpec((count,), "int32"))
        self.slots = list(dict.fromkeys(asked))
        self.most = int(np.clip(WORKING // max(1, widest[0] // count), 4, self.most))

    def _by_windows(
        self,
        activation: tf.Tensor,
        places: Places,
        value: Callable[[int], tf.Tensor],
        widest: list[int] | None = None,
    ) -> tf.Tensor:
        model, info = self.model, self.info
        push = Push(places, value, model.shapes, model.native, (info.height, info.width), model.dtype)
        down, right = Span(np.arange(info.height), 1, info.height), Span(np.arange(info.width), 1, info.width)
        tangents: dict[int, Tangent] = {self.tapped: Window(activation[:, None, None, :], down, right)}
        for step in self.steps:
            found = push_step(step, [tangents.get(slot) for slot in step.inputs], push)
            tangents.update(zip(step.outputs, found, strict=True))
            if widest is not None:
                sizes = [t.values if isinstance(t, Window) else t for t in found]
                widest.extend(int(np.prod(t.shape)) * t.dtype.size for t in sizes)
        if widest is not None:
            widest[0] = max(widest)
        return tangents[model.program.output]

    # -- accumulator -------------------------------------------------------------

    def _begin_accumulator(self) -> None:
        self.slots = [self.tapped, *self.frontier]
        widest = max(int(np.prod(self.model.shapes[slot][1:])) for step in self.steps for slot in step.outputs)
        self.most = int(np.clip(WORKING // (4 * widest), 4, self.most))

    def _by_accumulator(self, activation: tf.Tensor, places: Places, value: Callable[[int], tf.Tensor]) -> tf.Tensor:
        tiled = [tf.gather(value(slot), places.image) for slot in (self.tapped, *self.frontier)]
        here = tf.stack([tf.range(tf.shape(activation)[0]), places.row, places.col], 1)
        tangent = tf.scatter_nd(here, activation, tf.shape(tiled[0], out_type="int32"))
        tangent = tf.ensure_shape(tangent, tiled[0].shape)
        with tf.autodiff.ForwardAccumulator(tiled[0], tangent) as accumulator:
            logits = self.model.head(self.layer)(tiled)
        return accumulator.jvp(logits, tf.UnconnectedGradients.ZERO)


CLOSE = {"float32": 1e-4, "float64": 1e-9}


def choose(model: Model, layer: str) -> Way:
    """The quickest way that gives what the accumulator gives, tried on noise.

    A way is taken on its numbers alone: corners, edges and the middle of two
    random images must agree, or the accumulator is used and the log says so.
    """
    slot = model.slot(layer)
    shapes = [model.shapes[s][1:] for s in (slot, *model.program.frontier(slot))]
    way: Way = "affine" if is_affine(model.head(layer), shapes, model.dtype) else "windows"
    half = any(model.native[s] in ("float16", "bfloat16") for s in model.program.names.values() if s in model.native)
    close = 0.1 if half else CLOSE[model.dtype]
    try:
        gap = disagreement(model, layer, way)
    except Exception as error:
        gap, reason = np.inf, (str(error).splitlines() or [type(error).__name__])[0][:200]
        log.warning("layer %s: attributions %s cannot be traced (%s)", layer, way, reason)
    if gap <= close:
        return way
    log.warning("layer %s: attributions by the accumulator (%s differ by %.1e)", layer, way, gap)
    return "accumulator"


def disagreement(model: Model, layer: str, way: Way) -> float:
    """Largest difference between a way and the accumulator on noise, over the largest attribution."""
    info = model.layer(layer)
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 255, (2, *model.input_size, model.channels)).astype("float32")
    rows, cols = ([0, 1, n // 2, n - 1] for n in (info.height, info.width))
    grid = np.array([(r, c) for r in rows for c in cols]) % [info.height, info.width]
    drawn = rng.integers(0, [info.height, info.width], (4, 2))
    places = np.concatenate([grid, drawn]).astype("int32")
    image = tf.constant(np.arange(len(places)) % 2, tf.int32)
    tried, plain = ForwardMode(model, layer, way), ForwardMode(model, layer, "accumulator")

    @tf.function(autograph=False)
    def both(image: tf.Tensor, row: tf.Tensor, col: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        slots = list(dict.fromkeys([*tried.slots, *plain.slots]))
        held = dict(zip(slots, model.values(model.to_input(pixels), slots), strict=True))
        at = Places(image, row, col)
        return tuple(each([held[s] for s in each.slots], at)[1] for each in (tried, plain))

    found, expected = both(image, tf.constant(places[:, 0]), tf.constant(places[:, 1]))
    scale = float(tf.reduce_max(tf.abs(expected)))
    return float(tf.reduce_max(tf.abs(found - expected))) / scale if scale else float(tf.reduce_max(tf.abs(found)))
