"""Two steps in one, where that is exact: fewer passes over maps, forward and on the way back.

A batch norm multiplies each channel by ``gamma / sqrt(variance + epsilon)`` at inference and adds a constant; so can
the kernel and bias of the convolution before it (Jacob et al. 2018, section 3.2). The products are taken in float64,
so that each is rounded once. A zero padding before a convolution is, for most input sizes, the padding that ``same``
stands for, and is then not written out. A map that is turned as the image lies and back is left as it is, and so is a
sequence of tokens that is laid out as a map and joined again. Each pair proves on noise that one step does what the two
did, or stays two; that tokens are what they were needs no proof.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.model.agreement import agree
from activation_atlas.stages.vision.model.geometry import Reorientation, Sliding, TokenMap, TokenSequence
from activation_atlas.stages.vision.model.program import Program, Step

_CONVOLUTIONS = {keras.layers.Conv2D: ("filters", "groups"), keras.layers.DepthwiseConv2D: ("depth_multiplier",)}
"""The layers, and what each is declared with besides :data:`_OPTIONS`."""
_OPTIONS = ("name", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation", "use_bias")


class Folding:
    """The pairs of a program's steps that can be one; each is made when it is first needed."""

    def __init__(self, program: Program) -> None:
        self._reads = Counter(slot for step in program.steps for slot in step.inputs) + Counter([program.output])
        self._made: dict[tuple[int, int], Any] = {}

    def __call__(self, steps: Iterable[Step], kept: Iterable[int]) -> list[Step]:
        """``steps`` with fewer of them.

        Args:
            steps: of the program, in running order.
            kept: slots whose values are wanted or given; of the others some may not be filled.
        """
        kept = set(kept)
        for fit, join in ((_undone, _unturned), (_normalised, _folded), (_padded, Padded)):
            steps = self._joined(steps, kept, fit, join)
        return _unlaid(steps, kept)

    def _joined(
        self,
        steps: Iterable[Step],
        kept: set[int],
        fit: Callable[[Any, Any], bool],
        join: Callable[[Any, Any], Any],
    ) -> list[Step]:
        makers: dict[int, Step] = {}
        for step in steps:
            slot = step.inputs[0] if len(step.inputs) == 1 else None
            first = None if slot in kept or self._reads[slot] != 1 else makers.get(slot)
            if first is not None and fit(first.operation, step.operation):
                operation = self._one(first.operation, step.operation, join)
                if operation is not None:
                    del makers[slot]
                    step = Step(step.name, operation, first.args, first.kwargs, first.inputs, step.outputs)
            makers[step.outputs[0]] = step
        return list(makers.values())

    def _one(self, first: Any, second: Any, join: Callable[[Any, Any], Any]) -> Any:
        key = id(first), id(second)  # of layers that the program or this cache keeps alive
        if key not in self._made:
            with tf.init_scope():  # the first need may come while a graph is traced; weights are none of its nodes
                self._made.setdefault(key, join(first, second))  # another thread may have been quicker
        return self._made[key]


def _unturned(view: Any, back: Any) -> Any | None:
    shape = (2, 3, 4, 5, 6)[: len(view.order)]
    return tf.identity if agree(tf.identity, lambda x: back(view(x)), shape, "float32") else None


def _unlaid(steps: Iterable[Step], kept: set[int]) -> list[Step]:
    """Without sequences laid out as maps that nobody asks for."""
    steps, laid = list(steps), {}
    for step in steps:
        if isinstance(step.operation, TokenMap) and kept.isdisjoint(step.outputs):
            laid[step.outputs] = step
    joined = {step.inputs for step in steps if isinstance(step.operation, TokenSequence)} & laid.keys()
    found = []
    for step in steps:
        if step.inputs in joined and isinstance(step.operation, TokenSequence):
            first = laid[step.inputs]
            step = Step(step.name, tf.identity, first.args, first.kwargs, first.inputs, step.outputs)
        elif step.outputs in joined and isinstance(step.operation, TokenMap):
            continue
        found.append(step)
    return found


def _folded(convolution: Any, norm: Any) -> Any | None:
    """:func:`folded`, where it holds on noise of two positions of the convolution's output."""
    one = folded(convolution, norm)
    along = map(Sliding, convolution.kernel_size, convolution.strides, convolution.dilation_rate)
    sides = (each.span + each.stride for each in along)
    shape = (2, *sides, convolution.weights[0].shape[2] * getattr(convolution, "groups", 1))
    return one if agree(one, lambda x: norm(convolution(x), training=False), shape, convolution.compute_dtype) else None


