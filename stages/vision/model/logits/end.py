"""The end of a program, opened for walking back from the output: activations are steps of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from activation_atlas.stages.vision.model.keras_adapter import with_attributes
from activation_atlas.stages.vision.model.logits.meaning import Meaning, precision, tell
from activation_atlas.stages.vision.model.program import Program, Slot, Step, call, flatten, run

_LINEAR = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.BatchNormalization,
    *(getattr(keras.layers, f"Conv{k}D{way}") for k in (1, 2, 3) for way in ("", "Transpose")),
    *(getattr(keras.layers, f"{kind}Conv{k}D") for k in (1, 2) for kind in ("Depthwise", "Separable")),
)


class End:
    """A program to whose end steps are added, and whose layers are parted from their activations where one walks by.

    Attributes:
        input, output: slots of the program.
        shapes: slot to shape, for a batch of two; None where a step's result was not asked for.
        native: slot to dtype.
    """

    def __init__(self, program: Program, shapes: Mapping[int, tuple], native: Mapping[int, str]) -> None:
        self.input, self.output = program.input, program.output
        self.shapes, self.native = dict(shapes), dict(native)
        self._program, self._count = program, program.slots
        self._steps: list[list[Step]] = [[step] for step in program.steps]
        self._added: list[Step] = []
        self._place = {slot: k for k, step in enumerate(program.steps) for slot in step.outputs}
        self._maker = {slot: step for step in program.steps for slot in step.outputs}
        self._meanings: dict[int, Meaning | None] = {}
        self._whole: set[int] = set()
        self._parted: dict[int, int] = {}

    # -- looking ------------------------------------------------------------------

    def maker(self, slot: int) -> Step | None:
        """The step that fills a slot, without the layer before it where it is an activation; None for the input."""
        step = self._maker.get(slot)
        if step is not None and has_weights(step.operation) and slot not in self._whole:
            self._part(slot, step)
        return self._maker.get(slot)

    def meaning(self, slot: int) -> Meaning | None:
        """What the step that fills a slot computes of its one tensor; None where it is nothing of the kind."""
        step = self.maker(slot)
        if slot not in self._meanings:
            one = step is not None and len(step.inputs) == len(step.outputs) == 1 and not has_weights(step.operation)
            self._meanings[slot] = self._told(slot, step) if one else None
        return self._meanings[slot]

    def _told(self, slot: int, step: Step) -> Meaning | None:
        (below,) = step.inputs
        found = tell(_alone(step), self.shapes[below], self.native[below])
        if found is None and not _is_of_keras(step.operation) and self._open(slot, step):
            return self.meaning(slot)
        return found

    def last(self) -> int:
        """The output, or what it is but for moves."""
        slot = self.output
        while (meaning := self.meaning(slot)) is not None and meaning.kind == "move":
            (slot,) = self.maker(slot).inputs
        return slot

    def is_one(self, slot: int) -> bool:
        """Whether a slot holds one number for each image."""
        shape = self.shapes[slot]
        return len(shape) > 0 and shape[0] == 2 and int(np.prod(shape[1:])) == 1

    def is_linear(self, slot: int) -> bool:
        """Whether a slot is filled by a layer that may return any number."""
        step = self.maker(slot)
        operation = step.operation if step else None
        while isinstance(operation, keras.layers.Wrapper):
            operation = operation.layer
        return isinstance(operation, _LINEAR) and _is_plain(operation)

    def springs(self, slot: int) -> Counter:
        """How many softmaxes, sigmoids and other things a slot is made of, walking back through what has no weights."""
        found, seen, wanted = Counter(), set(), [slot]
        while wanted:
            at = wanted.pop()
            if at in seen:
                continue
            seen.add(at)
            step, meaning = self.maker(at), self.meaning(at)
            kind = None if meaning is None else meaning.kind.removeprefix("log_")
            if kind in ("softmax", "sigmoid"):
                found[kind] += 1
            elif step is None or has_weights(step.operation):
                found["other"] += 1
            else:
                wanted.extend(step.inputs)
        return found

    def cuts(self, slot: int) -> list[int]:
        """Slots from which a slot follows by steps without weights alone."""
        found, seen, wanted = [], set(), [slot]
        while wanted:
            at = wanted.pop()
            if at in seen:
                continue
            seen.add(at)
            step = self.maker(at)
            if step is None or has_weights(step.operation):
                found.append(at)
            else:
                wanted.extend(step.inputs)
        return sorted(found)

    # -- changing -----------------------------------------------------------------

    def add(self, name: str, function: Callable[..., Any], inputs: Sequence[int], shape: tuple) -> int:
        """Appends a function of tensors; the slot it fills, of the given shape."""
        slot = self._new(shape, "float64" if self.native[inputs[0]] == "float64" else "float32")
        self._append(call(f"logits/{name}", function, inputs, slot))
        return slot

    def again(self, step: Step, instead: Mapping[int, int]) -> int:
        """Appends a step once more, reading other slots; the slot it fills."""
        (old,) = step.outputs
        slot = self._new(self.shapes[old], self.native[instead[step.inputs[0]]])
        self._append(replace(_renumbered(step, {**instead, old: slot}), name=f"logits/{step.name}"))
        return slot

    def before(self, slots: Iterable[int], given: Iterable[int] = ()) -> list[Step]:
        """The steps that compute ``slots`` from the input, and from the slots ``given``."""
        return self._all().before(slots, given)

    def program(self, output: int) -> Program:
        """The program that ends in a slot: all steps that there were, and of the new ones those that it needs."""
        needed = self.before([output])
        held = {slot for step in needed for slot in step.outputs}
        read = Counter([output, *(slot for step in needed for slot in step.inputs)])
        kept = []
        for group, old in zip(self._steps, self._program.steps, strict=True):
            # Parted in vain: nothing but the activation reads what the layer gives without it.
            vain = len(group) == 2 and group[1].outputs[0] in held and read[group[0].outputs[0]] == 1
            kept.extend([old] if vain else group)
        kept.extend(step for step in self._added if held.issuperset(step.outputs))
        # A layer whose activation is no longer computed is the layer without it.
        names = {
            name: self._parted[slot] if slot not in held and self._parted.get(slot) in held else slot
            for name, slot in self._program.names.items()
        }
        return replace(self._all(), steps=tuple(kept), output=output, names=names, _made_by={})

    def _all(self) -> Program:
        steps = tuple(step for group in [*self._steps, self._added] for step in group)
        return replace(self._program, steps=steps, slots=self._count, _made_by={})

    def _new(self, shape: tuple, dtype: str) -> int:
        slot, self._count = self._count, self._count + 1
        self.shapes[slot], self.native[slot] = shape, dtype
        return slot

    def _append(self, step: Step) -> None:
        self._added.append(step)
        self._maker.update(dict.fromkeys(step.outputs, step))

    def _open(self, slot: int, step: Step) -> bool:
        """Replaces a function that is none of Keras' own by the operations that it is made of, where it is of such."""
        (below,) = step.inputs
        try:
            image = keras.Input(batch_shape=(None, *self.shapes[below][1:]), dtype=self.native[below])
            inner = flatten(keras.Model(image, _function(step.operation)(image)), step.name)
        except Exception:  # whatever a function has against a symbolic tensor: then it stays whole
            return False
        found = inner.before([inner.output])
        number = {inner.input: below} | {tensor: self._new((), "float32") for s in found for tensor in s.outputs}
        number[inner.output] = slot
        steps = [_renumbered(s, number) for s in found]
        values = run(steps, {below: tf.zeros(self.shapes[below], self.native[below])}) if steps else {}
        if slot not in values:
            return False
        for tensor, value in values.items():
            self.shapes[tensor], self.native[tensor] = tuple(value.shape), value.dtype.name
        group = self._steps[self._place[slot]]
        self._steps[self._place[slot]] = [*(s for s in group if slot not in s.outputs), *steps]
        self._place |= {tensor: self._place[slot] for s in steps for tensor in s.outputs}
        self._maker |= {tensor: s for s in steps for tensor in s.outputs}
        return True

    def _part(self, slot: int, step: Step) -> None:
        """Replaces a layer by itself without its activation, and the activation, where that is the same."""
        self._whole.add(slot)
        parts = parted(step.operation) if len(step.inputs) == len(step.outputs) == 1 else None
        if parts is None:
            return
        bare, activation = parts
        inner = self._new(self.shapes[slot], self.native[slot])
        first, second = replace(step, operation=bare, outputs=(inner,)), call(step.name, activation, [inner], slot)
        if not _same(step, [first, second], self.shapes[step.inputs[0]], self.native[step.inputs[0]]):
            return
        self._steps[self._place[slot]] = [first, second]
        self._maker |= {inner: first, slot: second}
        self._whole.add(inner)
        self._parted[slot] = inner


