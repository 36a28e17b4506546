"""Maps turned to (batch, down, right, channels), as the image lies, where a network holds them another way.

A layer with its channels first, behind a transposition or a flip: a step that turns its output round is put behind
it, and one that turns it back before whatever reads it. What is tapped is the turned map, and all that follows from
it (heads, attributions, icons) is right without a word about axes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import tensorflow as tf
from keras import tree

from activation_atlas.stages.vision.model.geometry.reckoning import Seen, Shapes, reaches
from activation_atlas.stages.vision.model.geometry.rules import RULES, Traced
from activation_atlas.stages.vision.model.geometry.windows import SAME, Window
from activation_atlas.stages.vision.model.program import Program, Slot, Step, call


@dataclass(frozen=True)
class Reorientation:
    """A tensor with its axes in another order, then read from the other end along some of them.

    Attributes:
        order: the input's axis of each of the output's.
        back: axes of the output that are turned round.
    """

    order: tuple[int, ...]
    back: tuple[int, ...]

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        x = tf.transpose(x, self.order)
        return tf.reverse(x, self.back) if self.back else x

    @property
    def inverse(self) -> Reorientation:
        """What undoes it."""
        order = tuple(self.order.index(k) for k in range(len(self.order)))
        return Reorientation(order, tuple(self.order[k] for k in self.back))


def _reoriented(step: Step, axis: int, given: tuple, made: tuple) -> Traced | None:
    view = step.operation
    out = view.order.index(axis)
    return out, Window(-1.0, given[axis] - 1.0, given[axis] - 1.0) if out in view.back else SAME


RULES["Reorientation"] = _reoriented


def upright(program: Program, shapes: Shapes) -> Program:
    """The program with every named map that does not lie as the image does turned; the same one where all do."""
    found = reaches(program, shapes)
    views = {slot: _reorientation(found[slot]) for slot in program.names.values() if _lies(slot, found, shapes)}
    if not views:
        return program
    steps: list[Step] = []
    count, turned, undone = program.slots, {}, {}
    for step in program.steps:
        steps.append(reading(step, undone))
        for slot in step.outputs:
            if slot in views:
                turned[slot], undone[slot] = count, count + 1
                count += 2
                steps.append(call(f"{step.name}/upright", views[slot], [slot], turned[slot]))
                steps.append(call(f"{step.name}/back", views[slot].inverse, [turned[slot]], undone[slot]))
    names = {name: turned.get(slot, slot) for name, slot in program.names.items()}
    output = undone.get(program.output, program.output)
    return replace(program, steps=tuple(steps), names=names, output=output, slots=count, _made_by={})


def _lies(slot: int, found: dict[int, Seen], shapes: Shapes) -> bool:
    """Whether a slot is a map with several positions that does not lie as the image does."""
    if slot not in found or len(shapes[slot]) != 4:
        return False
    seen = found[slot]
    return not seen.upright and any(shapes[slot][axis] > 1 for axis in seen.axes)


def _reorientation(seen: Seen) -> Reorientation:
    (channels,) = {1, 2, 3} - set(seen.axes)
    return Reorientation(
        (0, *seen.axes, channels), tuple(k + 1 for k, side in enumerate(seen.sides) if side.stride < 0)
    )


def reading(step: Step, undone: dict[int, int]) -> Step:
    """The step, reading other slots in the place of some."""
    if undone.keys().isdisjoint(step.inputs):
        return step

    def other(x: object) -> object:
        return Slot(undone.get(x.number, x.number)) if isinstance(x, Slot) else x

    args, kwargs = tree.map_structure(other, (list(step.args), step.kwargs))
    inputs = tuple(undone.get(i, i) for i in step.inputs)
    return replace(step, args=tuple(args), kwargs=kwargs, inputs=inputs)
