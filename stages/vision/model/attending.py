"""The attention of a transformer's blocks, as slots of a program of its own.

Keras computes what its tokens attend to inside one layer. Here such a step becomes two, one that makes the
probabilities and one that mixes the values by them, so that they can be read, differentiated by and changed. That the
two give what the layer does is shown on noise; where they do not, the step stays one and its attention is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import keras
import tensorflow as tf

from activation_atlas.stages.vision.model.agreement import agree
from activation_atlas.stages.vision.model.half import simplifier
from activation_atlas.stages.vision.model.program import Environment, Program, Slot, Step


@dataclass(frozen=True)
class Attention:
    """What the tokens of a block attend to.

    Attributes:
        name: path of the call that attends, ``encoder/layer_3/attention``.
        slot: of the probabilities (n, heads, tokens, tokens): how much each token (third axis) takes from each other.
        heads: how many attend side by side.
        tokens: how many there are, with those beside the patches.
        query, output: slots of the tokens that attend, and of what they take by it.
    """

    name: str
    slot: int
    heads: int
    tokens: int
    query: int
    output: int


@dataclass(frozen=True)
class Scores:
    """The first half of a ``MultiHeadAttention``: its probabilities."""

    layer: Any

    def __call__(self, *args: Any, **kwargs: Any) -> tf.Tensor:
        return self.layer(*args, **{**kwargs, "return_attention_scores": True})[1]


@dataclass(frozen=True)
class Mixed:
    """The second half: the values, mixed by the probabilities, projected."""

    layer: Any

    def __call__(self, scores: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        value = self.layer.value_dense(tf.cast(value, self.layer.compute_dtype))
        return self.layer.output_dense(tf.einsum("nhts,nshd->nthd", scores, value))


@dataclass(frozen=True)
class Weights:
    """The first half of ``keras.ops.dot_product_attention``: what it makes of values of which each is one token's."""

    operation: Any

    def __call__(self, query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, *args: Any, **kwargs: Any) -> tf.Tensor:
        count, tokens, heads = (tf.shape(value)[axis] for axis in range(3))
        own = tf.eye(tokens, batch_shape=[count], dtype=value.dtype)
        own = tf.repeat(own[:, :, None], heads, 2)
        return tf.transpose(self.operation(query, key, own, *args, **kwargs), (0, 2, 1, 3))


def mixed(scores: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """The second half: each head's values (n, S, heads, c), mixed by its probabilities (n, heads, T, S)."""
    return tf.einsum("nhts,nshd->nthd", scores, tf.cast(value, scores.dtype))


class Attending:
    """A program whose attention lies in slots.

    Attributes:
        program: steps that give what the network's own give; slots of that one keep their numbers.
        found: the blocks' attention, in running order. Among all tokens of an image only: not within windows, and not
            of a few queries to the tokens.
    """

    def __init__(
        self,
        program: Program,
        shapes: Mapping[int, tuple],
        native: Mapping[int, str],
        begin: Callable[[tf.Tensor], Environment],
        out: Callable[[tf.Tensor], tf.Tensor],
    ) -> None:
        """
        Args:
            shapes, native: slot number to tensor shape, for two images, and to dtype.
            begin: what a model receives -> what the program starts with.
            out: logits as the program holds them -> in the model's type.
        """
        self._begin, self._out = begin, out
        self.program, self.found = _parted(program, shapes)
        self._slots = [attention.slot for attention in self.found]
        made = {i: native[step.outputs[0]] for step in self.program.steps for i in step.inputs if i in self._slots}
        self._simplify = simplifier(self.program, {**native, **made})

    def __call__(self, x: tf.Tensor, tape: tf.GradientTape | None = None) -> tuple[list[tf.Tensor], tf.Tensor]:
        """x in the model's range -> each block's attention (n, heads, tokens, tokens), and logits (n, K), in one pass.

        Args:
            tape: watches the attention as it is made: what lies before it is not differentiated.
        """
        values = self._begin(x)
        wanted = [*self._slots, self.program.output]
        for step in self._simplify(self.program.before(wanted), wanted):
            step(values)
            if tape is not None and step.outputs[0] in self._slots:
                tape.watch(values[step.outputs[0]])
        return [values[slot] for slot in self._slots], self._out(values[self.program.output])


def _parted(program: Program, shapes: Mapping[int, tuple]) -> tuple[Program, tuple[Attention, ...]]:
    """The program with its attention in slots, and which slots those are."""
    steps: list[Step] = []
    found: list[Attention] = []
    count = program.slots
    for step in program.steps:
        parts = _parts(step, shapes)
        if parts is None:
            steps.append(step)
            continue
        first, second, query, value, heads = parts
        output, *asked = step.outputs  # a network may look at its own attention
        slot = asked[0] if asked else count
        count += not asked
        steps.append(replace(step, name=f"{step.name}/scores", operation=first, outputs=(slot,)))
        steps.append(Step(step.name, second, (Slot(slot), Slot(value)), {}, (slot, value), (output,)))
        found.append(Attention(step.name, slot, heads, shapes[output][1], query, output))
    return replace(program, steps=tuple(steps), slots=count, _made_by={}), tuple(found)


def _parts(step: Step, shapes: Mapping[int, tuple]) -> tuple[Callable, Callable, int, int, int] | None:
    """What makes the probabilities, what mixes, the slots of the queries and the values, and the number of heads."""
    operation = step.operation
    if isinstance(operation, keras.layers.MultiHeadAttention):
        given = _given(operation.call, step)
        query, value = (given.get(name) for name in ("query", "value"))
        if not _same_tokens(query, value, shapes, 3):
            return None
        first, second = Scores(operation), Mixed(operation)
        quick = lambda x: second(first(x, x, training=False), x)  # noqa: E731
        plain = lambda x: operation(x, x, training=False)  # noqa: E731
        holds = agree(quick, plain, shapes[query.number], operation.compute_dtype)
        return (first, second, query.number, value.number, operation.num_heads) if holds else None
    if step.kind == "DotProductAttention":
        given = _given(operation.call, step)
        query, value = (given.get(name) for name in ("query", "value"))
        if not _same_tokens(query, value, shapes, 4) or shapes[query.number] != shapes[value.number]:
            return None
        weights = Weights(operation)
        quick = lambda x: mixed(weights(x, x, x), x)  # noqa: E731
        holds = agree(quick, lambda x: operation(x, x, x), shapes[query.number], "float32")
        return (weights, mixed, query.number, value.number, shapes[query.number][2]) if holds else None
    return None


def _given(call: Callable[..., Any], step: Step) -> dict[str, Any]:
    return signature(call).bind(*step.args, **step.kwargs).arguments


def _same_tokens(query: Any, value: Any, shapes: Mapping[int, tuple], rank: int) -> bool:
    """Whether both are slots of one number of tokens, more than one, for each of two images."""
    if not (isinstance(query, Slot) and isinstance(value, Slot)):
        return False
    one, other = shapes.get(query.number, ()), shapes.get(value.number, ())
    return len(one) == len(other) == rank and one[:2] == other[:2] and one[0] == 2 and (one[1] or 0) > 1
