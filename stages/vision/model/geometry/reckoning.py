"""One pass through the graph: for every map, which axes are the image's and what each position sees."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from activation_atlas.stages.vision.model.geometry.numbers import numbered
from activation_atlas.stages.vision.model.geometry.reach import Reach, union
from activation_atlas.stages.vision.model.geometry.rules import is_known, rule
from activation_atlas.stages.vision.model.geometry.tokens import Grid, Tokens, moves, patched, through, told
from activation_atlas.stages.vision.model.program import Program, Step

Shapes = dict[int, tuple]


@dataclass(frozen=True)
class Seen:
    """Where a map lies on the image.

    Attributes:
        axes: of the tensor, that run down and right in the image.
        sides: what positions see along these two.
        known: whether every step on the way is one whose effect on positions is known; else numbers must prove it.
        mixed: whether attention told every position of all others on the way; ``sides`` are without that.
        origin: of tokens that are not known, the slot at which numbers must prove them; None for the map's own.
    """

    axes: tuple[int, int]
    sides: tuple[Reach, Reach]
    known: bool = True
    mixed: bool = False
    origin: int | None = None

    @property
    def upright(self) -> bool:
        """Whether the tensor is (batch, down, right, channels)."""
        return self.axes == (1, 2) and min(side.stride for side in self.sides) > 0


@dataclass(frozen=True)
class Traces:
    """By slot: the maps whose positions can be traced back to the image, and the sequences that hold such a map."""

    maps: dict[int, Seen]
    tokens: dict[int, Tokens]


def reaches(program: Program, shapes: Shapes, said: Grid | None = None) -> dict[int, Seen]:
    """For every slot that is a map whose positions can be traced back to the image, where they lie."""
    return traces(program, shapes, said).maps


def traces(program: Program, shapes: Shapes, said: Grid | None = None) -> Traces:
    """Where the image's positions are in every slot.

    Branches that look at the whole image at once (squeeze-and-excite) are left
    out: what remains is the part that differs between positions.

    Args:
        said: of sequences in which they are not found.
    """
    _, *size, _ = shapes[program.input]
    start = tuple(Reach(1.0, 0.0, 0.0, 0.0, n - 1.0) for n in size)
    found: dict[int, Seen] = {program.input: Seen((1, 2), start)}
    tokens: dict[int, Tokens] = {}
    lost: set[int] = set()
    for step in program.before([program.output]):
        sources = [i for i in dict.fromkeys(step.inputs) if i in found and not _is_point(found[i], shapes[i])]
        astray = not lost.isdisjoint(step.inputs)
        from_tokens = not tokens.keys().isdisjoint(step.inputs)
        made = [shapes.get(slot, ()) for slot in step.outputs]
        seen = [_through(step, sources, shape, found, shapes, not (astray or from_tokens)) for shape in made]
        if None in seen and (sources or from_tokens):
            held = {i: tokens[i] for i in dict.fromkeys(step.inputs) if i in tokens}
            held |= {i: begun for i in sources if (begun := _numbered(found[i], shapes[i])) is not None}
            follow = _sequences if from_tokens or moves(step) else _begun
            for k, each in enumerate(follow(step, held, made, shapes, astray)):
                if seen[k] is not None or each is None:
                    continue
                slot = step.outputs[k]
                if each.is_map:
                    origin = slot if each.origin in step.inputs else each.origin
                    seen[k] = Seen((1, 2), each.sides, each.known, each.mixed, origin)
                else:
                    tokens[slot] = each if each.known or each.origin is not None else replace(each, origin=slot)
        for slot, each in zip(step.outputs, seen, strict=True):
            of_image = sources or from_tokens or astray
            if each is not None:
                found[slot] = each
            elif said and of_image and not (slot in tokens and tokens[slot].known):
                given = told(said, shapes.get(slot, ()), tuple(size))
                tokens |= {} if given is None else {slot: replace(given, origin=slot)}
            if each is None and slot not in tokens and of_image and _has_positions(shapes.get(slot, ())):
                lost.add(slot)
    return Traces(found, tokens)


def _numbered(seen: Seen, shape: tuple) -> Tokens | None:
    """A map as what holds its positions' numbers."""
    if len(shape) < 4:
        return None
    back = [side.stride < 0 for side in seen.sides]
    number = numbered(seen.axes, back, shape)
    grid = tuple(shape[axis] for axis in seen.axes)
    sides = tuple(s.turned(n) if turned else s for s, n, turned in zip(seen.sides, grid, back, strict=True))
    return None if number is None else Tokens(grid, number, sides, seen.known, seen.mixed, seen.origin)


