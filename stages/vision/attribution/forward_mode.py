"""What a position of a layer argues for, for every class at once: a . d logit / d a by forward-mode differentiation.

The tangent is the layer's activation at the position and zero elsewhere
(Carter et al., Activation Atlas, 2019, with its linear approximation of the
rest of the network). Four algorithms for the same numbers, the quickest that holds
(:mod:`proof` tells which do):

- ``affine``: the head is an affine map, so its Jacobian is computed once;
- ``windows``: the tangent is pushed step by step through the linearised head,
  inside the window it can reach (:mod:`tangents`);
- ``accumulator``: ``tf.autodiff.ForwardAccumulator`` over the head as it is;
- ``backprop``: no forward mode, but one reverse pass for each class of each
  image, where TensorFlow has no forward derivative of what the head does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.attribution.affine import jacobian
from activation_atlas.stages.vision.attribution.local_maps import LocalMap, Positions, Span
from activation_atlas.stages.vision.attribution.tangents import RULES, Primals, Tangent, differentiated, propagate
from activation_atlas.stages.vision.attribution.tangents.primals import values_of
from activation_atlas.stages.vision.model import Model
from activation_atlas.stages.vision.model.program import Step

Algorithm = Literal["affine", "windows", "accumulator", "backprop", "whole"]
WORKING = 48 * 2**20
"""Bytes that the widest tangents of one call may take."""


class ForwardMode:
    """Attributions of one layer of one model.

    Args:
        algorithm: as :func:`~stages.vision.attribution.choice.choose` found; it holds unchecked.
        classes: indices of the attributed classes; None for all.

    Attributes:
        count: k, attributed classes.
        slots: slots of the model's program whose values :meth:`__call__` is given; the layer's own first.
        jacobian: (1 or H * W, C, K) for an affine head, else None.
        most: positions that one call should take at most.
        twice: steps through which ``windows`` takes two reverse passes for each position.
        by_image: a call's cost goes by the images it is about, not by their positions.
        share: of the layer's values and those behind it, those inside of the windows; 1 for other algorithms.
    """

    rules, otherwise = RULES, staticmethod(differentiated)

    def __init__(self, model: Model, layer: str, algorithm: Algorithm, classes: Sequence[int] | None = None) -> None:
        self.model, self.layer = model, layer
        self.info = model.layer(layer)
        self.tapped = model.slot(layer)
        self.frontier = model.program.frontier(self.tapped)
        self.steps = model.program.after(self.tapped)
        self.jacobian: np.ndarray | None = None
        self.slots: list[int] = [self.tapped]
        self.most = 256
        self.algorithm: Algorithm = algorithm
        self.by_image = algorithm == "backprop"
        self.share = 1.0
        self.twice: list[Step] = []
        self._made: list[tuple[int, tf.Tensor]] | None = None
        self.classes = None if classes is None else tf.constant(list(classes), tf.int32)
        self.count = len(model.classes if classes is None else classes)
        getattr(self, f"_begin_{self.algorithm}")()

    def __call__(
        self, values: Sequence[tf.Tensor], positions: Positions, jacobian: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Traceable.

        Args:
            values: of :attr:`slots`, each (n, ...), from one forward pass.
            positions: m sampled positions of these n images.
            jacobian: :attr:`jacobian` as a tensor, so that a graph need not hold it.

        Returns:
            activations (m, C) and attributions (m, k), in logits.
        """
        maps = values[0]
        activation = tf.gather_nd(maps, tf.stack([positions.image, positions.row, positions.col], 1))
        value = dict(zip(self.slots, values, strict=True)).__getitem__
        if self.algorithm == "backprop":
            return activation, self._by_class(activation, positions, value)
        matrix = self.jacobian if jacobian is None else jacobian
        found = self._of_all(activation, positions, value, None if matrix is None else tf.convert_to_tensor(matrix))
        return activation, found if self.classes is None else tf.gather(found, self.classes, axis=1)

    def _of_all(
        self, activation: tf.Tensor, positions: Positions, value: Callable[[int], tf.Tensor], matrix: tf.Tensor | None
    ) -> tf.Tensor:
        """Of all classes, (m, K)."""
        if self.algorithm == "affine":
            return self._by_matrix(activation, positions, matrix)
        if self.algorithm == "accumulator" and not self._is_narrow():
            return self._by_accumulator(activation, positions, value)
        down, right = (Span(np.arange(full), 1, full) for full in (self.info.height, self.info.width))
        return self._by_windows(LocalMap(activation[:, None, None, :], down, right), positions, value)

    # -- affine ------------------------------------------------------------------

    def _begin_affine(self) -> None:
        self.jacobian = jacobian(self.model.head(self.layer), self._shapes(), len(self.model.classes), self.model.dtype)
        if self.jacobian is None:  # too large to keep
            self.algorithm = "windows"
            self._begin_windows()
        elif len(self.jacobian) > 1:
            self.most = int(np.clip(WORKING // self.jacobian[0].nbytes, 1, self.most))

    def _shapes(self) -> list[tuple]:
        return [self.model.shapes[slot][1:] for slot in (self.tapped, *self.frontier)]

    def _by_matrix(self, activation: tf.Tensor, positions: Positions, matrix: tf.Tensor) -> tf.Tensor:
        if matrix.shape[0] == 1:
            return activation @ matrix[0]
        own = tf.gather(matrix, positions.row * self.info.width + positions.col)
        return tf.squeeze(activation[:, None] @ own, 1)

    # -- windows -----------------------------------------------------------------

    def _begin_windows(self) -> None:
        """A dry run, to learn which values of the forward pass the rules ask for and how wide tangents get."""
        asked = [self.tapped]
        shapes, dtype, count = self.model.shapes, self.model.dtype, 2

        def value(slot: int) -> tf.Tensor:
            asked.append(slot)
            return tf.zeros((count, *shapes[slot][1:]), self.model.held(slot))

        def dry(image: tf.Tensor) -> tf.Tensor:
            tangent = tf.zeros((count, self.info.channels), dtype)
            return self._of_all(tangent, Positions(image, image, image), value, None)

        self._made = []
        tf.function(dry, autograph=False).get_concrete_function(tf.TensorSpec((count,), "int32"))
        made, self._made = self._made, None
        self.slots = list(dict.fromkeys(asked))
        sizes = [x.shape.num_elements() // count for _, x in made]
        widest = max([1, *(size * x.dtype.size for size, (_, x) in zip(sizes, made, strict=True))])
        self.most = int(np.clip(WORKING // widest, 4, self.most))
        self.share = sum(sizes) / max(1, sum(int(np.prod(shapes[slot][1:])) for slot, _ in made))

    def _by_windows(self, begun: LocalMap, positions: Positions, value: Callable[[int], tf.Tensor]) -> tf.Tensor:
        """What a change of the layer inside of a window makes of the logits, (m, K)."""
        model, info = self.model, self.info
        primals = Primals(
            positions, value, model.shapes, model.native, (info.height, info.width), model.dtype, self.twice
        )
        rules = self.rules if self.algorithm == "windows" else {}
        tangents: dict[int, Tangent] = {self.tapped: begun}
        if self._made is not None:
            self._made.append((self.tapped, begun.values))
        for step in self.steps:
            found = propagate(step, [tangents.get(slot) for slot in step.inputs], primals, rules, self.otherwise)
            tangents.update(zip(step.outputs, found, strict=True))
            if self._made is not None:
                self._made += [(i, values_of(t)) for i, t in zip(step.outputs, found, strict=True) if t is not None]
        return tangents[model.program.output]

    # -- accumulator -------------------------------------------------------------

    def _is_narrow(self) -> bool:
        """Whether changes would vanish in float16 on their way: each step alone is then differentiated at a scale."""
        native = self.model.native
        return any(native[slot] == "float16" for step in self.steps for slot in (*step.inputs, *step.outputs))

    def _begin_accumulator(self) -> None:
        if self._is_narrow():
            return self._begin_windows()
        self.slots = [self.tapped, *self.frontier]
        widest = max(int(np.prod(self.model.shapes[slot][1:])) for step in self.steps for slot in step.outputs)
        self.most = int(np.clip(WORKING // (4 * widest), 4, self.most))

    def _by_accumulator(
        self, activation: tf.Tensor, positions: Positions, value: Callable[[int], tf.Tensor]
    ) -> tf.Tensor:
        tiled = [tf.gather(value(slot), positions.image) for slot in (self.tapped, *self.frontier)]
        here = tf.stack([tf.range(tf.shape(activation)[0]), positions.row, positions.col], 1)
        tangent = tf.scatter_nd(here, activation, tf.shape(tiled[0], out_type="int32"))
        tangent = tf.ensure_shape(tangent, tiled[0].shape)
        with tf.autodiff.ForwardAccumulator(tiled[0], tangent) as accumulator:
            logits = self.model.head(self.layer)(tiled)
        return accumulator.jvp(logits, tf.UnconnectedGradients.ZERO)

    # -- backprop ----------------------------------------------------------------

    def _begin_backprop(self) -> None:
        self.slots = [self.tapped, *self.frontier]
        sizes = [int(np.prod(self.model.shapes[slot][1:])) for step in self.steps for slot in step.outputs]
        self.chunk = int(np.clip(WORKING // (4 * max(1, max(sizes))), 1, min(self.count, 32)))

    def _by_class(self, activation: tf.Tensor, positions: Positions, value: Callable[[int], tf.Tensor]) -> tf.Tensor:
        """One gradient for each image and class, in chunks of so many; then a look at the positions of the image."""
        model, head = self.model, self.model.head(self.layer)
        images, own = tf.unique(positions.image)
        classes = tf.range(self.count) if self.classes is None else self.classes
        jobs = tf.size(images) * self.count
        channels, most = self.info.channels, self.info.height * self.info.width

        def chunk(first: tf.Tensor) -> tf.Tensor:
            job = tf.minimum(first + tf.range(self.chunk), jobs - 1)
            rows = tf.gather(images, job // self.count)
            tensors = [tf.gather(value(slot), rows) for slot in self.slots]
            of_one = tf.one_hot(tf.gather(classes, job % self.count), len(model.classes), dtype=model.dtype)
            with tf.GradientTape() as tape:
                tape.watch(tensors[0])
                logits = head(tensors)
            found = tape.gradient(logits, tensors[0], output_gradients=of_one, unconnected_gradients="zero")
            found = tf.reshape(tf.convert_to_tensor(found), (self.chunk, most, channels))
            return tf.reduce_sum(
                tf.gather(found, positions.row * self.info.width + positions.col, axis=1) * activation, 2
            )

        signature = tf.TensorSpec((self.chunk, activation.shape[0]), activation.dtype)
        parts = tf.map_fn(chunk, tf.range(0, jobs, self.chunk), fn_output_signature=signature, parallel_iterations=1)
        count = tf.shape(activation)[0]
        table = tf.reshape(tf.reshape(parts, (-1, count))[:jobs], (-1, self.count, count))
        return tf.ensure_shape(
            tf.gather(tf.transpose(table, (2, 0, 1)), own, batch_dims=1), (activation.shape[0], self.count)
        )