def has_weights(operation: Any) -> bool:
    return isinstance(operation, keras.layers.Layer) and bool(operation.weights)


def parted(layer: Any) -> tuple[Any, Callable[..., Any]] | None:
    """A layer without its activation, with these very weights, and the activation; None where it has none."""
    if isinstance(layer, keras.layers.Wrapper):
        inner = parted(layer.layer)
        return None if inner is None else (with_attributes(layer, layer=inner[0]), inner[1])
    activation = getattr(layer, "activation", None)
    if not callable(activation) or _is_plain(layer):
        return None
    return with_attributes(layer, activation=keras.activations.linear), activation


def _is_plain(layer: Any) -> bool:
    return getattr(layer, "activation", None) in (None, keras.activations.linear)


def _function(operation: Any) -> Callable[..., Any]:
    """The Python function that an operation is, be it an activation or a layer."""
    operation = operation.activation if type(operation) is keras.layers.Activation else operation
    return operation.call if isinstance(operation, keras.layers.Layer) else operation


def _is_of_keras(operation: Any) -> bool:
    function = _function(operation)
    return (getattr(function, "__module__", None) or "").split(".")[0] == "keras"


def _renumbered(step: Step, number: Mapping[int, int]) -> Step:
    def other(x: Any) -> Any:
        return Slot(number[x.number]) if isinstance(x, Slot) else x

    args, kwargs = tree.map_structure(other, (list(step.args), step.kwargs))
    inputs, outputs = (tuple(number[i] for i in slots) for slots in (step.inputs, step.outputs))
    return replace(step, args=tuple(args), kwargs=kwargs, inputs=inputs, outputs=outputs)


def _alone(step: Step) -> Callable[[tf.Tensor], Any]:
    def function(x: tf.Tensor) -> Any:
        return run([step], {step.inputs[0]: x})[step.outputs[0]]

    return function


def _same(step: Step, parts: Iterable[Step], shape: tuple, dtype: str) -> bool:
    x = tf.cast(np.random.default_rng(0).normal(size=shape).astype("float32"), dtype)
    try:
        one, other = (
            tf.cast(run(steps, {step.inputs[0]: x})[step.outputs[0]], "float32").numpy() for steps in ([step], parts)
        )
    except (TypeError, ValueError, tf.errors.OpError):
        return False
    near = precision(dtype)
    return one.shape == other.shape and bool(np.allclose(one, other, near, near, equal_nan=True))
