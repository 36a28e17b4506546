"""Heads that are affine in the layer (pooling and a Dense, say): one Jacobian serves every image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.model.half import unscaled

Head = Callable[[Sequence[tf.Tensor]], tf.Tensor]
MAGNITUDES = (0.01, 1.0, 100.0)
TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2, "bfloat16": 8e-2}
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""By the type the head computes in: what may be missing of the largest change, and how it rounds."""
LARGEST = 256 * 2**20
"""Bytes a Jacobian may take; a larger one is not kept and the head is treated as any other."""


def is_affine(head: Head, shapes: Sequence[tuple], dtype: str, computed_in: Iterable[str] = ()) -> bool:
    """Whether logits change by the same linear map whatever the layer and the other tensors hold.

    Decided twice. The gradient's graph reads neither the layer nor the other tensors: no bend is missed, however far
    from what is drawn here. And by numbers, because a gradient may be another than the function's (straight through a
    rounding): additivity and independence of the other tensors, at several magnitudes and both signs.

    Args:
        shapes: of the layer's output and of the other tensors the head reads, without the batch.
        dtype: of the layer's output and of the logits.
        computed_in: types of what is in between.
    """
    if not has_constant_gradient(head, shapes, dtype):
        return False
    coarsest = max((t for t in (dtype, *computed_in) if t in TOLERANCE), key=TOLERANCE.__getitem__)
    rng = np.random.default_rng(0)
    apply = tf.function(head, autograph=False)
    for magnitude in MAGNITUDES:
        x, y = (_draw(rng, shapes[0], magnitude, dtype) for _ in range(2))
        rest = [_draw(rng, shape, 1.0, dtype) for shape in shapes[1:]]
        other = [_draw(rng, shape, 10.0, dtype) for shape in shapes[1:]]
        zero = tf.zeros_like(x)
        at_zero = apply([zero, *rest])
        alone, together = apply([x, *rest]) - at_zero, apply([x + y, *rest]) - at_zero
        sum_of_both = alone + apply([y, *rest]) - at_zero
        scale = max(float(tf.reduce_max(tf.abs(together))), float(tf.reduce_max(tf.abs(alone))))
        gaps = [together - sum_of_both]
        largest = tf.reduce_max(tf.abs(at_zero))
        if rest:
            other_zero = apply([zero, *other])
            gaps.append(apply([x, *other]) - other_zero - alone)
            largest = tf.maximum(largest, tf.reduce_max(tf.abs(other_zero)))
        # A small change of large logits drowns in their rounding; the larger magnitudes tell.
        slack = 64 * EPSILON[coarsest] * float(largest)
        widest = np.max([np.abs(gap.numpy()).max() for gap in gaps])
        if not widest <= TOLERANCE[coarsest] * scale + slack:  # also where something overflowed
            return False
    return True


_SHAPE_ALONE = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}
_READ_BY_SHAPE = {"ResizeBilinearGrad": {1}, "ResizeBicubicGrad": {1}, "ScaleAndTranslateGrad": {1}}
"""Operations that read nothing but shapes; inputs of others that are read for their shape alone, by number."""


def has_constant_gradient(head: Head, shapes: Sequence[tuple], dtype: str) -> bool:
    """Whether the graph of d (u . logits) / d layer computes with nothing but u and weights; it is not run.

    False also where there is no gradient, and for what hides its graph (loops).
    """
    specs = [tf.TensorSpec((2, *shape), dtype) for shape in shapes]

    def slope(*tensors: tf.Tensor) -> tf.Tensor:
        with unscaled(), tf.GradientTape() as tape:
            tape.watch(tensors[0])
            logits = head(tensors)
        return tf.convert_to_tensor(tape.gradient(logits, tensors[0], output_gradients=tf.ones_like(logits)))

    try:
        graph = tf.function(slope, autograph=False).get_concrete_function(*specs).graph
    except (LookupError, TypeError, ValueError):  # an operation without a gradient; None is no tensor
        return False
    held = {id(tensor.op) for tensor in graph.inputs[: len(specs)]}  # weights follow
    wanted, seen = [graph.outputs[0].op], set()
    while wanted:
        operation = wanted.pop()
        if id(operation) in held:
            return False
        if id(operation) in seen or operation.type in _SHAPE_ALONE:
            continue
        seen.add(id(operation))
        unread = _READ_BY_SHAPE.get(operation.type, set())
        wanted.extend(tensor.op for k, tensor in enumerate(operation.inputs) if k not in unread)
    return True


def _draw(rng: np.random.Generator, shape: tuple, magnitude: float, dtype: str) -> tf.Tensor:
    """Two random tensors; half of a value is its channel's own, which the mean over many positions leaves as it is."""
    channel = rng.normal(0, magnitude, (2, *[1] * (len(shape) - 1), shape[-1]))
    return tf.constant(channel + rng.normal(0, magnitude, (2, *shape)), dtype)


def jacobian(head: Head, shapes: Sequence[tuple], classes: int, dtype: str) -> np.ndarray | None:
    """d logits / d layer of an affine head.

    Returns:
        (1, C, K) where all positions count alike, else (H * W, C, K); None where that is larger than LARGEST.
    """
    height, width, channels = shapes[0]
    size = np.dtype(dtype).itemsize * channels * classes
    chunk = int(np.clip(2**24 // max(1, height * width * channels), 1, min(classes, 128)))

    @tf.function(autograph=False)
    def rows(first: tf.Tensor) -> tf.Tensor:
        x = tf.zeros((chunk, height, width, channels), dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = head([x, *(tf.zeros((chunk, *shape), dtype) for shape in shapes[1:])])
            wanted = tf.minimum(first + tf.range(chunk), classes - 1)
            score = tf.reduce_sum(tf.gather(logits, wanted, axis=1, batch_dims=1))
        return tf.reshape(tape.gradient(score, x, unconnected_gradients="zero"), (chunk, height * width, channels))

    everywhere, fits = True, size * height * width <= LARGEST
    found: list[np.ndarray] = []
    for first in range(0, classes, chunk):
        part = rows(tf.constant(first)).numpy()[: classes - first]
        alike = np.abs(part - part[:, :1]).max() <= 4 * np.finfo(dtype).eps * np.abs(part).max()
        if everywhere and not alike:
            everywhere = False
            if not fits:
                return None
            found = [np.repeat(p, height * width, 1) for p in found]
        found.append(part[:, :1] if everywhere else part)
    return np.ascontiguousarray(np.concatenate(found).transpose(1, 2, 0))