def _sequences(
    step: Step, held: dict[int, Tokens], made: list[tuple], shapes: Shapes, astray: bool
) -> list[Tokens | None]:
    """What a step makes of tokens."""
    if not held or any(None in shape[1:] for shape in made):
        return [None] * len(made)
    return through(step, held, made, shapes, astray)


def _begun(step: Step, held: dict[int, Tokens], made: list[tuple], shapes: Shapes, astray: bool) -> list[Tokens | None]:
    """What a step that does not only move values makes of maps, as far as it is no map."""
    if not held or is_known(step):
        return [None] * len(made)
    return [patched(next(iter(held.values())), shape, astray) for shape in made]


def loses(program: Program, shapes: Shapes, found: dict[int, Seen], slot: int) -> Step | None:
    """The first step before ``slot`` behind which positions can no longer be traced; None where there is none."""
    for step in program.before([slot]):
        held = any(i in found and not _is_point(found[i], shapes[i]) for i in step.inputs)
        if held and any(o not in found and _has_positions(shapes.get(o, ())) for o in step.outputs):
            return step
    return None


def _is_point(seen: Seen, shape: tuple) -> bool:
    return all(shape[axis] == 1 for axis in seen.axes)


def _has_positions(shape: tuple) -> bool:
    """Whether a tensor is neither one row of values for an image nor that as a map of one position."""
    return len(shape) > 2 and None not in shape[1:] and int(np.prod(shape[1:])) > max(shape[1:])


def _through(
    step: Step, sources: list[int], made: tuple, found: dict[int, Seen], shapes: Shapes, known: bool
) -> Seen | None:
    if not sources or len(made) < 3 or None in made[1:] or step.kind == "TokenSequence":
        return None
    sides = [_along(step, sources, made, side, found, shapes) for side in (0, 1)]
    if None in sides or sides[0][0] == sides[1][0]:
        return None
    origins = {found[i].origin for i in sources if not found[i].known}
    known = known and is_known(step)
    origin = origins.pop() if known and len(origins) == 1 else None
    known = known and all(found[i].known for i in sources)
    mixed = any(found[i].mixed for i in sources)
    return Seen(tuple(axis for axis, _ in sides), tuple(reach for _, reach in sides), known, mixed, origin)


def _along(
    step: Step, sources: list[int], made: tuple, side: int, found: dict[int, Seen], shapes: Shapes
) -> tuple[int, Reach] | None:
    """The output's axis that is the image's ``side``, and its reach."""
    parts: list[tuple[int, Reach]] = []
    for slot in sources:
        axis, given = found[slot].axes[side], shapes[slot]
        if given[axis] == 1 and any(shapes[i][found[i].axes[side]] > 1 for i in sources):
            continue  # one value for the whole side, as a squeeze-and-excite has for both
        reach, traced = found[slot].sides[side], rule(step)(step, axis, given, made)
        if traced is not None:
            parts.append((traced[0], reach.through(traced[1], made[traced[0]])))
        elif len(made) == len(given) and made[axis] == 1 < given[axis]:
            parts.append((axis, Reach(reach.high - reach.low + 1, reach.low, reach.high, reach.low, reach.high)))
        else:
            return None
    (axis, *others), reach = {axis for axis, _ in parts}, union([reach for _, reach in parts])
    return None if others or reach is None else (axis, reach)
