"""Sequences of tokens laid out as maps (batch, down, right, channels), where a network holds a map as one.

Behind a step whose output is such a sequence one is put that parts it into the map and the tokens beside it (class
token, registers), and one that joins the two before whatever reads it. What is tapped is the map; the other tokens
come along like any other tensor that the rest reads. So all that follows from a layer (heads, attributions, icons) is
right without a word about tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.model.geometry.reckoning import Shapes, traces
from activation_atlas.stages.vision.model.geometry.tokens import Grid, Layout, layout, lengths
from activation_atlas.stages.vision.model.geometry.upright import reading
from activation_atlas.stages.vision.model.program import Program, Slot, Step


@dataclass(frozen=True)
class TokenMap:
    """A sequence (n, ..., C) -> its map (n, height, width, C) and, if there are any, the tokens beside it (n, m, C)."""

    layout: Layout

    def __call__(self, x: tf.Tensor) -> list[tf.Tensor]:
        own, channels = self.layout, self.layout.shape[-1]
        count, before = len(own.order), own.before
        x = tf.reshape(x, (-1, count + len(own.beside), channels))
        if before is None:
            positions, beside = (_taken(x, tokens) for tokens in (own.order, own.beside))
        else:
            positions = x[:, before : before + count]
            beside = tf.concat([x[:, :before], x[:, before + count :]], 1)
        positions = tf.reshape(positions, (-1, *own.grid, channels))
        return [positions, beside] if own.beside else [positions]


@dataclass(frozen=True)
class TokenSequence:
    """What undoes :class:`TokenMap`."""

    layout: Layout

    def __call__(self, positions: tf.Tensor, *beside: tf.Tensor) -> tf.Tensor:
        own, channels = self.layout, self.layout.shape[-1]
        count, before = len(own.order), own.before
        x = tf.reshape(positions, (-1, count, channels))
        if before is None:
            x = _taken(tf.concat([x, *beside], 1), np.argsort((*own.order, *own.beside)))
        elif beside:
            x = tf.concat([beside[0][:, :before], x, beside[0][:, before:]], 1)
        return tf.reshape(x, (-1, *own.shape))


def _taken(x: tf.Tensor, tokens: Sequence[int]) -> tf.Tensor:
    return tf.gather(x, np.asarray(tokens, np.int32), axis=1)


def token_maps(program: Program, shapes: Shapes, said: Grid | None = None) -> Program:
    """The program with every named sequence that holds a map laid out as one; the same one where there is none.

    Args:
        said: where the positions are in sequences in which they are not found.

    Raises:
        UserError: no sequence has such positions.
    """
    found = traces(program, shapes, said).tokens
    if said is not None and not any(tokens.grid == said[:2] for tokens in found.values()):
        counts = lengths(shapes)
        many = f"its sequences have {', '.join(map(str, counts))} tokens" if counts else "it has no sequence of tokens"
        rows, columns, *before = said
        beside = f" behind {before[0]} others" if before else ""
        raise UserError(
            f"model.tokens: no layer has {rows} x {columns} = {rows * columns} tokens of positions{beside}: {many}"
        )
    named = set(program.names.values())
    layouts = {slot: lies for slot, each in found.items() if slot in named and (lies := layout(each)) is not None}
    if not layouts:
        return program
    steps: list[Step] = []
    count, maps, joined = program.slots, {}, {}
    for step in program.steps:
        steps.append(reading(step, joined))
        for slot in step.outputs:
            if slot in layouts:
                lies = layouts[slot]
                parts = tuple(range(count, count + 1 + bool(lies.beside)))
                maps[slot], joined[slot] = count, parts[-1] + 1
                count = joined[slot] + 1
                steps.append(Step(f"{step.name}/map", TokenMap(lies), (Slot(slot),), {}, (slot,), parts))
                back = tuple(map(Slot, parts))
                steps.append(Step(f"{step.name}/tokens", TokenSequence(lies), back, {}, parts, (joined[slot],)))
    names = {name: maps.get(slot, slot) for name, slot in program.names.items()}
    return replace(program, steps=tuple(steps), names=names, slots=count, _made_by={})
