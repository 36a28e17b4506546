"""A Keras graph, nested or not, as one straight line of steps that can be cut anywhere.

Keras keeps a functional model as nodes between symbolic tensors, and a nested
model as a single node. Here every call becomes a :class:`Step` between numbered
slots, with nested models opened up, so that "all before this layer" and "all
after it" are plain lists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras import tree

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.model import keras_adapter
from activation_atlas.stages.vision.model.grouped import by_group
from activation_atlas.stages.vision.model.keras_adapter import Call
from activation_atlas.stages.vision.model.leaky import keeping
from activation_atlas.stages.vision.model.opening import gives_the_same, inside, steady_names

Environment = dict[int, Any]
"""Slot number to tensor."""


@dataclass(frozen=True)
class Slot:
    """The place of a tensor among a step's arguments."""

    number: int


@dataclass(frozen=True)
class Step:
    """One call of an operation.

    Attributes:
        name: path of the call, ``backbone/conv_1``; ``conv#1`` is the second call of ``conv``.
        operation: a Keras layer or operation, or any function of tensors.
        args, kwargs: its arguments, with a :class:`Slot` where a tensor goes.
        inputs, outputs: numbers of the slots it reads and fills.
    """

    name: str
    operation: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def kind(self) -> str:
        """Class name of the operation, e.g. ``Conv2D``."""
        return getattr(self.operation, "__name__", type(self.operation).__name__)

    def __call__(self, values: Environment) -> None:
        """Reads its inputs from ``values`` and writes its outputs there."""

        def fill(x: Any) -> Any:
            return values[x.number] if isinstance(x, Slot) else x

        args, kwargs = tree.map_structure(fill, (list(self.args), self.kwargs))
        result = zip(self.outputs, tree.flatten(self.operation(*args, **kwargs)), strict=False)
        values.update((slot, value) for slot, value in result if value is not None)


def call(name: str, function: Callable[..., Any], inputs: Sequence[int], output: int) -> Step:
    """A step that applies a plain function of tensors."""
    return Step(name, function, tuple(Slot(i) for i in inputs), {}, tuple(inputs), (output,))


@dataclass(frozen=True)
class Program:
    """Steps in an order in which they can run, from one input slot to one output slot.

    Attributes:
        names: path of a call to the slot it fills; also the paths of nested models.
        called: paths of layers that are called more than once, to their number of calls.
    """

    steps: tuple[Step, ...]
    input: int
    output: int
    names: dict[str, int]
    called: dict[str, int]
    slots: int
    _made_by: dict[int, int] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._made_by.update({slot: k for k, step in enumerate(self.steps) for slot in step.outputs})

    def maker(self, slot: int) -> int | None:
        """Index of the step that fills ``slot``; None for the input."""
        return self._made_by.get(slot)

    def before(self, slots: Iterable[int], given: Iterable[int] = ()) -> list[Step]:
        """The steps that compute ``slots`` from the input, and from the slots ``given``."""
        wanted, held, found = list(slots), set(given), set()
        while wanted:
            slot = wanted.pop()
            k = None if slot in held else self.maker(slot)
            if k is not None and k not in found:
                found.add(k)
                wanted.extend(self.steps[k].inputs)
        return [self.steps[k] for k in sorted(found)]

    def after(self, slot: int) -> list[Step]:
        """The steps towards the output that depend on ``slot``."""
        touched, found = {slot}, []
        for step in self.before([self.output]):
            if slot not in step.outputs and touched.intersection(step.inputs):
                touched.update(step.outputs)
                found.append(step)
        return found

    def frontier(self, slot: int) -> list[int]:
        """Slots that the steps after ``slot`` read and that do not depend on it."""
        steps = self.after(slot)
        made = {slot}.union(*(step.outputs for step in steps))
        return list(dict.fromkeys(i for step in steps for i in step.inputs if i not in made))

    def extended(self, name: str, function: Callable[..., Any]) -> Program:
        """The program with ``function`` applied to its output."""
        step = call(name, function, [self.output], self.slots)
        return replace(self, steps=(*self.steps, step), output=self.slots, slots=self.slots + 1, _made_by={})


def run(steps: Iterable[Step], values: Environment) -> Environment:
    """Runs ``steps`` over ``values``, which is changed and returned."""
    for step in steps:
        step(values)
    return values