def folded(convolution: Any, norm: Any) -> Any:
    """One convolution layer that does what ``convolution`` and then ``norm`` do."""
    gamma, beta, mean, variance = moments(norm)
    kernel, *bias = (w.numpy().astype(np.float64) for w in convolution.weights)
    depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
    dtype = convolution.variable_dtype
    with np.errstate(all="ignore"):  # what is infinite or nan here is so in the layers
        scale = gamma / np.sqrt(variance + norm.epsilon)
        kernel = (kernel * (scale.reshape(kernel.shape[2:]) if depthwise else scale)).astype(dtype)
        shift = (beta + scale * ((bias[0] if bias else 0.0) - mean)).astype(dtype)
    weights = [keras.Variable(value, trainable=False, dtype=dtype) for value in (kernel, shift)]  # no tape watches them
    return _twin(convolution, weights, name=norm.name, use_bias=True)


def moments(norm: Any) -> Sequence[np.ndarray]:
    """gamma, beta, mean and variance of a batch norm, float64, each (channels,)."""
    rows = (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    found = [None if row is None else row.numpy().astype(np.float64) for row in rows]
    size = found[2].shape
    return [np.full(size, default) if row is None else row for row, default in zip(found, (1, 0, 0, 1), strict=True)]


@dataclass
class Padded:
    """A zero padding and the convolution behind it, which takes over the padding where that is what it calls same."""

    padding: Any
    convolution: Any

    def __post_init__(self) -> None:
        self.same = _twin(self.convolution, self.convolution.weights, padding="same")
        self._proved: dict[tuple, bool] = {}

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:  # called as the padding is, be it by keyword
        return self.same(inputs) if self.is_same(inputs.shape) else self.convolution(self.padding(inputs))

    def is_same(self, shape: tf.TensorShape) -> bool:
        """Whether ``same`` is this padding for maps (n, h, w, c) of that shape, by arithmetic and on noise."""
        layer = self.convolution
        axes = zip(shape[1:3], layer.kernel_size, layer.strides, layer.dilation_rate, self.padding.padding, strict=True)
        if not all(n is not None and Sliding.over(n, *axis, "same").padding == given for n, *axis, given in axes):
            return False
        sizes = tuple(shape[1:])
        if sizes not in self._proved:
            plain = lambda x: layer(self.padding(x))  # noqa: E731
            self._proved[sizes] = agree(self.same, plain, (1, *sizes), layer.compute_dtype)
        return self._proved[sizes]


def _twin(layer: Any, weights: Sequence[keras.Variable], **options: Any) -> Any:
    """A layer like this one with other options, and with these very weights.

    Not from its config: that cannot hold every activation (a ReLU's rule), and initializers would draw in vain.
    """
    same = {name: getattr(layer, name) for name in (*_OPTIONS, *_CONVOLUTIONS[type(layer)])}
    twin = type(layer)(**{**same, "dtype": layer.dtype_policy, **options})
    (kernel,) = (name for name, value in vars(layer).items() if value is layer.weights[0])  # "kernel" or "_kernel"
    for name, weight in zip((kernel, "bias"), weights, strict=False):
        setattr(twin, name, weight)
    twin.built = True
    return twin


def _is_convolution(layer: Any) -> bool:
    """Whether the layer is a convolution of maps with their channels last, with no weights but its own."""
    return (
        type(layer) in _CONVOLUTIONS
        and layer.data_format == "channels_last"
        and layer.quantization_mode is None
        and not isinstance(layer.dtype_policy, keras.dtype_policies.DTypePolicyMap)  # goes by a layer's path
        and len(layer.weights) == 1 + layer.use_bias
    )


def _normalised(layer: Any, norm: Any) -> bool:
    """Whether a convolution and nothing else comes before a batch norm of its channels, in one precision."""
    return (
        type(norm) is keras.layers.BatchNormalization
        and norm.axis in (-1, 3)
        and _is_convolution(layer)
        and layer.activation in (None, keras.activations.linear)
        and {layer.compute_dtype, layer.variable_dtype, norm.compute_dtype, norm.variable_dtype}
        in ({"float32"}, {"float64"})
    )


def _padded(padding: Any, layer: Any) -> bool:
    """Whether a padding with zeros, in one precision with it, comes before a convolution that pads nothing."""
    return (
        type(padding) is keras.layers.ZeroPadding2D
        and padding.data_format == "channels_last"
        and _is_convolution(layer)
        and layer.padding == "valid"
        and padding.compute_dtype == layer.compute_dtype
    )


def _undone(view: Any, back: Any) -> bool:
    """Whether a map is turned as the image lies, which nobody asks for, and turned back."""
    return isinstance(view, Reorientation) and back == view.inverse