def flatten(model: keras.Model, where: str) -> Program:
    """The program of a functional or Sequential model.

    Args:
        where: the model's name in error messages.

    Raises:
        UserError: a subclassed model, or one with several inputs or outputs.
    """
    graph = keras_adapter.graph(model)
    if graph is None:
        reason = "has no input shape yet" if isinstance(model, keras.Sequential) else "is a subclassed model"
        raise UserError(
            f"{where}: {type(model).__name__} {reason}, so its layers cannot be followed; "
            "save it as a functional or Sequential model with a fixed input"
        )
    if len(graph.inputs) != 1:
        listed = ", ".join(f"{x.name} {list(x.shape[1:])}" for x in graph.inputs)
        raise UserError(
            f"{where}: has {len(graph.inputs)} inputs ({listed}); an atlas needs one image in: save it with the others "
            "constant: keras.Model(image, model([image, constant]))"
        )
    if len(graph.outputs) != 1:
        names = keras_adapter.output_names(model)
        listed = ", ".join(f"{n} {list(x.shape[1:])}" for n, x in zip(names, graph.outputs, strict=True))
        raise UserError(
            f"{where}: has {len(names)} outputs ({listed}); choose one with model.output, e.g. output: {names[0]}"
        )
    builder = _Builder()
    slot = builder.new()
    (output,) = builder.open(graph, [slot], "")
    return Program(tuple(builder.steps), slot, output, builder.names, builder.called, builder.count)


class _Builder:
    def __init__(self, count: int = 0, proves: bool = True, within: bool = False) -> None:
        """
        Args:
            count: slots that there are already.
            proves: whether layers that are opened have to show that they give the same.
            within: an opened layer, in whose graph names are Keras's own.
        """
        self.proves, self.within = proves, within
        self.steps: list[Step] = []
        self.names: dict[str, int] = {}
        self.called: dict[str, int] = {}
        self.count = count

    def new(self) -> int:
        self.count += 1
        return self.count - 1

    def open(self, graph: Any, inputs: list[int], prefix: str, owner: Any = None) -> list[int]:
        """Appends the steps of ``graph``, found inside of the layer ``owner`` if any; the slots of its outputs."""
        held = {id(tensor): slot for tensor, slot in zip(graph.inputs, inputs, strict=True)}
        # A graph may start at a tensor that a layer outside of it made.
        nodes = [node for node in keras_adapter.calls(graph) if not any(id(tensor) in held for tensor in node.outputs)]
        own = steady_names(nodes, owner) if self.within else {}
        names = {id(node.operation): own.get(id(node.operation), node.operation.name) for node in nodes}
        times, seen = Counter(id(node.operation) for node in nodes), Counter()
        for node in nodes:
            operation = node.operation
            name = prefix + names[id(operation)]
            if times[id(operation)] > 1:
                self.called[name] = times[id(operation)]
                name += f"#{seen[id(operation)]}"
                seen[id(operation)] += 1
            given = [held[id(tensor)] for tensor in node.inputs]
            inner = keras_adapter.graph(operation)
            if inner is not None and len(inner.inputs) == len(given):
                outputs = self.open(inner, self._as(inner, node, given, name), name + "/")
            else:
                outputs = self._opened(name, node, given) or self._call(name, operation, node, held, given)
            if len(outputs) == 1:
                self.names[name] = outputs[0]
            held.update(zip((id(tensor) for tensor in node.outputs), outputs, strict=True))
        return [held[id(tensor)] for tensor in graph.outputs]

    def _opened(self, name: str, node: Call, given: list[int]) -> list[int] | None:
        """Appends the steps inside a layer that is made of others, where they give the same; the slots of its outputs.

        What is inside of what is inside is proved with it; where that fails, one by one.
        """
        inner = inside(node)
        if inner is None:
            return None
        for one_by_one in (False, True):
            part = _Builder(self.count, one_by_one, within=True)
            outputs = part.open(inner, part._as(inner, node, given, name), name + "/", node.operation)

            if not self.proves or gives_the_same(partial(_through, part.steps, given, outputs), node):
                self.steps += part.steps
                self.names |= part.names
                self.called |= part.called
                self.count = part.count
                return outputs
        return None

    def _as(self, inner: Any, node: Any, given: list[int], name: str) -> list[int]:
        """A nested model casts what it is given to the type of its input."""
        slots = []
        for tensor, wanted, slot in zip(node.inputs, inner.inputs, given, strict=True):
            if tensor.dtype != wanted.dtype:
                self.steps.append(call(f"{name}/cast", _Cast(wanted.dtype), [slot], slot := self.new()))
            slots.append(slot)
        return slots

    def _call(self, name: str, operation: Any, node: Any, held: dict[int, int], given: list[int]) -> list[int]:
        def place(x: Any) -> Any:
            return Slot(held[id(x)]) if isinstance(x, keras.KerasTensor) else x

        args, kwargs = tree.map_structure(place, (node.args, keras_adapter.at_inference(node)))
        outputs = [self.new() for _ in node.outputs]
        made = keeping(by_group(keras_adapter.as_scopes(operation)))
        self.steps.append(Step(name, made, tuple(args), kwargs, tuple(given), tuple(outputs)))
        return outputs


def _through(steps: list[Step], given: list[int], slots: list[int], values: list[tf.Tensor]) -> list[tf.Tensor]:
    held = run(steps, dict(zip(given, values, strict=True)))
    return [held[slot] for slot in slots]


@dataclass(frozen=True)
class _Cast:
    dtype: str

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return tf.cast(x, self.dtype)
